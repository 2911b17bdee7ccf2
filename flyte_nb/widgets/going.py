"""Going: how far a deployment has come, environment by environment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable

from flyte_nb.engine.base import Progress, Step
from flyte_nb.views import Stack, Table, Text, View

__all__ = ["Going"]

MOST = 12  # environments that are shown
_ENDS = (Step.DEPLOYED, Step.FAILED, Step.UNCHANGED)
#: what needs notice first, each with its sign
_SIGNS = {Step.FAILED: "!", Step.DEPLOYING: "…", Step.RECORDING: "…", Step.DEPLOYED: "✓", Step.UNCHANGED: "="}
_ORDER = (Step.FAILED, Step.DEPLOYING, Step.RECORDING, None, Step.DEPLOYED, Step.UNCHANGED)


class Going:
    """A deployment that goes on.

    Parameters
    ----------
    names : iterable of str
        The environments that are deployed.
    clock : callable
        Seconds.
    """

    def __init__(self, names: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._steps: dict[str, Progress | None] = dict.fromkeys(names)
        self._whole: Progress | None = None
        self._clock, self._began, self._took = clock, clock(), 0.0
        self._lock = threading.Lock()
        #: whether it goes on
        self.is_on = True

    def take(self, progress: Progress) -> None:
        """Take a step."""
        with self._lock:
            if progress.environment:
                self._steps[progress.environment] = progress
            else:
                self._whole = progress

    def end(self) -> None:
        """Take its end."""
        self.is_on, self._took = False, self._clock() - self._began

    def view(self) -> View:
        """Show it: how many are done, and each of them, those that need notice first."""
        with self._lock:
            steps, whole = dict(self._steps), self._whole
        done = sum(one is not None and one.step in _ENDS for one in steps.values())
        took = self._took if not self.is_on else self._clock() - self._began
        line = f"{done:,} of {len(steps):,} environments done · {took:.1f} s"
        if self.is_on and whole is not None:
            line = f"{line} · {whole!s}"
        rows = [_row(name, one) for name, one in sorted(steps.items(), key=_rank)]
        more = [("…", f"and {len(rows) - MOST:,} more", _counts(steps))] if len(rows) > MOST else []
        return Stack([Text(line), Table(("", "environment", "step"), [*rows[:MOST], *more])])


def _rank(item: tuple[str, Progress | None]) -> int:
    """Sort what failed first, then what goes on, what waits, what is done."""
    step = None if item[1] is None else item[1].step
    return _ORDER.index(step) if step in _ORDER else 1


def _row(name: str, one: Progress | None) -> tuple[str, str, str]:
    if one is None:
        return ("·", name, "waits")
    return _SIGNS.get(one.step, "…"), name, " ".join(filter(None, (one.step.value, one.note)))


def _counts(steps: dict[str, Progress | None]) -> str:
    counts = Counter("waiting" if one is None else one.step.value for one in steps.values())
    return ", ".join(f"{count:,} {word}" for word, count in counts.items())
