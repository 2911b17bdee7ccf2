"""Processes: who belongs to the tree of a task, how much memory it has, and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Processes", "Tree", "kill", "memory_of", "peak_of", "proportional", "reset_peak"]

_HAS_PROC = Path("/proc/self/statm").exists()
FORGET = 2.0  # seconds after which strangers are looked at again: a number may have become another process's


class _Process(NamedTuple):
    parent: int
    group: int
    session: int
    started: int  # in ticks since the machine began, which with the number makes it that process


class Tree:
    """The processes of one task: its first, its session and process group, and all that they started.

    Parameters
    ----------
    root : int
        The number of the first; it leads a session or a process group of its own.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self.members: dict[int, int] = {}  # their numbers, and when they started

    def take(self, number: int, process: _Process) -> bool:
        """Take a process if it belongs here; tell whether it does."""
        ours = number == self.root or self.root in (process.session, process.group) or process.parent in self.members
        if ours:
            self.members[number] = process.started
        return ours

    def memory(self) -> int:
        """Give the bytes of memory its processes have; what they share is counted for each of them."""
        return sum(memory_of(number) for number in list(self.members))


class Processes:
    """Looks for the processes of trees; a look costs little, since only those that are new are read."""

    def __init__(self) -> None:
        self._strangers: dict[int, _Process] = {}
        self._forgotten = 0.0

    def look(self, trees: Iterable[Tree]) -> None:
        """Find the processes that are new in the trees, and drop those that ended."""
        trees = list(trees)
        if not _HAS_PROC:
            for tree in trees:
                tree.members = _children(tree.root)
            return
        if time.monotonic() > self._forgotten + FORGET:
            self._strangers.clear()
            self._forgotten = time.monotonic()
        alive = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        for number in self._strangers.keys() - alive:
            del self._strangers[number]
        for number in sorted(alive.difference(self._strangers, *(tree.members for tree in trees))):
            process = _read(number)  # a parent comes before its children, but where numbers start again
            if process is not None and not any(tree.take(number, process) for tree in trees):
                self._strangers[number] = process
        for tree in trees:
            for number in tree.members.keys() - alive:
                del tree.members[number]

    def begin(self, tree: Tree) -> None:
        """Find the processes of a new tree: its first, and what was a stranger so far."""
        process = _read(tree.root) if _HAS_PROC else None
        if process is not None:
            tree.take(tree.root, process)
        taken = [number for number, seen in sorted(self._strangers.items()) if tree.take(number, seen)]
        for number in taken:
            del self._strangers[number]


def kill(tree: Tree) -> None:
    """Kill a tree: its process group at once, then every process of it, and what they start meanwhile."""
    processes = Processes()
    processes.look([tree])
    if tree.members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(tree.root, signal.SIGKILL)
    for _ in range(20):
        before = set(tree.members)
        for number, started in list(tree.members.items()):
            process = _read(number) if _HAS_PROC else None
            if not _HAS_PROC or (process and process.started == started):  # else it is another process by now
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(number, signal.SIGKILL)
        processes.look([tree])
        if set(tree.members) <= before:
            return


def memory_of(number: int) -> int:
    """Give the bytes of memory that are a process's own: what it maps of files is not, as it can be dropped."""
    if not _HAS_PROC:
        return _memory_elsewhere(number)
    return sum(_of_status(number, b"RssAnon:", b"RssShmem:", b"VmSwap:"))


def proportional(numbers: Iterable[int]) -> int:
    """Give the bytes of memory of some processes, with what they share counted once; slow for large ones."""
    return sum(_proportional(number) for number in numbers)


def peak_of(number: int) -> int | None:
    """Give the most bytes of memory that a process had so far; None where the system does not tell, or it ended."""
    highest, files = _of_status(number, b"VmHWM:", b"RssFile:")
    return highest - files if highest else None


def reset_peak(number: int) -> bool:
    """Let `peak_of` a process count from now on, as for a worker that takes another task; tell whether it does."""
    try:
        descriptor = os.open(f"/proc/{number}/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.write(descriptor, b"5") == 1
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _of_status(number: int, *keys: bytes) -> list[int]:
    """Give amounts, in bytes, that the system tells of a process; 0 for what it does not."""
    text = _text(f"/proc/{number}/status")
    return [_amount(text, key) for key in keys]


def _text(path: str) -> bytes:
    """Give the start of a file of the system, empty where it is gone; as many are read, without a file object."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 8192)
    except OSError:  # it ended meanwhile, or is another's
        return b""
    finally:
        os.close(descriptor)


def _amount(text: bytes, key: bytes) -> int:
    at = text.find(key)
    return int(text[at + len(key) : text.index(b"kB", at)]) << 10 if at >= 0 else 0


def _proportional(number: int) -> int:
    text = _text(f"/proc/{number}/smaps_rollup")
    if not text:  # another's process, or an older system
        return memory_of(number)
    return sum(_amount(text, key) for key in (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:"))


def _read(number: int) -> _Process | None:
    fields = _text(f"/proc/{number}/stat").rpartition(b")")[2].split()
    if len(fields) < 20 or fields[0] in b"ZX":
        return None
    return _Process(int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def _memory_elsewhere(number: int) -> int:
    import psutil

    try:
        return int(psutil.Process(number).memory_info().rss)
    except psutil.Error:
        return 0


def _children(root: int) -> dict[int, int]:
    """Give a process and its descendants where there is no ``/proc``, as on macOS."""
    import psutil

    try:
        process = psutil.Process(root)
        return {root: 0, **{child.pid: 0 for child in process.children(recursive=True)}}
    except psutil.Error:
        return {}
