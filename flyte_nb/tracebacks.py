"""Short tracebacks: the user's own lines, told in cells, without the library's frames."""

from __future__ import annotations

import linecache
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType

from flyte_nb.visible import bounded_lines

STANDARD = os.path.dirname(os.__file__) + os.sep
PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STANDARD = os.path.realpath(sysconfig.get_path("stdlib")) + os.sep
_REWRITTEN = ("get_ipython().", "import flyte_nb as _flyte;", "raise __import__('flyte_nb')")
_CELL_FILE = re.compile(r"[/\\]ipykernel_\d+[/\\]\d+\.py$|^<ipython-input-(?P<number>\d+)-")


@dataclass(frozen=True)
class Frame:
    """One line of a traceback: where, in which function, and the line itself."""

    file: str
    line: int
    function: str
    code: str = ""

    def told(self, place: str) -> str:
        """Give the frame as text, with ``place`` in the place of file and line."""
        inside = "" if self.function == "<module>" else f", in {self.function}"
        return f"  {place}{inside}" + (f"\n    {self.code}" if self.code else "")


@contextmanager
def same_excepthook() -> Iterator[None]:
    """Keep how this process shows uncaught errors: importing the Flyte SDK, also as a keyring's backend, changes it."""
    hook = sys.excepthook
    try:
        yield
    finally:
        sys.excepthook = hook


def frames(trace: TracebackType | None) -> list[Frame]:
    """List the frames of a traceback, outermost first."""
    return [Frame(f.filename, f.lineno or 0, f.name, (f.line or "").strip()) for f in traceback.extract_tb(trace)]


def is_cell_file(file: str) -> bool:
    """Tell whether a file name is one that IPython gives to a cell."""
    return bool(_CELL_FILE.search(file))


def is_library(file: str) -> bool:
    """Tell whether a file belongs to this package, to IPython or to the interpreter's own machinery."""
    return file.startswith((PACKAGE, "<frozen", "<string>")) or f"{os.sep}IPython{os.sep}" in file


def is_standard(file: str) -> bool:
    """Tell whether a file belongs to Python's standard library."""
    return file.startswith(STANDARD) and f"{os.sep}site-packages{os.sep}" not in file


#: gives "In [n]" for the file of a cell; set by the session, which knows the cell numbers
name_cell: Callable[[str], str] = str


def place(frame: Frame) -> str:
    """Say where a frame is, in cells where it is in one."""
    file = name_cell(frame.file) if is_cell_file(frame.file) else frame.file
    return f"{file}, line {frame.line}"


def told(list_of_frames: Iterable[Frame], where: Callable[[Frame], str] = place) -> str:
    """Tell the frames that are the user's own, one or two lines each."""
    return "\n".join(_without_rewriting(f).told(where(f)) for f in _own(list_of_frames))


def _own(list_of_frames: Iterable[Frame]) -> Iterator[Frame]:
    """Leave out the frames of libraries, and those of the standard library that they called."""
    inside = False
    for frame in list_of_frames:
        inside = is_library(frame.file) or (inside and is_standard(frame.file))
        if not inside:
            yield frame


def _without_rewriting(frame: Frame) -> Frame:
    """Leave out the Python that a magic was rewritten into: the user never wrote it."""
    return replace(frame, code="") if frame.code.startswith(_REWRITTEN) else frame


def short(error: BaseException) -> list[str]:
    """Tell an error in its own words, after the user's lines that led to it.

    Parameters
    ----------
    error : BaseException
        An error with or without a ``remote_traceback`` (text) and ``rows()`` of label and text.

    Returns
    -------
    list of str
        Lines as IPython wants them from ``_render_traceback_``.
    """
    linecache.checkcache()
    parts = [part for part in (told(frames(error.__traceback__)), getattr(error, "remote_traceback", "")) if part]
    title = type(error).__name__
    rows = getattr(error, "rows", None)
    if rows is None:
        code = getattr(error, "code", title)  # of an exception in a task, the name of its class
        parts.append(f"{title}: {error}" if code == title else f"{title} ({code}): {error}")
        if run := getattr(error, "run", ""):
            parts.append(f"run {run}: %flyte runs {run}")
    else:
        parts.append(title + "".join(f"\n  {label:<9} {text}" for label, text in rows()))
    return [bounded_lines(part) for part in parts]
