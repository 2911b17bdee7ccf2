"""Scratch: folders for what an engine writes while it runs, which are gone when it has ended, however it ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["scratch"]

LONGEST = 16  # characters of the folder for temporary files; engines put sockets below it, whose paths must be short
YOUNG = 60.0  # seconds in which a folder may still be without its lock
_LOCK = "lock"


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Give a new folder of this user's alone; those that ended processes have left are removed first.

    Parameters
    ----------
    name : str
        What engine it is for; the folder is named after it.
    """
    root, prefix = _root(), f"flyte-nb-{name}-"
    _sweep(root, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # it is let go of with this process, at the latest
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _root() -> Path:
    found = Path(tempfile.gettempdir())
    return found if len(str(found)) <= LONGEST else Path("/tmp")


def _sweep(root: Path, prefix: str) -> None:
    for folder in root.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid() and _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Tell whether nobody holds the lock of a folder; a new one may be without its lock still."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > YOUNG
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
