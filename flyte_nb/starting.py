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
        self._service: Service | None = None

    def begins(self, service: Service) -> None:
        """Hear which app starts now; the one asked for is the last."""
        self._service = service

    def look(self, _: object = None) -> None:
        """Show how it stands; called every second."""
        if self._show is None or self._service is None or self._clock() - self._began < FIRST:
            return
        line = Text(self._told("starts", next(iter(self._last(self._service)), "")))
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
        assert self._service is not None
        seconds = self._clock() - self._began
        return f"app {self._service.spec.name}: {state}, after {seconds:.0f} s" + (f" · {line}" if line else "")

    def _last(self, service: Service) -> list[str]:
        """Give the lines that were printed and say something, the newest first."""
        lines = [line[:LONGEST] for line in service.log.last(20) if line.partition("|")[2].strip()]
        return lines[::-1]
