"""Pool: where worker processes come from, and how one is talked to and ended."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import functools
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.base import Work
from flyte_nb.engine.local.guard import Guard

__all__ = ["Died", "Pool", "Worker"]

GRACE = 2.0  # seconds for a worker to end by itself
LAST_WORDS = 1.0  # seconds for what a process that ended has written to arrive
TICK = 0.005
#: the folder that ``python -m`` puts first would shadow the standard library in a worker, though not in its engine
START = "import sys; sys.path[:] = sys.argv[2:]; from flyte_nb.engine.local.worker import main; main()"
_KERNEL_ONLY = ("JPY_", "PYDEVD", "IPYKERNEL", "FLYTE_NB_NOTEBOOK")

Output = Callable[[str, str], None]
Child = Callable[[dict[str, Any], list[bytes]], Awaitable[tuple[dict[str, Any], tuple[bytes | memoryview, ...]]]]


class Died(Exception):  # noqa: N818 - it says what happened
    """The worker's process ended before it answered."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(exit_code)


class Worker:
    """One worker process and the engine's end of its pipe."""

    def __init__(self, process: asyncio.subprocess.Process, link: socket.socket) -> None:
        self.process = process
        self._link = link
        self._exit = asyncio.create_task(_exited(process))
        self._children: set[asyncio.Task[None]] = set()
        self._printing: list[asyncio.Task[None]] = []

    @property
    def pid(self) -> int:
        """The process's number, and that of its group."""
        return self.process.pid

    async def connect(self, work: Work, output: Output) -> codec.Frame:
        """Listen to what it prints and make it load its module; give its ``ready`` frame.

        Raises
        ------
        Died
            When it ends before that.
        """
        for name in ("stdout", "stderr"):
            stream = getattr(self.process, name)
            self._printing.append(asyncio.create_task(_relay(stream, functools.partial(output, name))))
        self._reader, self._writer = await asyncio.open_connection(sock=self._link, limit=1 << 24)
        definition = work.definition
        path = None if definition.path is None else str(definition.path)
        folder = None if definition.folder is None else str(definition.folder)
        head = {"op": "load", "path": path, "main": definition.main, "folder": folder, "inside": definition.inside}
        await self._send(head)
        return await self._next()

    async def call(self, work: Work, child: Child) -> codec.Frame:
        """Run a task in the worker, and the tasks that it calls through ``child``; give its ``result`` frame.

        Raises
        ------
        Died
            When the process ends first.
        """
        definition = work.definition
        head = {
            "op": "call",
            "id": "root",
            "task": work.task,
            "module": definition.module,
            "texts": work.texts,
            "context": work.context,
        }
        by_value = (definition.pickled,) if definition.pickled else ()
        await self._send({**head, "by_value": bool(by_value)}, (*by_value, *work.inputs))
        while True:
            head, parts = await self._next()
            if head["op"] == "result":
                return head, parts
            self._start_child(head, parts, child)

    def _start_child(self, head: dict[str, Any], parts: list[bytes], child: Child) -> None:
        async def run() -> None:
            reply, answer = await child(head, parts)
            await self._send({**reply, "op": "result", "id": head["id"]}, answer)

        task = asyncio.create_task(run())
        self._children.add(task)
        task.add_done_callback(self._children.discard)

    async def _send(self, head: dict[str, Any], parts: Any = ()) -> None:
        with contextlib.suppress(ConnectionError):  # a worker that died is noticed where it is read
            self._writer.writelines(codec.pack(head, parts))
            await self._writer.drain()

    async def _next(self) -> codec.Frame:
        reading = asyncio.create_task(codec.read(self._reader))
        try:
            await asyncio.wait((reading, self._exit), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((reading,), timeout=LAST_WORDS)  # a process it forked may hold the pipe open
            frame = reading.result() if reading.done() else None
        except ValueError:  # the task wrote into the pipe: nothing can be made of it any more
            frame = None
        finally:
            reading.cancel()
        if frame is None:
            raise Died(await self._ended())
        return frame

    async def _ended(self) -> int:
        """Give the exit code, soon: a worker that closed its pipe is of no use any more."""
        await asyncio.wait((self._exit,), timeout=GRACE)
        self._kill_group()
        return await self._exit

    async def end(self) -> None:
        """End the process and its whole group, gently where it is idle, and let its last output through."""
        await self._send({"op": "bye"})
        await asyncio.wait((self._exit,), timeout=GRACE)
        await self._finish()

    async def kill(self) -> None:
        """End the process and its whole group at once."""
        await self._finish()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def _finish(self) -> None:
        for task in self._children:
            task.cancel()
        self._kill_group()
        await asyncio.gather(self._exit, *self._children, return_exceptions=True)
        _, hanging = await asyncio.wait(self._printing, timeout=LAST_WORDS) if self._printing else ((), ())
        for task in hanging:  # a process outside the group still holds the pipe
            task.cancel()
        self.process._transport.close()  # type: ignore[attr-defined]  # asyncio closes it only with the last holder
        if hasattr(self, "_writer"):
            self._writer.close()
        else:
            self._link.close()


async def _exited(process: asyncio.subprocess.Process) -> int:
    """Wait for the process alone: asyncio's ``wait`` waits for everyone who holds its pipes, too."""
    while process.returncode is None:
        await asyncio.sleep(TICK)
    return process.returncode


async def _relay(stream: asyncio.StreamReader, told: Callable[[str], None]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while data := await stream.read(1 << 16):
        if text := decoder.decode(data):
            told(text)
    if text := decoder.decode(b"", final=True):
        told(text)


class Pool:
    """Gives workers; today each call has a new process, which is where a warm parent will come in."""

    def __init__(self) -> None:
        self._alive: set[Worker] = set()
        self._guard = Guard()

    @asynccontextmanager
    async def worker(self, work: Work) -> AsyncIterator[Worker]:
        """Give a worker for one call, in a process group of its own; whatever happens, nothing of it is left."""
        worker = await self._start(work)
        self._alive.add(worker)
        self._guard.watch(worker.pid)
        try:
            yield worker
            await worker.end()
        except BaseException:
            await worker.kill()
            raise
        finally:
            self._alive.discard(worker)
            self._guard.release(worker.pid)

    async def _start(self, work: Work) -> Worker:
        env = environment({**work.env_vars, **work.settings.env_vars})
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", START, str(theirs.fileno()), *map(str, sys.path),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),), start_new_session=True, env=env,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return Worker(process, ours)

    async def close(self) -> None:
        """End every worker that is alive."""
        await asyncio.gather(*(worker.kill() for worker in list(self._alive)))
        self._guard.close()


def environment(env_vars: dict[str, str]) -> dict[str, str]:
    """Give the variables of a worker: this process's own without the kernel's, and then the task's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_KERNEL_ONLY)}
    if own.get("MPLBACKEND", "").startswith("module://matplotlib_inline"):
        del own["MPLBACKEND"]  # it draws into the kernel, which a worker is not
    return {**own, **env_vars}
