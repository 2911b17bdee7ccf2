"""Values: what travels by value, because no plain definition gives it."""

from __future__ import annotations

import io
from collections.abc import Container
from typing import Any

from flyte_nb import pickling
from flyte_nb.errors import SliceError
from flyte_nb.notebook.module import Captured

__all__ = ["capture", "pickled"]

LIMIT = 10 * 1024 * 1024
#: libraries whose values are known to come back from their pickles
_PLAIN = (
    "builtins",
    "collections",
    "datetime",
    "decimal",
    "fractions",
    "numpy",
    "pandas",
    "pathlib",
    "scipy",
    "sklearn",
)


def capture(names: Container[str], name: str, value: Any, label: str) -> tuple[Captured, set[str]]:
    """Capture a live value.

    Parameters
    ----------
    names : container of str
        The names that the notebook defines; functions and classes of these names go by reference.
    name : str
        The variable, or an attribute of one.
    value : object
        What it stands for.
    label : str
        The cell and line that bound it.

    Returns
    -------
    captured : Captured
        Its bytes.
    used : set of str
        The names that it refers to.

    Raises
    ------
    SliceError
        When it cannot be pickled, or is over the limit.
    """
    what = Captured(name, b"", label).what
    try:
        if isinstance(value, io.IOBase) and not isinstance(value, io.StringIO | io.BytesIO):
            raise TypeError("it is an open file")
        data, used = pickled(names, name, value)
        if type(value).__module__.partition(".")[0] not in _PLAIN:
            _load(data)
    except Exception as error:  # a stranger's __reduce__ may raise anything
        raise SliceError(
            f"{what} ({type(value).__name__}) cannot leave the kernel: {error}. "
            "Make it inside the task, pass it as an input, or bind it in a statement that can run again"
        ) from None
    if len(data) > LIMIT:
        raise SliceError(
            f"{what} is {len(data) / 2**20:.1f} MiB, over the limit of {LIMIT >> 20} MiB for "
            "captured values. Pass it as an input, or load it inside the task"
        )
    return Captured(name, data, label), used


def _load(data: bytes) -> None:
    """Try whether a pickle can be loaded: that of a widget can be written, but not read.

    Raises
    ------
    TypeError
        When it cannot.
    """
    try:
        pickling.loads(data)
    except Exception as error:  # a stranger's __setstate__ may raise anything
        raise TypeError(f"its pickle cannot be loaded ({type(error).__name__}: {error})") from None


def pickled(names: Container[str], name: str, value: Any) -> tuple[bytes, set[str]]:
    """Give the pickle of a value, the same in every process, and the names that it refers to; never its own."""
    return pickling.steady_dumps(value, _Without(names, name.partition(".")[0]))


class _Without:
    """The names that a captured value may refer to: all but its own, which does not exist before it is loaded."""

    def __init__(self, names: Container[str], own: str) -> None:
        self._names, self._own = names, own

    def __contains__(self, name: object) -> bool:
        return name != self._own and name in self._names
