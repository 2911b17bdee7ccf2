"""Scaler: how many replicas an app should have. Pure: it knows neither clocks nor processes."""

from __future__ import annotations

import math
from collections import deque
from datetime import timedelta

from flyte_nb.engine.local.apps.traffic import Load
from flyte_nb.environments.scaling import Scaling

__all__ = ["Scaler"]

CONCURRENCY = 40  # requests in flight per replica where no metric is set: what a FastAPI server has threads for
QUIET = 60.0  # seconds that demand is remembered where `scaledown_after` is not set
LEAST_QUIET = 1.0  # a demand that comes and goes faster than this never moves a replica
SLOWEST_STEP = 5.0  # seconds, at most, between two steps down


class Scaler:
    """Says how many replicas there should be: more at once, fewer slowly.

    A demand counts in full for ``scaledown_after`` seconds, and then fades step by step; the largest of what is left
    of all demands is what is wanted. So replicas are never taken away for a short lull, nor all of them in one go.

    Parameters
    ----------
    scaling : Scaling
        The bounds, the metric and how long demand is remembered. Without a metric 40 requests in flight are one
        replica's share; without ``scaledown_after`` it is 60 seconds.
    """

    def __init__(self, scaling: Scaling) -> None:
        self._least, self._most = scaling.get_replicas()
        self._metric = scaling.metric
        after = scaling.scaledown_after
        quiet = after.total_seconds() if isinstance(after, timedelta) else QUIET if after is None else float(after)
        self._quiet = max(quiet, LEAST_QUIET)
        self._fewer = max(1, self._most // 10)  # replicas that one step takes away
        self._step = min(self._quiet / 10, SLOWEST_STEP)
        self._demands: deque[tuple[float, int]] = deque()  # (time, replicas), each smaller than the one before it
        self._now = -math.inf

    def wanted(self, now: float, load: Load, ready: int, starting: int) -> int:
        """Give the number of replicas that there should be.

        Parameters
        ----------
        now : float
            Seconds on a clock that does not go back; where it does, time stands still.
        load : Load
            What there is to do.
        ready, starting : int
            The replicas that there are; demand alone decides, so that a replica which does not start is not
            made up for by others.
        """
        self._now = max(self._now, now)
        self._note(min(self._demand(load), self._most))
        while len(self._demands) > 1 and not self._faded(*self._demands[0]):
            self._demands.popleft()
        return min(max(self._least, *(self._faded(*demand) for demand in self._demands)), self._most)

    def _demand(self, load: Load) -> int:
        """Give the replicas that the load of this moment asks for."""
        busy = load.in_flight + load.waiting
        if isinstance(self._metric, Scaling.RequestRate):
            return max(math.ceil(load.rate / self._metric.val), 1 if busy else 0)
        return math.ceil(busy / (self._metric.val if self._metric else CONCURRENCY))

    def _note(self, demand: int) -> None:
        while self._demands and self._demands[-1][1] <= demand:
            self._demands.pop()
        self._demands.append((self._now, demand))

    def _faded(self, since: float, demand: int) -> int:
        """Give what is left of a demand."""
        over = self._now - since - self._quiet
        if over < 0:
            return demand
        return max(0, demand - self._fewer * (1 + int(over / self._step)))
