"""Module: the definitions a task needs, cut out of the cells, as one importable file.

For every name wanted, and for every name that those read in turn, it holds the latest statement that bound it; never a
whole cell, so side effects stay in the kernel. What is not a plain definition travels by value, beside the file.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

__all__ = ["Captured", "Module", "locate", "tidy", "write_file"]

FILE = "cells.py"
WEEK = 7 * 24 * 60 * 60.0
_NAME = re.compile(r"[0-9a-f]{8,64}")
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

    @property
    def what(self) -> str:
        """How messages call it."""
        return f"variable {self.name!r} of {self.label}"


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

        Each file is replaced in one step, so that a reader never sees half of it; the source comes last. Where it is
        there already, the folder is only marked as used now.
        """
        if _holds(folder / FILE, self.source):
            os.utime(folder)
            return folder / FILE
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.captured:
            (folder / "captured").mkdir(mode=0o700, exist_ok=True)
        for value in self.captured:
            write_file(folder / "captured" / f"{value.name}.pkl", value.data)
        write_file(folder / FILE, self.source.encode())
        return folder / FILE


def _holds(path: Path, source: str) -> bool:
    try:
        return path.read_bytes() == source.encode()
    except OSError:
        return False


def tidy(modules: Path, keep: int = 200, age: float = WEEK) -> list[Path]:
    """Remove the modules that have not been used for long.

    Parameters
    ----------
    modules : Path
        The folder that has a folder for each.
    keep : int
        How many stay in any case: those used last.
    age : float
        Seconds; those used within them stay, too.

    Returns
    -------
    list of Path
        What was removed.
    """
    found = []
    for folder in modules.iterdir() if modules.is_dir() else ():
        try:
            if folder.is_dir() and not folder.is_symlink() and _NAME.fullmatch(folder.name):
                found.append((folder.stat().st_mtime, folder))
        except OSError:  # another process has just removed it
            continue
    old = [folder for used, folder in sorted(found)[: max(0, len(found) - keep)] if used < time.time() - age]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return old


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
