"""HashFunction: what gives the hash of a value that travels as a reference, for the keys of caches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte_nb.errors import UsageTypeError

__all__ = ["HashFunction", "hashed"]


class HashFunction:
    """A function that gives the hash of a value, where a ``hash_method`` is asked for.

    Parameters
    ----------
    fn : callable
        Takes the value (the bytes, for a file) and gives its hash as text.
    """

    def __init__(self, fn: Callable[[Any], str]) -> None:
        self._fn = fn
        self._result = ""

    @classmethod
    def from_fn(cls, fn: Callable[[Any], str]) -> HashFunction:
        """Make one of a function."""
        return cls(fn)

    def update(self, data: Any) -> None:
        """Take the value."""
        self._result = self._fn(data)

    def result(self) -> str:
        """Give the hash of the value taken last; empty before the first."""
        return self._result

    def reset(self) -> None:
        """Forget the value."""
        self._result = ""


def hashed(method: Any, read: Callable[[], Any]) -> str | None:
    """Give a hash: a text itself, or what a `HashFunction`, or an object with its methods, makes of a value.

    Parameters
    ----------
    method : str, HashFunction or None
        The hash, or what gives it.
    read : callable
        Gives the value, where it is needed.

    Raises
    ------
    TypeError
        For anything else.
    """
    if method is None or isinstance(method, str):
        return method
    if not (hasattr(method, "update") and hasattr(method, "result")):
        raise UsageTypeError(f"hash_method: given {method!r:.80}; accepted: a str, a HashFunction, or None")
    method.update(read())
    return str(method.result())
