"""Place: the line of the user's code where something was declared."""

from __future__ import annotations

import copy
import dataclasses
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from flyte_nb import tracebacks

_IPYTHON = f"{os.sep}IPython{os.sep}"  # between a cell and what its magics declare
_THROUGH = {dataclasses.__file__, copy.__file__}  # ``replace`` and ``copy`` construct on the user's behalf

#: gives the folder that relative paths in a cell mean; the session sets it, which knows the notebook
notebook_folder: Callable[[], str] = os.getcwd
#: gives the file of the module that holds what a cell declared; set by the package, whose session can write one
module_file: Callable[[Any], str] | None = None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where something was declared.

    Parameters
    ----------
    file : str
        Absolute path of the source file, or IPython's name for a cell.
    line : int
        Line in it, from 1.
    in_cell : bool
        Whether the file is a cell.
    at_import : bool
        Whether the line runs when its module is imported, outside any function.
    """

    file: str
    line: int
    in_cell: bool = False
    at_import: bool = False

    @property
    def folder(self) -> str:
        """The folder that relative paths in the declaration mean: that of the notebook, or of the file."""
        if self.in_cell:
            return notebook_folder()
        return os.getcwd() if self.file.startswith("<") else os.path.dirname(self.file)

    def __str__(self) -> str:
        return tracebacks.place(tracebacks.Frame(self.file, self.line, ""))


def here() -> Place:
    """Give the nearest line on the stack that is the user's own: outside this package, IPython and ``dataclasses``."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _passed_through(frame.f_code.co_filename, frame.f_code.co_name):
        frame = frame.f_back
    if frame is None:  # pragma: no cover - only when an embedding calls straight into the package
        return Place("<unknown>", 0)
    file = frame.f_code.co_filename
    in_cell = tracebacks.is_cell_file(file)
    path = file if in_cell or file.startswith("<") else os.path.abspath(file)
    return Place(path, frame.f_lineno, in_cell, frame.f_code.co_name == "<module>")


def _passed_through(file: str, function: str) -> bool:
    generated = file == "<string>" and function != "<module>"  # the ``__init__`` that dataclasses write
    return generated or file.startswith(tracebacks.PACKAGE) or _IPYTHON in file or file in _THROUGH
