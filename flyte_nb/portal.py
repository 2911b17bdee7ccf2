"""Portal: one background event loop, and two ways to wait for what runs on it — blocking, or awaiting.

A verb is written once, as an async function whose first parameter is a `Relay`. What happens on the loop is shown by
the caller itself, in its own thread or task, so that output lands in the cell that asked for it.
"""

from __future__ import annotations

import asyncio
import functools
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

__all__ = ["Portal", "Relay", "Verb"]

P = ParamSpec("P")
R = TypeVar("R")
Show = Callable[[Any], None]
_END = object()


class Portal:
    """An event loop in a daemon thread, started when it is first used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, work: Coroutine[Any, Any, R]) -> Future[R]:
        """Run a coroutine on the loop."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="flyte-nb", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class Relay(Protocol):
    """Waits for work on the loop and shows what it tells meanwhile."""

    async def __call__(self, work: Callable[[Show], Coroutine[Any, Any, R]], show: Show) -> R:
        """Run ``work`` on the loop, call ``show`` here with what it tells, and give its result."""


class Blocking:
    """The relay of a plain call: it blocks the caller's thread and never suspends."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    async def __call__(self, work: Callable[[Show], Coroutine[Any, Any, R]], show: Show) -> R:
        told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        future = self._portal.submit(work(told.put))
        future.add_done_callback(lambda _: told.put(_END))
        try:
            while (item := told.get()) is not _END:
                show(item)
        except BaseException:  # an interrupt of the cell ends what the cell started
            future.cancel()
            _await_end(told)
            raise
        return future.result()


def _await_end(told: queue.SimpleQueue[Any], patience: float = 5.0) -> None:
    """Wait a little for cancelled work to clean up after itself."""
    try:
        while told.get(timeout=patience) is not _END:
            pass
    except queue.Empty:
        pass


class Awaiting:
    """The relay of an awaited call: it suspends the caller's task and leaves its loop free."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    async def __call__(self, work: Callable[[Show], Coroutine[Any, Any, R]], show: Show) -> R:
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[Any] = asyncio.Queue()

        def tell(item: Any) -> None:
            loop.call_soon_threadsafe(told.put_nowait, item)

        future = self._portal.submit(work(tell))
        future.add_done_callback(lambda _: tell(_END))
        try:
            while (item := await told.get()) is not _END:
                show(item)
        except BaseException:
            future.cancel()
            raise
        return future.result()


class Verb(Generic[P, R]):
    """A verb with two forms: ``verb(...)`` blocks, ``await verb.aio(...)`` does not.

    Parameters
    ----------
    function : async callable
        Takes a `Relay` first, which is all that it awaits.
    portal : callable
        Gives the portal to run on.
    """

    def __init__(self, function: Callable[Concatenate[Relay, P], Awaitable[R]], portal: Callable[[], Portal]) -> None:
        self._function, self._portal = function, portal
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        coroutine: Any = self._function(Blocking(self._portal()), *args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        coroutine.close()
        raise RuntimeError(f"{self} awaited something else than its relay")

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the same without blocking the caller's event loop."""
        return await self._function(Awaiting(self._portal()), *args, **kwargs)
