"""Replica: one worker process as its engine sees it — loads a module, takes calls, prints, and is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from flyte_nb.engine import codec
from flyte_nb.engine.base import Work
from flyte_nb.engine.local.binding import Binding
from flyte_nb.engine.local.forking import Process
from flyte_nb.engine.local.limits import Exceeded
from flyte_nb.engine.local.streams import Streams
from flyte_nb.engine.segments import Segments

__all__ = ["Answering", "Calling", "Died", "Replica"]

GRACE = 2.0  # seconds for a worker to end by itself
LAST_WORDS = 1.0  # seconds for what a process that ended has written to arrive
CANCEL = 1.0  # seconds for a cancelled async task to end

Output = Callable[[str, str], None]
Step = Callable[[dict[str, Any]], None]
Child = Callable[[dict[str, Any], list[codec.Part]], Awaitable[tuple[dict[str, Any], tuple[codec.Part, ...]]]]


class Died(Exception):  # noqa: N818 - it says what happened
    """The worker's process ended before it answered.

    Parameters
    ----------
    exit_code : int
        That of the process, a signal's number negative.
    exceeded : Exceeded, optional
        The limit that it was ended for.
    zygote_ended : int, optional
        The exit code of the process that started it, where that one's end has taken it along.
    unread : bool
        Whether it had not read its call, so that another worker may have it.
    """

    def __init__(
        self, exit_code: int, exceeded: Exceeded | None = None, zygote_ended: int | None = None, unread: bool = False
    ) -> None:
        self.exit_code, self.exceeded, self.zygote_ended, self.unread = exit_code, exceeded, zygote_ended, unread
        super().__init__(exit_code)


@dataclass(eq=False)
class Calling:
    """A call that a replica works on.

    Parameters
    ----------
    result : Future
        Its ``result`` frame.
    output : callable
        Takes what it prints: the stream's name, and the text.
    child : callable
        Carries out a task that it calls.
    step : callable
        Hears of the steps of it that are traced.
    children : set of Task
        Those that run now.
    """

    result: asyncio.Future[codec.Frame]
    output: Output
    child: Child
    step: Step
    children: set[asyncio.Task[None]] = field(default_factory=set)


class Answering(Protocol):
    """A line that a replica answers: calls that come to it past its engine."""

    def calling(self, number: str) -> Calling | None:
        """Give what a call on it is known by here; None for one that has ended."""

    def newest(self) -> Calling | None:
        """Give the newest call that has not ended."""

    def told(self, head: dict[str, Any]) -> None:
        """Take what the replica reports of it."""

    def gone(self) -> None:
        """Hear that the replica has ended."""


class Replica(asyncio.Protocol):
    """One worker process.

    Parameters
    ----------
    process : Process
        The process; it has started.
    output : callable
        Takes what it prints while it works on no call.
    segments : Segments
        Where it shares large buffers.
    """

    #: seconds that it has to end by itself once its engine has gone
    grace: ClassVar[float] = 0.0

    def __init__(self, process: Process, output: Output, segments: Segments) -> None:
        self.process, self.output, self._segments = process, output, segments
        self.calls: dict[str, Calling] = {}
        self.at_once = 1
        #: the runs that it was told of
        self.runs: set[str] = set()
        #: the cores it runs on
        self.binding = Binding(process.pid)
        #: what watches its memory
        self.watching = contextlib.AsyncExitStack()
        #: set when it was ended for its memory
        self.exceeded: Exceeded | None = None
        #: whether it works on something that nobody waits for any more
        self.is_stuck = False
        #: what it prints
        self.streams = Streams(process.stdout, process.stderr, self._printed)
        #: the line that it answers, if it does
        self.line: Answering | None = None
        self._loop = asyncio.get_running_loop()
        self._frames = codec.Frames()
        self._transport: asyncio.Transport | None = None
        self._ready: asyncio.Future[codec.Frame] = self._loop.create_future()
        self._sent = 0
        self._unread = False

    @property
    def pid(self) -> int:
        """The process's number, and that of its group."""
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can take another call."""
        connected = self._transport is not None and not self._transport.is_closing()
        return connected and not self.is_stuck and not self.process.ended.done()

    def exceed(self, exceeded: Exceeded) -> None:
        """Note that it was ended because it had more memory than it may."""
        self.exceeded = exceeded

    async def load(self, work: Work, at_once: int = 1) -> codec.Frame:
        """Listen to the process and make it load the module of some work; give its ``ready`` frame.

        Parameters
        ----------
        work : Work
            What it will be called for.
        at_once : int
            How many async tasks it shall run at a time; 1 for one task of any kind after the other.

        Raises
        ------
        Died
            When it ends before that.
        """
        self.streams.listen()
        await self._loop.create_connection(lambda: self, sock=self.process.link)
        self.process.ended.add_done_callback(self._process_ended)
        self.at_once, definition = at_once, work.definition
        path = None if definition.path is None else str(definition.path)
        folder = None if definition.folder is None else str(definition.folder)
        self._send({"op": "load", "path": path, "main": definition.main, "at_once": at_once, "folder": folder,
                    "inside": definition.inside, "segments_in": str(self._segments.folder)})  # fmt: skip
        try:
            return await self._answer(self._ready)
        except Died as died:
            died.unread = died.zygote_ended is not None  # it ended for nothing that it loaded
            raise

    def calling(self, output: Output, child: Child, step: Step) -> Calling:
        """Give what a call is known by here."""
        return Calling(self._loop.create_future(), output, child, step)

    async def call(self, number: str, work: Work, calling: Calling, context: dict[str, Any]) -> codec.Frame:
        """Run a task in the worker, and the tasks that it calls; give its ``result`` frame.

        Parameters
        ----------
        number : str
            What the call is known by there; no other call of this replica has it.
        context : dict
            What the task is told of its run and its action, as JSON data.

        Raises
        ------
        Died
            When the process ends first.
        """
        self.calls[number], definition = calling, work.definition
        head = {
            "op": "call",
            "id": number,
            "task": work.task,
            "module": definition.module,
            "by_value": bool(definition.pickled),
            "texts": work.texts,
            "root": work.root,
            "context": context,
        }
        if work.policy.plugin:
            head["plugin"] = work.policy.plugin
        by_value = (definition.pickled,) if definition.pickled else ()
        try:
            if not self._send(head, (*by_value, *work.inputs)):
                self.connection_lost(BrokenPipeError())
            sent = self._sent
            return await self._answer(calling.result)
        except Died as died:
            died.unread = self._unread and self._sent == sent
            raise
        except asyncio.CancelledError:
            await self._cancel(number, calling)
            raise
        finally:
            del self.calls[number]
            for task in calling.children:
                task.cancel()
            if calling.children:
                await asyncio.gather(*calling.children, return_exceptions=True)

    def hand(self, head: dict[str, Any], end: socket.socket, line: Answering | None = None) -> bool:
        """Send a frame with the end of a line; tell whether it was possible at once.

        Parameters
        ----------
        line : Answering, optional
            What hears of the line, when the replica is to answer it.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        data = b"".join(codec.pack(head))
        try:
            sent = socket.send_fds(self.process.link, [data], [end.fileno()])
        except OSError:  # no room, or it has ended
            return False
        if sent < len(data):
            transport.write(data[sent:])
        self._sent += 1
        self.line = line or self.line
        return True

    async def _cancel(self, number: str, calling: Calling) -> None:
        """Let an async task that runs beside others end by itself; anything else is ended with its process."""
        if self.at_once == 1:
            self.is_stuck = True
            return
        calling.result = self._loop.create_future()  # the first one was cancelled with whoever awaited it
        self._send({"op": "cancel", "id": number})
        try:
            await asyncio.wait((calling.result,), timeout=CANCEL)
        finally:
            self.is_stuck = self.is_stuck or not calling.result.done()

    async def end(self) -> None:
        """End the process and its whole group, gently, and let its last output through."""
        self._send({"op": "bye"})
        if not self.process.ended.done():
            await asyncio.wait((self.process.ended,), timeout=GRACE)
        await self.kill()

    async def kill(self) -> None:
        """End the process and its whole group at once, and let its last output through."""
        self.kill_group()
        await asyncio.shield(self.process.ended)  # whoever is cancelled here must not cancel it for others
        await self.watching.aclose()
        if self._transport is not None:
            await self.streams.ended(LAST_WORDS)
        self._close()

    def kill_group(self) -> None:
        """Send the process and its group the signal that cannot be refused; it may have made no group yet."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            if not self.process.ended.done():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)

    def _close(self) -> None:
        self.streams.close()
        if self._transport is not None:
            self._transport.abort()
        else:
            self.process.link.close()

    async def _answer(self, future: asyncio.Future[codec.Frame]) -> codec.Frame:
        """Await a frame; whichever comes first, that or the end of the process."""
        try:
            return await future
        except ConnectionError:
            if not self.process.ended.done():
                await asyncio.wait((self.process.ended,), timeout=GRACE)
                self.kill_group()  # it closed its pipe: it is of no use any more
            code = await asyncio.shield(self.process.ended)
            await self.kill()
            raise Died(code, self.exceeded, self.process.zygote_ended) from None

    def _send(self, head: dict[str, Any], parts: tuple[codec.Part, ...] = ()) -> bool:
        """Send a frame; tell whether there still is an open end to send it to."""
        self._sent += 1
        if self._transport is None or self._transport.is_closing():
            return False
        for buffer in codec.pack(head, parts):
            self._transport.write(buffer)
        return True

    # --- what arrives ---

    def connection_made(self, transport: Any) -> None:
        """Take the pipe, once it is open."""
        self._transport = transport
        transport.set_write_buffer_limits(1 << 24)

    def data_received(self, data: bytes) -> None:
        """Take in what the worker sends."""
        try:
            frames = self._frames.feed(data)
        except ValueError:  # the task has written into the pipe
            self.kill_group()
            return
        for head, parts in frames:
            self._take(head, parts)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that the worker has closed its end; a reset tells that it has not read all that was sent (unix(7))."""
        self._unread = self._unread or isinstance(exc, ConnectionResetError | BrokenPipeError)
        if self.line is not None:
            self.line.gone()
        for future in (self._ready, *(calling.result for calling in self.calls.values())):
            if not future.done():
                future.set_exception(ConnectionError())
                future.exception()  # nobody may be waiting

    def _process_ended(self, _: object) -> None:
        """Hear that the process has ended: what it forked may hold its end of the pipe open."""
        self.kill_group()
        self._loop.call_later(LAST_WORDS, self.connection_lost, None)

    def _take(self, head: dict[str, Any], parts: list[codec.Part]) -> None:
        if head["op"] == "ready":
            self.streams.drain()
            if not self._ready.done():
                self._ready.set_result((head, parts))
        elif head["op"] == "call":
            self._start_child(head, parts)
        elif "line" in head:
            if self.line is not None:
                self.streams.drain()
                self.line.told(head)
        elif (calling := self._calling(head["id"])) is None:
            return  # nobody waits for it any more
        elif head["op"] == "step":
            calling.step(head)
        elif head["op"] == "print":
            calling.output(head["stream"], head["text"])
        elif not calling.result.done():
            self.streams.drain()
            calling.result.set_result((head, parts))

    def _start_child(self, head: dict[str, Any], parts: list[codec.Part]) -> None:
        calling = self._calling(head["by"])
        if calling is None and ("." in head["by"] or (calling := self._newest()) is None):
            return

        async def run() -> None:
            reply, answer = await calling.child(head, parts)
            self._send({**reply, "op": "result", "id": head["id"]}, answer)

        task = self._loop.create_task(run())
        calling.children.add(task)
        task.add_done_callback(calling.children.discard)

    def _calling(self, number: str) -> Calling | None:
        """Give the call of a number; the calls of a line have theirs from both ends of it."""
        if "." in number:
            return self.line.calling(number) if self.line is not None else None
        return self.calls.get(number)

    def _newest(self) -> Calling | None:
        """Give the call that what it prints belongs to, as far as can be told."""
        return self.line.newest() if self.line is not None else next(iter(self.calls.values()), None)

    def _printed(self, stream: str, text: str) -> None:
        calling = self._newest()
        (self.output if calling is None else calling.output)(stream, text)
