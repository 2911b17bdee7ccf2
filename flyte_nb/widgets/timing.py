"""Timing: what is shown of something that changes quickly, and what has to be done in the kernel's own thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

__all__ = ["Throttle", "own_thread"]

EVERY = 0.2  # seconds between two changes of what is shown


class Throttle:
    """Calls something at once, but not again before a while has passed; the last call is never left out.

    Parameters
    ----------
    act : callable
        What is called, in the caller's thread or in one of its own.
    every : float
        Seconds between two calls.
    """

    def __init__(self, act: Callable[[], object], every: float = EVERY) -> None:
        self._act, self._every = act, every
        self._lock = threading.Lock()
        self._last = float("-inf")
        self._timer: threading.Timer | None = None

    def __call__(self) -> None:
        """Call it now, or as soon as it is time."""
        with self._lock:
            if self._timer is not None:
                return
            pause = self._last + self._every - time.monotonic()
            if pause > 0:
                self._timer = threading.Timer(pause, self._later)
                self._timer.daemon = True
                self._timer.start()
                return
            self._last = time.monotonic()
        self._act()

    def flush(self) -> None:
        """Call it now; nothing is left for later."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._last = None, time.monotonic()
        self._act()

    def _later(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():
                return  # it was called meanwhile
            self._timer, self._last = None, time.monotonic()
        self._act()


def own_thread() -> Callable[[Callable[[], object]], None]:
    """Give what calls something in this thread when its event loop is free; without a loop it is called at once."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return lambda act: act() and None

    def call(act: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the kernel ends
            loop.call_soon_threadsafe(act)

    return call
