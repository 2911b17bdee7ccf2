"""Pace: does something a few times a second at most, however often it is asked for, and never where nobody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["EVERY", "Pace"]

EVERY = 0.25  # seconds between two renewals of what is shown
#: what is slow, as on a full machine, pauses so many times as long as it took, but no longer than so many seconds
REST, LONGEST = 4, 3.0


class Pace:
    """Calls something soon after it is asked to: at once, or a while after the last time.

    Parameters
    ----------
    act : callable
        What is done, in a thread of its own; two of them are never under way at a time.
    every : float
        Seconds from one time to the next, at least; more where what is done takes long.
    """

    def __init__(self, act: Callable[[], object], every: float = EVERY) -> None:
        self._act, self._every = act, every
        self._lock = threading.Lock()
        self._soon: threading.Timer | None = None
        self._late: threading.Timer | None = None
        self._next = float("-inf")
        self._is_acting = self._is_asked_again = self._is_over = False

    def ask(self) -> None:
        """Have it done; from any thread, and at once done with."""
        if self._soon is not None or self._is_asked_again:
            return  # it begins by forgetting that it was asked for, so it sees what has happened by now
        with self._lock:
            if self._is_acting:
                self._is_asked_again = True
            elif self._soon is None:
                self._plan()

    def _plan(self) -> None:
        if not self._is_over:
            self._soon = _timer(max(self._next - time.monotonic(), 0.0), self._do)

    def ask_in(self, seconds: float) -> None:
        """Have it done in so many seconds, unless another time is said before that."""
        with self._lock:
            if self._late is not None:
                self._late.cancel()
                self._late = None
            if not self._is_over and seconds < threading.TIMEOUT_MAX:
                self._late = _timer(seconds, self.ask)

    def end(self) -> None:
        """Do nothing any more."""
        with self._lock:
            self._is_over = True
            for timer in (self._soon, self._late):
                if timer is not None:
                    timer.cancel()

    def _do(self) -> None:
        began = time.monotonic()
        with self._lock:
            self._soon, self._is_acting = None, True
        try:
            if not self._is_over:
                self._act()
        finally:
            self._rest(began)

    def _rest(self, began: float) -> None:
        """Pause after it was done, the longer the longer it took."""
        ended = time.monotonic()
        with self._lock:
            self._next = max(began + self._every, ended + min(REST * (ended - began), LONGEST))
            self._is_acting = False
            if self._is_asked_again:
                self._is_asked_again = False
                self._plan()


def _timer(seconds: float, act: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    return timer
