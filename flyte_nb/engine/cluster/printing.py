"""Printing: what an action in a cluster printed — the user's lines, and the traceback that the SDK's runtime logged.

The runtime logs a failed task's traceback among the lines that the task printed, and tells the control plane the
message alone. So what the SDK itself logs is left out, and the traceback is kept, in cells and lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from flyte_nb.notebook.module import locate
from flyte_nb.tracebacks import Frame

__all__ = ["Printed", "in_cells"]

_OF_SDK = re.compile(r"^(?:\[[^\]]*\]){0,2} ?\[flyte\] ")
_FAILED = re.compile(r"\[flyte\] (?:ERROR )?Task failed\b")
#: the error as the runtime uploads it, in several lines
_TOLD, _END_OF_TOLD = re.compile(r"failed with error: Error\(err="), re.compile(r"Uploaded error to ")
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)$')
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?::|$)")
_LIBRARY = re.compile(r"[/\\](?:site-packages[/\\]flyte|lib[/\\]python3\.\d+(?![/\\]site-packages))[/\\]")


class Printed:
    """Sorts the lines of one attempt at an action.

    Parameters
    ----------
    file : Path, optional
        The module of its task here.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._trace: list[str] = []
        self._is_inside = self._is_told = False

    def take(self, line: str) -> str:
        """Take a line, and give what of it is shown."""
        if _OF_SDK.search(line) or self._is_told:
            self._is_inside = bool(_FAILED.search(line))
            self._is_told = (self._is_told or bool(_TOLD.search(line))) and not _END_OF_TOLD.search(line)
            if self._is_inside:
                self._trace = []
            return ""
        if self._is_inside:
            self._trace.append(line)
            return ""
        return line

    @property
    def traceback(self) -> str:
        """The task's own frames, told in cells and lines; empty where it did not fail."""
        return "\n".join(frame.told(self._place(frame)) for frame in _frames(self._trace))

    @property
    def exception(self) -> str:
        """The name of the exception's class; empty where it did not fail."""
        last = [line for line in self._trace if _RAISED.match(line)]
        return last[-1].partition(":")[0].strip().rpartition(".")[2] if last else ""

    def _place(self, frame: Frame) -> str:
        if self._file is not None and Path(frame.file).name == self._file.name:
            cell = locate(_read(self._file), frame.line)
            if cell is not None:
                return f"{cell[0]}, line {cell[1]}"
        return f"{frame.file}, line {frame.line}"


def in_cells(text: str, file: Path) -> str:
    """Give a text in which lines of a module are those of the cells that they come from."""

    def told(found: re.Match[str]) -> str:
        cell = locate(_read(file), int(found["line"]))
        return f"{cell[0]}, line {cell[1]}" if cell else found[0]

    return re.sub(rf'(?:File )?"?[^"\s]*{re.escape(file.name)}"?, line (?P<line>\d+)', told, text)


def _frames(lines: Iterable[str]) -> Iterator[Frame]:
    """Give the frames of a traceback, without those of the SDK and of the standard library."""
    last: Frame | None = None
    for line in lines:
        if found := _FRAME.match(line):
            if last is not None:
                yield last
            is_own = not _LIBRARY.search(found["file"])
            last = Frame(found["file"], int(found["line"]), found["function"].strip()) if is_own else None
        elif last is not None and not last.code and line.startswith("    "):
            last = Frame(last.file, last.line, last.function, line.strip())
    if last is not None:
        yield last


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
