"""Meter: what is counted of an app's requests, for the load that the engine is told."""

from __future__ import annotations

import statistics
from collections import deque
from typing import Any

__all__ = ["Meter"]

WINDOW = 5.0  # seconds that the rate and the latency are taken over
SLOTS = 25  # parts of the window
MOST_TIMES = 1000  # response times that are kept


class Meter:
    """Counts requests; all times are those of one clock, in seconds."""

    def __init__(self) -> None:
        self.requests = self.failures = 0
        self._slots: deque[tuple[int, int]] = deque()  # (which part of time, requests begun in it)
        self._times: deque[tuple[float, float]] = deque(maxlen=MOST_TIMES)  # (when a response began, after how long)

    def came(self, now: float) -> None:
        """Count a request."""
        self.requests += 1
        slot = int(now * SLOTS / WINDOW)
        if self._slots and self._slots[-1][0] == slot:
            self._slots[-1] = (slot, self._slots[-1][1] + 1)
        else:
            self._slots.append((slot, 1))

    def answered(self, began: float, now: float) -> None:
        """Take the time that a response took to begin."""
        self._times.append((now, now - began))

    def failed(self) -> None:
        """Count a request that failed."""
        self.failures += 1

    def read(self, now: float) -> dict[str, Any]:
        """Give the totals, the rate and the latency."""
        oldest = int(now * SLOTS / WINDOW) - SLOTS
        while self._slots and self._slots[0][0] <= oldest:
            self._slots.popleft()
        while self._times and self._times[0][0] < now - WINDOW:
            self._times.popleft()
        return {
            "requests": self.requests, "failures": self.failures,
            "rate": sum(count for _, count in self._slots) / WINDOW,
            "latency": statistics.median(took for _, took in self._times) if self._times else 0.0,
        }  # fmt: skip
