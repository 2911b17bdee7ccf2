"""Starting: what a cell shows while an app comes up, once that takes a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from flyte_nb.engine.local.apps.service import Service
from flyte_nb.views import Text

__all__ = ["Starting"]

FIRST = 1.5  # seconds before the line appears
LONGEST = 100  # characters of the log's last line

Show = Callable[[Text], Callable[[Text], None]]


class Starting:
    """One line that says how long an app takes to start, and the last that it printed; a context manager.

    Parameters
    ----------
    show : callable, optional
        Shows the line where the cell's output goes, and gives what changes it; None where nothing is to be shown.
    clock : callable
        Seconds.
    """

    def __init__(self, show: Show | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._show, self._clock = show, clock
        self._began = clock()
        self._change: Callable[[Text], None] | None = None
        self._name = self._heard = ""
        self._line: Callable[[], str] = lambda: self._heard

    def begins(self, service: Service) -> None:
        """Hear which app starts now; the one asked for is the last."""
        self._name, self._line = service.spec.name, lambda: next(iter(_last(service)), "")

    def begins_there(self, name: str) -> None:
        """Hear which app starts at a cluster; `look` is told how that goes."""
        self._name = name

    def look(self, said: object = None) -> None:
        """Show how it stands; called every second, and with what is said."""
        self._heard = said if isinstance(said, str) else self._heard
        if self._show is None or not self._name or self._clock() - self._began < FIRST:
            return
        line = Text(self._told("starts", self._line()))
        if self._change is None:
            self._change = self._show(line)
        else:
            self._change(line)

    def __enter__(self) -> Starting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._change is not None:
            self._change(Text(self._told("serves" if kind is None else "did not start")))

    def _told(self, state: str, line: str = "") -> str:
        seconds = self._clock() - self._began
        return f"app {self._name}: {state}, after {seconds:.0f} s" + (f" · {line[:LONGEST]}" if line else "")


def _last(service: Service) -> list[str]:
    """Give the lines that were printed and say something, the newest first."""
    lines = [line[:LONGEST] for line in service.log.last(20) if line.partition("|")[2].strip()]
    return lines[::-1]
