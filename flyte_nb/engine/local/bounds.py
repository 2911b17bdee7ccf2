"""Bounds: how many processes a task may start and how many files it may open, so that it cannot use up the machine."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flyte_nb.engine.local.cgroups import Group, make_group

__all__ = ["FILES", "PROCESSES", "Bounds", "bounded"]

PROCESSES = max(512, 64 * (os.cpu_count() or 1))  # numeric libraries start a thread a core, in every process
FILES = 4096  # what a task may open at least, where the system lets a user have as many
_UNLIMITED = resource.RLIM_INFINITY


@dataclass(frozen=True)
class Bounds:
    """What to set in a process before it runs a task; plain data, so it may cross to whoever starts the process.

    Parameters
    ----------
    processes : int or None
        The most processes and threads that the user may have for this one to start another; None leaves it.
    files : int
        The most files it may have open.
    group : str or None
        The folder of the control group that counts its processes.
    bound : bool
        Whether the number of processes is bounded here at all.
    """

    processes: int | None
    files: int
    group: str | None
    bound: bool

    def __call__(self) -> None:
        """Set the bounds in this process, as ``preexec_fn`` or after a fork; what is not allowed is left."""
        if self.group is not None:
            Group(Path(self.group), 1).add(0)
        if self.processes is not None:
            _set(resource.RLIMIT_NPROC, self.processes)
        _set(resource.RLIMIT_NOFILE, self.files)

    def apply_to(self, pid: int) -> None:
        """Set the bounds in another process of this user, where the system can do that (Linux)."""
        if self.group is not None:
            Group(Path(self.group), 1).add(pid)
        if sys.platform == "linux":
            if self.processes is not None:
                _set(resource.RLIMIT_NPROC, self.processes, pid)
            _set(resource.RLIMIT_NOFILE, self.files, pid)


@contextmanager
def bounded(processes: int = PROCESSES, files: int | None = None) -> Iterator[Bounds]:
    """Give the bounds of one task's processes; on leaving, those still in its control group are killed.

    Where this user may make control groups (``pids``), the task and all it starts are counted together, and the bound
    is exact, for root too. Elsewhere the limit that the system has for each user is set to what the user has now and
    ``processes`` more; it does not bind root, for whom nothing is bounded then: ``bound`` says so.

    Parameters
    ----------
    processes : int
        The most processes and threads of the task.
    files : int, optional
        The most files each may have open. By default what is allowed now, and at least 4,096 where that can be had.
    """
    group = make_group("pids", "flyte-nb")
    if group is not None and not group.write("pids.max", processes):
        group.remove()
        group = None
    try:
        yield _bounds(group, processes, files)
    finally:
        if group is not None:
            group.kill()
            _remove(group)


def _bounds(group: Group | None, processes: int, files: int | None) -> Bounds:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == _UNLIMITED else min(FILES, hard)
    allowed = files if files is not None else soft if soft == _UNLIMITED else max(soft, most)
    if group is not None:
        return Bounds(None, allowed, str(group.folder), bound=True)
    ordinary = os.geteuid() != 0
    return Bounds(_of_user() + processes if ordinary else None, allowed, None, bound=ordinary)


def _of_user() -> int:
    """Count the processes and threads that this user has."""
    user, count = os.getuid(), 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == user:
                count += len(os.listdir(folder / "task"))
    return count or _count_elsewhere(user)


def _count_elsewhere(user: int) -> int:
    import psutil

    return sum(1 for process in psutil.process_iter(["uids"]) if (uids := process.info["uids"]) and uids.real == user)


def _set(kind: int, value: int, pid: int = 0) -> None:
    """Set a soft limit, and the hard one where it would be above it."""
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.prlimit(pid, kind) if pid else resource.getrlimit(kind)
        soft = value if hard == _UNLIMITED else min(value, hard)
        if pid:
            resource.prlimit(pid, kind, (soft, hard))
        else:
            resource.setrlimit(kind, (soft, hard))


def _remove(group: Group) -> None:
    until = time.monotonic() + 1
    while not group.remove() and time.monotonic() < until:
        time.sleep(0.001)
