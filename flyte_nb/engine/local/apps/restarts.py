"""Restarts: when a replica in the place of one that crashed is started, and when to give up. Pure."""

from __future__ import annotations

from collections.abc import Sized

__all__ = ["Restarts"]

FIRST, LONGEST = 0.5, 30.0  # seconds before the second restart, and at most
LASTING = 10.0  # seconds of service after which an end is no quick crash
MOST = 5  # quick crashes in a row


class Restarts:
    """Counts the quick crashes of one app."""

    def __init__(self) -> None:
        self.failures = 0
        self.delay = 0.0
        self._not_before = 0.0
        self._last = 0.0

    def may_start(self, now: float) -> bool:
        """Tell whether a replica may be started."""
        return now >= self._not_before

    def crashed(self, now: float, ready_at: float) -> float | None:
        """Take note of a crash; give the seconds until another replica is started, or None for giving up.

        Parameters
        ----------
        now : float
            Seconds on a clock that does not go back.
        ready_at : float
            When the replica was ready; 0 for one that never was.
        """
        lasted = bool(ready_at) and now - ready_at >= LASTING
        self.failures = 1 if lasted else self.failures + 1
        self._last = now
        self.delay = 0.0 if self.failures == 1 else min(FIRST * 2 ** (self.failures - 2), LONGEST)
        self._not_before = now + self.delay
        return self.delay if self.failures < MOST else None

    def see(self, now: float, ready: Sized) -> None:
        """Forget crashes once replicas have lasted for a while."""
        if self.failures and ready and now - self._last >= LASTING:
            self.failures = 0
