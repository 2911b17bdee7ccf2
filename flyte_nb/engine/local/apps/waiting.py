"""Waiting: for something, but not for ever; a cancel that comes as the wait ends counts, on every Python."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["LAST_SERVER", "LAST_SHUTDOWN", "Patience", "heard", "within"]

#: seconds for a server and for a shutdown hook, where the engine ends
LAST_SERVER, LAST_SHUTDOWN = 0.6, 0.8

T = TypeVar("T")
_STEP = 1.0


async def within(work: Awaitable[T], seconds: float) -> T:
    """Await work for some seconds.

    Raises
    ------
    asyncio.TimeoutError
        When they have passed; the work is cancelled then, as it is when this is.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=max(seconds, 0))
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(lambda t: t.cancelled() or t.exception())  # nobody else asks how it ended
    if not done:
        raise asyncio.TimeoutError
    return task.result()


async def heard(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event for some seconds; tell whether it has come."""
    if not event.is_set():
        waiting = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait((waiting,), timeout=max(seconds, 0))
        finally:
            waiting.cancel()
    return event.is_set()


class Patience:
    """A limit of time that only counts while this process runs: a laptop that sleeps does not use it up.

    Parameters
    ----------
    seconds : float
        The limit.
    clock : callable
        Seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.left, self._clock = seconds, clock
        self._last = clock()

    def is_over(self) -> bool:
        """Tell whether the limit has passed; a second at most counts since it was last asked."""
        now = self._clock()
        self.left -= min(max(now - self._last, 0.0), _STEP)
        self._last = now
        return self.left <= 0
