"""Guard: a small process that outlives its engine just long enough to end the workers that it left behind.

A worker ends itself when its engine is gone, but one that native code holds cannot, and one that is killed takes none
of its own children along. The guard hears of every group of workers, and ends those left when its engine has ended,
whoever else holds its pipe: a process that the user's code has forked has all files that the engine had. The folder of
shared memory, which it is started for, it removes. A group that was given some seconds has them to end by itself.
Should somebody end the guard, the engine starts another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
import weakref
from pathlib import Path

__all__ = ["Guard"]

GRACE = 2.0  # seconds for the guard to end what it watches
QUICK = 1.0  # seconds: a guard that ends sooner is not started again until there is something to watch
_SOURCE = """
import os, select, shutil, signal, sys, time

groups, rest, engine = {}, b"", int(sys.argv[2])

def heard():
    global rest
    data = os.read(0, 65536)
    *lines, rest = (rest + data).split(b"\\n")
    for line in lines:
        if line == b"end":
            groups.update(dict.fromkeys(groups, 0.0))
            return False
        group, _, grace = line.partition(b" ")
        if grace:
            groups[int(group)] = float(grace)
        else:
            groups.pop(int(group), None)
    return bool(data)

try:
    watched, pause = [0, os.pidfd_open(engine)], None
except (AttributeError, OSError):
    watched, pause = [0], 1
while os.getppid() == engine:
    ready, _, _ = select.select(watched, [], [], pause)
    if 0 in ready and not heard():
        break
os.set_blocking(0, False)
try:
    while heard():
        pass
except OSError:
    pass
began = time.monotonic()
while groups:
    passed = time.monotonic() - began
    for group, grace in list(groups.items()):
        try:
            os.killpg(group, signal.SIGKILL if grace <= passed else 0)
        except OSError:
            grace = 0.0
        if grace <= passed:
            del groups[group]
    if groups:
        time.sleep(0.01)
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class Guard:
    """Watches over process groups; its process has a session of its own, and belongs to the running event loop."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._groups: dict[int, float] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = 0.0
        self._end: weakref.finalize[[subprocess.Popen[bytes], Path], Guard] | None = None

    def begin(self, folder: Path) -> None:
        """Start the guard's process, which removes the folder of shared memory should this process end first."""
        if self._folder is None:
            self._folder = folder
            self._start()

    def watch(self, group: int, grace: float = 0.0) -> None:
        """End the group, should this process end first; ``grace`` is seconds that it has to end by itself."""
        self._groups[group] = grace
        self._tell(group)

    def release(self, group: int) -> None:
        """Forget a group that has ended, before its number can be another's."""
        self._groups.pop(group, None)
        self._tell(group)

    def close(self) -> None:
        """End the guard's process, and with it the groups still watched; the end of the interpreter does it too."""
        process = self._forget()
        if process is not None and self._folder is not None:
            _end(process, self._folder)
        self._groups.clear()
        self._folder = None

    def _start(self) -> None:
        """Start a process, and tell it what to watch."""
        assert self._folder is not None
        self._process = process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SOURCE, str(self._folder), str(os.getpid())],
            bufsize=0, start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        self._end = weakref.finalize(self, _end, process, self._folder)
        self._began = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(process.stdout, self._ended)  # it says nothing: there is something to read at its end
        for group in self._groups:
            self._write(process, group)

    def _ended(self) -> None:
        """Take note that somebody has ended the guard."""
        process = self._forget()
        if process is not None:
            _reap(process)
        if time.monotonic() - self._began > QUICK:
            self._start()

    def _forget(self) -> subprocess.Popen[bytes] | None:
        """Give the process, which is no more the guard's from now on."""
        process, self._process = self._process, None
        if self._end is not None:
            self._end.detach()
            self._end = None
        if process is not None and self._loop is not None and not self._loop.is_closed():
            assert process.stdout is not None
            self._loop.remove_reader(process.stdout)
        return process

    def _tell(self, group: int) -> None:
        """Tell the guard of a change; one that was ended is started again, with all there is to watch."""
        if self._folder is None:
            return
        if self._process is None:
            self._start()
        else:
            self._write(self._process, group)

    def _write(self, process: subprocess.Popen[bytes], group: int) -> None:
        assert process.stdin is not None
        told = f"{group} {self._groups[group]:g}\n" if group in self._groups else f"{group}\n"
        with contextlib.suppress(BrokenPipeError):  # it has ended, as its output says in a moment
            if process.stdin.write(told.encode()) is None:  # it does not read: somebody has stopped it
                process.kill()


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.write(b"end\n")
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:  # somebody has stopped it
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    _reap(process)


def _reap(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):
            pipe.close()
    process.wait()
