"""Pair: a quick function with the two forms that the Flyte SDK's have — a call, and ``await function.aio(…)``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

__all__ = ["Pair", "pair_method"]

P = ParamSpec("P")
R = TypeVar("R")


class Pair(Generic[P, R]):
    """A function that returns at once and can be awaited too; for longer work there is `portal.Verb`.

    Parameters
    ----------
    function : callable
        What both forms do.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the same where it is awaited."""
        return self._function(*args, **kwargs)


class pair_method(Generic[P, R]):  # noqa: N801 - it reads as a decorator
    """A method with both forms: ``value.method()`` and ``await value.method.aio()``.

    Parameters
    ----------
    method : callable
        What both forms do.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], R]) -> None:
        self._method: Any = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> Pair[P, R]:
        return Pair(self._method.__get__(instance, owner))
