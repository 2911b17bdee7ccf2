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

__all__ = ["Process", "Processes"]

KILLED = -9
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
        self.warm = asyncio.Event()

    async def start(self, env: dict[str, str], folder: str) -> Process:
        """Start a worker.

        Parameters
        ----------
        env : dict
            All its environment variables.
        folder : str
            Its working directory.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        out, their_out = os.pipe()
        err, their_err = os.pipe()
        number = next(self._numbers)
        process = Process(ours, out, err, self.loop)
        path = list(map(str, sys.path)) if self._sys_path is None else self._sys_path
        try:
            async with self._sending:
                control = self._open()
                self._alive[number] = process
                fds = [theirs.fileno(), their_out, their_err]
                asked = json.dumps({"number": number, "env": env, "path": path, "folder": folder}).encode()
                await self._send(control, asked, fds)
            await process.started
        except BaseException:
            self._alive.pop(number, None)
            ours.close()
            os.close(out)
            os.close(err)
            raise
        finally:
            theirs.close()
            os.close(their_out)
            os.close(their_err)
        return process

    def prepare(self) -> None:
        """Start the zygote, so that the first worker need not wait for it."""
        self._open()

    def close(self) -> None:
        """End the zygote, and with it what it has started."""
        if self._control is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self.loop.remove_reader(self._control)
            self._control.close()
            self._control = None
        if self._zygote is not None:
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
        self.close()
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
                ready = self.loop.create_future()
                self.loop.add_writer(control, _set, ready, None)
                try:
                    await ready
                finally:
                    self.loop.remove_writer(control)
            except OSError:
                self.close()  # the zygote is gone
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
            self.close()
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
