"""Guard: a small process that outlives its engine just long enough to end the workers that it left behind.

A worker ends itself when its engine is gone, but one that native code holds cannot, and one that is killed takes none
of its own children along. The guard hears of every group of workers, and ends those left when its input ends; the
folder of shared memory, which it is started for, it removes.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import weakref
from pathlib import Path

__all__ = ["Guard"]

_SOURCE = """
import os, shutil, signal, sys
groups = set()
for line in sys.stdin:
    groups ^= {int(line)}
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class Guard:
    """Watches over process groups; its process has a session of its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._end: weakref.finalize[[subprocess.Popen[str]], Guard] | None = None

    def begin(self, folder: Path) -> None:
        """Start the guard's process, which removes the folder of shared memory should this process end first."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _SOURCE, str(folder)], text=True, bufsize=1, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self._end = weakref.finalize(self, _end, self._process)

    def watch(self, group: int) -> None:
        """End the group, should this process end first."""
        self._tell(group)

    def release(self, group: int) -> None:
        """Forget a group that has ended, before its number can be another's."""
        self._tell(group)

    def close(self) -> None:
        """End the guard's process, and with it the groups still watched; the end of the interpreter does it too."""
        if self._end is not None:
            self._end()
        self._process = self._end = None

    def _tell(self, group: int) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # someone ended the guard: workers still end themselves
            self._process.stdin.write(f"{group}\n")


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    process.wait()
