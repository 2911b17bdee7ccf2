"""Module: the definitions a task needs, cut out of the cells, as one importable file.

For every name wanted, and for every name that those read in turn, it holds the latest statement that bound it; never a
whole cell, so side effects stay in the kernel. What is not a plain definition travels by value, beside the file.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

__all__ = ["Captured", "Module", "locate", "write_file"]

FILE = "cells.py"
_MARK = re.compile(r"# (In \[\d+\](?: .+)?), line (\d+)$")


@dataclass(frozen=True)
class Captured:
    """A value that travels beside the module because no plain definition gives it.

    Parameters
    ----------
    name : str
        The variable.
    data : bytes
        Its pickle.
    label : str
        The cell and line that bound it, or ``"the kernel"``.
    """

    name: str
    data: bytes = field(repr=False)
    label: str


@dataclass(frozen=True)
class Module:
    """The source of a generated module and the captured values beside it.

    Parameters
    ----------
    source : str
        Python, with a comment before each statement that tells its cell and line.
    captured : tuple of Captured
        What travels by value.
    notices : tuple of str
        What whoever runs it should know.
    """

    source: str
    captured: tuple[Captured, ...] = ()
    notices: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the definitions and captured values, in hex; cell numbers do not count."""
        lines = (line for line in io.StringIO(self.source, newline="") if not _MARK.match(line))
        total = hashlib.sha256("".join(lines).encode())
        for value in self.captured:
            total.update(f"\0{value.name}\0".encode() + hashlib.sha256(value.data).digest())
        return total.hexdigest()

    def write(self, folder: Path) -> Path:
        """Write the module into ``folder``, private to the user, and give the path of the file.

        Each file is replaced in one step, so that a reader never sees half of it.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.captured:
            (folder / "captured").mkdir(mode=0o700, exist_ok=True)
        for value in self.captured:
            write_file(folder / "captured" / f"{value.name}.pkl", value.data)
        write_file(folder / FILE, self.source.encode())
        return folder / FILE


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step: beside it first, then renamed over it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def locate(source: str, line: int) -> tuple[str, int] | None:
    """Give the cell and the line in it for a line of a generated module, or None outside any statement."""
    lines = list(io.StringIO(source, newline=""))  # as Python counts them
    for index in range(min(line, len(lines)) - 1, -1, -1):
        mark = _MARK.match(lines[index])
        if mark:
            return mark[1], int(mark[2]) + line - index - 2
    return None
