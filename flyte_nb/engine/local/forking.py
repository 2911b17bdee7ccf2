"""Forking: the engine's side of the zygote — asks it for workers and hears when one has ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from flyte_nb.errors import RuntimeSystemError

__all__ = ["Process", "Processes"]

KILLED = -9
TRIES = 3
GRACE = 2.0  # seconds for the zygote to end by itself
#: what starts a Python as a zygote; the folder that ``python -m`` puts first would shadow the standard library
START = "import sys; sys.path[:] = sys.argv[2:]; from flyte_nb.engine.local.zygote import main; main()"


class Process:
    """A worker's process.

    Parameters
    ----------
    link : socket
        The engine's end of its pipe.
    stdout, stderr : int
        File descriptors of the reading ends of its output.
    """

    def __init__(self, link: socket.socket, stdout: int, stderr: int, loop: asyncio.AbstractEventLoop) -> None:
        self.link, self.stdout, self.stderr = link, stdout, stderr
        self.pid = 0
        #: set when it has a number; None when it could not be started
        self.started: asyncio.Future[int] = loop.create_future()
        #: its exit code, a signal's number negative
        self.ended: asyncio.Future[int] = loop.create_future()
        #: the exit code of the process that started it, where that one's end has taken it along
        self.zygote_ended: int | None = None
        #: whether nobody wants it any more
        self.is_dropped = False

    @classmethod
    def piped(cls, loop: asyncio.AbstractEventLoop) -> tuple[Process, list[int]]:
        """Give a process that is yet to start, and the file descriptors that are for it: link, stdout, stderr."""
        with contextlib.ExitStack() as opened:
            ours, theirs = socket.socketpair()
            opened.callback(ours.close)
            opened.callback(theirs.close)
            fds: list[int] = []
            for _ in range(2):
                fds += os.pipe()
                for fd in fds[-2:]:
                    opened.callback(os.close, fd)
            opened.pop_all()
        ours.setblocking(False)
        out, their_out, err, their_err = fds
        return cls(ours, out, err, loop), [theirs.detach(), their_out, their_err]

    def drop(self) -> None:
        """Close its pipes, where nobody listens to them: should it start yet, it ends at once."""
        self.is_dropped = True
        self.link.close()
        os.close(self.stdout)
        os.close(self.stderr)

    def end(self, code: int) -> None:
        """Note that it has ended."""
        _set(self.started, self.pid)
        _set(self.ended, code)


class Processes:
    """The processes that one zygote forks, for the running event loop.

    Parameters
    ----------
    python : Path
        The interpreter of the zygote and of the workers.
    sys_path : list of str, optional
        Where it finds modules; this process's own ``sys.path`` by default.
    """

    def __init__(self, python: Path, sys_path: list[str] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._python, self._sys_path = python, sys_path
        self._numbers = itertools.count(1)
        self._alive: dict[int, Process] = {}
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._heard = b""
        self._sending = asyncio.Lock()
        self._writable: asyncio.Future[None] | None = None
        self._over = False
        self.warm = asyncio.Event()

    async def start(self, env: dict[str, str], folder: str, grace: float = 0.0) -> Process:
        """Start a worker; from another zygote, where the one there is ends before it could.

        Parameters
        ----------
        env : dict
            All its environment variables.
        folder : str
            Its working directory.
        grace : float
            Seconds that it has to end by itself once its engine has gone.

        Raises
        ------
        RuntimeSystemError
            When no process can be started.
        """
        why: object = "the process that starts workers was ended"
        for _ in range(TRIES):
            if self._over:
                break
            try:
                process = await self._start(env, folder, grace)
            except OSError as error:  # the zygote has gone, or this process has no room for another file
                why = error
                continue
            if process.pid:
                return process
            process.drop()
        raise RuntimeSystemError("NoWorker", f"no process could be started: {why}")

    async def _start(self, env: dict[str, str], folder: str, grace: float) -> Process:
        process, theirs = Process.piped(self.loop)
        number = next(self._numbers)
        path = list(map(str, sys.path)) if self._sys_path is None else self._sys_path
        asked = {"number": number, "env": env, "path": path, "folder": folder, "grace": grace}
        asking = self.loop.create_task(self._ask(process, asked, theirs))
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be waiting
        try:
            await asyncio.shield(asking)  # half a request would spoil all that follow
            await process.started
        except BaseException:
            self._alive.pop(number, None)
            process.drop()
            raise
        return process

    async def _ask(self, process: Process, asked: dict[str, Any], theirs: list[int]) -> None:
        """Ask the zygote for a process, unless nobody wants it any more; close what is for it."""
        try:
            async with self._sending:
                if process.is_dropped:
                    return
                if self._over:
                    raise ConnectionAbortedError("the engine has been stopped")
                control = self._open()
                self._alive[asked["number"]] = process
                await self._send(control, json.dumps(asked).encode(), theirs)
        finally:
            for fd in theirs:
                os.close(fd)

    def prepare(self) -> None:
        """Start the zygote, so that the first worker need not wait for it."""
        self._open()

    def close(self) -> None:
        """End the zygote for good, and with it what it has started."""
        self._over = True
        self._end()

    def _lost(self) -> None:
        """Take note that the zygote has gone by itself, and that what it had started goes with it."""
        assert self._zygote is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._zygote.wait(GRACE)
        for process in self._alive.values():
            process.zygote_ended = self._zygote.returncode
        self._end()

    def _end(self) -> None:
        """End the zygote; the next worker is another one's."""
        if self._control is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self.loop.remove_reader(self._control)
                self.loop.remove_writer(self._control)
                if self._writable is not None:
                    _set(self._writable, None)  # who writes shall hear of it
            self._control.close()
            self._control = None
        if self._zygote is not None:
            self._zygote.terminate()  # it ends what it has started, and what that has started
            try:
                self._zygote.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._zygote.kill()
                self._zygote.wait()
            self._zygote = None
        for process in self._alive.values():
            if not self.loop.is_closed():
                process.end(KILLED)
        self._alive.clear()

    def _open(self) -> socket.socket:
        if self._control is not None and self._zygote is not None and self._zygote.poll() is None:
            return self._control
        if self._zygote is not None:
            self._lost()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            path = list(map(str, sys.path)) if self._sys_path is None else self._sys_path
            self._zygote = subprocess.Popen(
                [self._python, "-c", START, str(theirs.fileno()), *path],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=None, pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )  # fmt: skip
        self._control, self._heard = ours, b""
        self.warm.clear()
        self.loop.add_reader(ours, self._hear)
        return ours

    async def _send(self, control: socket.socket, data: bytes, fds: list[int]) -> None:
        sent = False
        rest = data
        while rest or not sent:
            try:
                if not sent:
                    socket.send_fds(control, [len(data).to_bytes(4, "big")], fds)
                    sent = True
                rest = rest[control.send(rest) :]
            except BlockingIOError:
                self._writable = self.loop.create_future()
                self.loop.add_writer(control, _set, self._writable, None)
                await self._writable
                self._writable = None
                if control is self._control:
                    self.loop.remove_writer(control)
            except OSError:
                if control is self._control:
                    self._lost()
                raise

    def _hear(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, told: dict[str, int | str]) -> None:
        if told["op"] == "warm":
            self.warm.set()
            return
        number = int(told["number"])
        process = self._alive.get(number)
        if process is None:
            return
        if told["op"] == "started":
            process.pid = int(told["pid"])
            _set(process.started, process.pid)
        else:
            del self._alive[number]
            process.end(int(told["code"]))


def _set(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
