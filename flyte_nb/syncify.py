"""Syncify: an async function that can be called from plain code, too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flyte_nb.errors import UsageTypeError
from flyte_nb.portal import Portal

__all__ = ["Syncify", "syncify"]


class Synced:
    """An async function with two forms: ``function(…)`` blocks, ``await function.aio(…)`` does not.

    Of an async generator the first is an iterator, and ``async for`` goes through the second.

    Parameters
    ----------
    function : callable
        The async function.
    portal : Portal
        The loop that the blocking form runs on.
    """

    def __init__(self, function: Any, portal: Portal) -> None:
        self._function, self._portal = function, portal
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._function(*args, **kwargs)
        return self._through(result) if hasattr(result, "__anext__") else self._wait(result)

    def aio(self, *args: Any, **kwargs: Any) -> Any:
        """Give what the async function itself gives."""
        return self._function(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None and not isinstance(self._function, classmethod | staticmethod):
            return self
        return Synced(self._function.__get__(instance, owner), self._portal)

    def _wait(self, awaitable: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await awaitable

        if self._portal.is_here():  # the loop cannot wait for itself: another thread, with a loop of its own, does
            from asyncio import run

            with ThreadPoolExecutor(1) as threads:
                return threads.submit(run, awaited()).result()
        job = self._portal.submit(awaited())
        try:
            return job.done.result()
        except BaseException:  # an interrupt, too
            job.cancel()
            raise

    def _through(self, values: AsyncIterator[Any]) -> Iterator[Any]:
        end = object()
        while (value := self._wait(anext(values, end))) is not end:
            yield value


class Syncify:
    """A decorator for async functions and methods, which then can be called from plain code.

    ::

        @flyte.syncify.syncify
        async def fetch(url: str) -> bytes: ...

        fetch(url)             # from plain code
        await fetch.aio(url)   # from async code

    Parameters
    ----------
    name : str
        What the loop's thread is for, to people.
    """

    def __init__(self, name: str = "syncify") -> None:
        self.name = name
        self._portal = Portal()

    def __call__(self, func: Callable[..., Any]) -> Any:
        """Decorate a function.

        Raises
        ------
        TypeError
            When it is not an async function, or an async generator.
        """
        plain = func.__func__ if isinstance(func, classmethod | staticmethod) else func
        if not (inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)):
            raise UsageTypeError(f"syncify: given {func!r:.80}; accepted: an async function")
        return Synced(func, self._portal)


syncify = Syncify()
