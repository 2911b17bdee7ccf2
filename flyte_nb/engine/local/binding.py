"""Binding: a process runs on the cores that its calls have, all of its threads, as calls come and go."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Binding"]


class Binding:
    """The cores that a warm worker runs on.

    Parameters
    ----------
    pid : int
        Its process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._held: list[frozenset[int]] = []
        self._bound: frozenset[int] = frozenset()

    @contextmanager
    def held(self, cores: frozenset[int] | None) -> Iterator[None]:
        """Run on some cores for a while, and on those of the other calls that there are; None changes nothing."""
        if not cores:
            yield
            return
        self._held.append(cores)
        self._bind()
        try:
            yield
        finally:
            self._held.remove(cores)
            if self._held:
                self._bind()

    def _bind(self) -> None:
        """Bind the process where that is not how it is bound already, which is what costs nothing."""
        wanted = frozenset().union(*self._held)
        if wanted == self._bound or sys.platform != "linux":
            return
        self._bound = wanted
        with contextlib.suppress(OSError):  # it may have ended already
            for thread in map(int, os.listdir(f"/proc/{self._pid}/task")):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(thread, wanted)
