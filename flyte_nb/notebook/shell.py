"""Watch: hears from IPython what runs, and gives each cell a key, a number and the line that failed it."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from flyte_nb import tracebacks
from flyte_nb.notebook.cells import Cell

__all__ = ["Running", "Watch", "Watcher", "line_in"]

MAGIC = "%%flyte"
_MOST_ENDS = 4  # line ends at the end of a cell


@dataclass(frozen=True)
class Running:
    """A cell that runs.

    Parameters
    ----------
    cell : Cell
        Its source and number.
    key : str
        The same for every run of the same cell: the front end's id, or a digest of the source where there is none.
    asks : bool
        Whether it is a ``%%flyte`` cell, whose output says what it changed.
    """

    cell: Cell
    key: str
    asks: bool


class Watcher(Protocol):
    """Whoever hears of the cells: the session."""

    def begin(self, running: Running) -> None:
        """Hear that a cell starts."""

    def end(self, running: Running, failed_at: int | None) -> None:
        """Hear that it ended; ``failed_at`` is the line that raised (0: none of it ran), None for success."""


class Watch:
    """The events of one IPython shell, nested runs of cells counted as part of the outer one.

    Parameters
    ----------
    shell : InteractiveShell
        The shell.
    watcher : Watcher
        Hears of its cells.
    """

    def __init__(self, shell: Any, watcher: Watcher) -> None:
        self._shell, self._watcher = shell, watcher
        self._depth = 0
        self._running: Running | None = None

    def start(self) -> None:
        """Listen from now on; the cell that runs at this moment counts from here."""
        tracebacks.name_cell = self._name_cell
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)
        if current := self._current():
            self._depth, self._running = 1, current
            self._watcher.begin(current)

    def stop(self) -> None:
        """Listen no more."""
        self._shell.events.unregister("pre_run_cell", self._before)
        self._shell.events.unregister("post_run_cell", self._after)

    def past(self) -> Iterator[Cell]:
        """Give the cells that ran before this watch started, oldest first."""
        history = self._shell.history_manager.input_hist_raw
        for number, raw in enumerate(history[1:-1], start=1):
            yield self._cell(raw, number)

    def _current(self) -> Running | None:
        """Give the cell that runs now; there is none when the shell has not run anything yet."""
        history = self._shell.history_manager.input_hist_raw
        if len(history) <= 1:
            return None
        # the history keeps a cell without the empty lines at its end, which count for the name of its code
        found = [self._make(history[-1] + "\n" * ends, len(history) - 1, self._cell_id()) for ends in range(_MOST_ENDS)]
        return next((running for running in found if line_in(running.cell.file) is not None), found[0])

    def _before(self, info: Any) -> None:
        self._depth += 1
        if self._depth == 1:
            # the history's next place: IPython counts ``execution_count`` up before or after this event, by version
            number = len(self._shell.history_manager.input_hist_raw)
            self._running = self._make(info.raw_cell or "", number, info.cell_id)
            self._watcher.begin(self._running)

    def _after(self, result: Any) -> None:
        self._depth = max(0, self._depth - 1)
        if self._depth == 0 and self._running is not None:
            running, self._running = self._running, None
            self._watcher.end(running, self._failed_at(result, running.cell))

    def _make(self, raw: str, number: int, cell_id: str | None) -> Running:
        key = cell_id or hashlib.sha256(raw.encode()).hexdigest()
        return Running(self._cell(raw, number), key, raw.lstrip().startswith(MAGIC))

    def _cell(self, raw: str, number: int) -> Cell:
        try:
            source = self._shell.transform_cell(raw)
        except SyntaxError:
            source = ""
        return Cell(source, number, self._shell.compile.get_code_name(raw, source, number), raw=raw)

    def _cell_id(self) -> str | None:
        parent = getattr(self._shell, "parent_header", None) or {}
        found = parent.get("metadata", {}).get("cellId") if isinstance(parent, dict) else None
        return str(found) if found else None

    def _failed_at(self, result: Any, cell: Cell) -> int | None:
        if result.error_before_exec is not None:
            return 0
        if result.error_in_exec is None:
            return None
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(result.error_in_exec.__traceback__)
            if frame.filename == cell.file and frame.name == "<module>"
        ]
        return lines[0] if lines else 0

    def _name_cell(self, file: str) -> str:
        try:
            kind, name = self._shell.compile.format_code_name(file)
        except (AttributeError, TypeError, ValueError):
            return "cell"
        return str(name).replace("In[", "In [") if kind == "Cell" else "cell"


def line_in(file: str) -> int | None:
    """Give the line that the code of a running cell has reached; None where another thread or task asks."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (frame.f_code.co_filename != file or frame.f_code.co_name != "<module>"):
        frame = frame.f_back
    return None if frame is None else frame.f_lineno
