"""Live: a run while it runs — its output as it comes, and one line that says where it stands."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from flyte_nb.engine.base import Event, Phase
from flyte_nb.views import Text
from flyte_nb.widgets.line import displayed
from flyte_nb.widgets.tree import told

__all__ = ["Live", "MapLine", "in_notebook", "map_in_notebook"]

#: seconds that a run goes on before the line appears, and between two changes of it
FIRST, EVERY = 0.5, 0.2
_WAITS = (Phase.WAITING_FOR_RESOURCES, Phase.INITIALIZING)
_ENDS = (Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED, Phase.TIMED_OUT)


class Live:
    """Shows the events of one run where the caller is.

    Parameters
    ----------
    show : callable
        Shows the line for the first time and gives what changes it; both take a `View`.
    clock : callable
        Seconds.
    """

    def __init__(
        self, show: Callable[[Text], Callable[[Text], None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show, self._clock = show, clock
        self._change: Callable[[Text], None] | None = None
        self._phases: dict[str, tuple[str, Phase, str]] = {}
        self._run = ""
        self._began = self._last = clock()

    def __call__(self, event: Event | None) -> None:
        """Take an event; None says that time has passed."""
        if event is not None and event.text:
            stream = sys.stderr if event.stream == "stderr" else sys.stdout
            stream.write(event.text)
            stream.flush()
        elif event is not None:
            self._run = event.run
            self._look(self._take(event))
        elif self._phases:
            self._look(ended=False)

    def _look(self, ended: bool) -> None:
        """Show or change the line, where there is something to say and the last change is a while ago."""
        now = self._clock()
        if now - self._began < FIRST or (now - self._last < EVERY and not ended):
            return
        self._last = now
        if self._change is not None:
            self._change(Text(self.line(self._run)))
        elif len(self._phases) > 1 or any(phase in _WAITS for _, phase, _ in self._phases.values()):
            self._change = self._show(Text(self.line(self._run)))

    def _take(self, event: Event) -> bool:
        """Note an action's phase; tell whether the run has ended."""
        action = event.action
        self._phases[action.id] = (action.task, action.phase, action.notice)
        return action.parent is None and action.phase in _ENDS

    def line(self, run: str) -> str:
        """Word where the run stands."""
        root = next(iter(self._phases.values()))
        counts = Counter(phase for _, phase, _ in list(self._phases.values())[1:])
        done = sum(counts[phase] for phase in _ENDS)
        words = [f"{run}: {root[1].value.replace('_', ' ')}, {told_seconds(self._clock() - self._began)}"]
        if counts:
            words.append(f"{done:,} of {sum(counts.values()):,} actions done")
        words += [f"{counts[phase]:,} {phase.value}" for phase in _ENDS[1:] if counts[phase]]
        waits = next((n for _, p, n in self._phases.values() if p is Phase.WAITING_FOR_RESOURCES), "")
        return " · ".join([*words, *waits.splitlines()[-1:]])


class MapLine:
    """Shows how far a map outside a task has come, once it takes a while.

    Parameters
    ----------
    task : str
        What is mapped.
    total : int or None
        Over how many elements, if that is known.
    show, clock
        As for `Live`.
    """

    def __init__(
        self,
        task: str,
        total: int | None,
        show: Callable[[Text], Callable[[Text], None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._task, self._total, self._show, self._clock = task, total, show, clock
        self._change: Callable[[Text], None] | None = None
        self._began = self._last = clock()

    def __call__(self, done: int, failed: int, ended: bool) -> None:
        """Take what is done so far."""
        now = self._clock()
        if now - self._began < FIRST or (now - self._last < EVERY and not ended):
            return
        self._last = now
        if self._change is None and not ended:
            self._change = self._show(Text(self.line(done, failed)))
        elif self._change is not None:
            self._change(Text(self.line(done, failed)))

    def line(self, done: int, failed: int) -> str:
        """Word how far it has come."""
        of = "" if self._total is None else f" of {self._total:,}"
        words = [f"map of {self._task}: {done:,}{of} done, {told_seconds(self._clock() - self._began)}"]
        return " · ".join([*words, *([f"{failed:,} failed"] if failed else [])])


def told_seconds(seconds: float) -> str:
    """Word a number of seconds."""
    return told(timedelta(seconds=seconds))


def in_notebook() -> Live:
    """Give what shows a run in a notebook: the line is one display that changes."""
    return Live(displayed)


def map_in_notebook(task: str, total: int | None) -> MapLine:
    """Give what shows a map in a notebook."""
    return MapLine(task, total, displayed)
