"""Link: the worker's end of the pipe to its engine.

No thread of its own reads it: whoever waits for something reads for everybody, and hands over when it has what it
waited for. An event loop that waits reads as well. So a task that calls a task costs no change of threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NoReturn

from flyte_nb.engine import codec
from flyte_nb.engine.segments import Segments

__all__ = ["Answer", "Link", "end_group"]

_CHUNK = 1 << 18
_CLOSED_BY_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Answer:
    """What the engine will answer: the frame, once it is there, and who awaits it in an event loop."""

    __slots__ = ("awaited", "frame")

    def __init__(self) -> None:
        self.frame: codec.Frame | None = None
        self.awaited: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def is_there(self) -> bool:
        """Tell whether it has arrived."""
        return self.frame is not None

    def arrive(self, frame: codec.Frame, here: asyncio.AbstractEventLoop | None) -> None:
        """Take the frame, in whatever thread has read it; ``here`` is the event loop that has, if one did."""
        self.frame = frame
        if self.awaited is not None:
            loop, future = self.awaited
            if loop is here:
                _wake(future)
                return
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody awaits it any more
                loop.call_soon_threadsafe(_wake, future)


def _nothing() -> None:
    """Tell nothing first."""


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Link:
    """Frames to and from the engine, for any thread and any event loop of this process.

    Parameters
    ----------
    fd : int
        The file descriptor of a stream socket; it is not passed on to what the task starts.
    """

    def __init__(self, fd: int, segments: Segments | None = None) -> None:
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)
        self.segments = segments
        self._frames = codec.Frames()
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._turn = threading.Condition(self._lock)
        self._taken = False
        self._followers = 0
        self._numbers = itertools.count(1)
        self._children: dict[str, Answer] = {}
        self._requests: deque[codec.Frame] = deque()
        self._loops: Counter[asyncio.AbstractEventLoop] = Counter()
        self._arrived: asyncio.Event | None = None
        #: how many frames were written
        self.sent = 0
        #: is called before each, for what is to be told first
        self.first: Callable[[], None] = _nothing
        self._ends: deque[int] = deque()
        #: takes a line that the engine offers: the ``offer`` frame's head, and this end
        self.offered: Callable[[dict[str, Any], socket.socket], None] = lambda head, end: end.close()
        #: hears that the engine is gone, and so is whoever waits for this task
        self.gone: Callable[[], object] = end_group

    def received(self) -> socket.socket:
        """Give the socket that has come along with the frame at hand."""
        fd = self._ends.popleft()
        os.set_inheritable(fd, False)
        return socket.socket(fileno=fd)

    def send(self, head: dict[str, Any], parts: Sequence[codec.Part] = ()) -> None:
        """Write one frame; large parts go through shared memory."""
        self.first()
        if self.segments is not None:
            parts = self.segments.shared(parts)
        with self._writing:
            self.sent += 1
            for buffer in codec.pack(head, parts):
                self._socket.sendall(buffer)

    def next_request(self) -> codec.Frame:
        """Wait for the engine's next request."""
        self._read_until(lambda: bool(self._requests))
        return self._requests.popleft()

    def call(self, head: dict[str, Any], parts: Sequence[codec.Part]) -> Answer:
        """Ask the engine for something that it answers with a ``result`` of the same number."""
        number = f"c{next(self._numbers)}"
        answer = self._children[number] = Answer()
        head["id"] = number
        self.send(head, parts)
        return answer

    def wait(self, answer: Answer) -> codec.Frame:
        """Block this thread until an answer is there."""
        self._read_until(answer.is_there)
        assert answer.frame is not None
        return answer.frame

    async def awaited(self, answer: Answer) -> codec.Frame:
        """Await an answer in the running event loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self.join(loop)
        try:
            answer.awaited = (loop, future)
            if answer.frame is None:
                await future
        finally:
            self.leave(loop)
        assert answer.frame is not None
        return answer.frame

    def join(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let an event loop read, too, until it has left as often as it joined."""
        self._loops[loop] += 1
        if self._loops[loop] == 1:
            loop.add_reader(self._socket, self._read_if_free, loop)

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let an event loop read no more."""
        self._loops[loop] -= 1
        if not self._loops[loop]:
            del self._loops[loop]
            loop.remove_reader(self._socket)

    async def arriving(self) -> AsyncIterator[codec.Frame]:
        """Give the engine's requests in the running event loop, as they arrive."""
        loop = asyncio.get_running_loop()
        arrived = self._arrived = asyncio.Event()
        self.join(loop)
        try:
            while True:
                while self._requests:
                    yield self._requests.popleft()
                arrived.clear()
                await arrived.wait()
        finally:
            self.leave(loop)

    def _read_until(self, done: Callable[[], bool]) -> None:
        while True:
            with self._lock:
                if done():
                    return
                if self._taken:
                    self._followers += 1
                    self._turn.wait()
                    self._followers -= 1
                    continue
                self._taken = True
            try:
                while not done():
                    self._read()
            finally:
                self._hand_over()

    def _read_if_free(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read what is there, in an event loop, unless a thread is about to."""
        with self._lock:
            if self._taken:
                return
            self._taken = True
        try:
            self._read(socket.MSG_DONTWAIT, loop)
        except BlockingIOError:
            pass
        finally:
            self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            self._taken = False
            if self._followers:
                self._turn.notify_all()

    def _read(self, flags: int = 0, loop: asyncio.AbstractEventLoop | None = None) -> None:
        try:
            data, ends, _, _ = socket.recv_fds(self._socket, _CHUNK, 1, flags | _CLOSED_BY_EXEC)
        except ConnectionError:
            data, ends = b"", []
        if not data:
            self.gone()
        self._ends.extend(ends)
        for frame in self._frames.feed(data):
            if frame[0]["op"] == "result":
                self._children.pop(frame[0]["id"]).arrive(frame, loop)
            elif frame[0]["op"] == "offer":
                self.offered(frame[0], self.received())
            else:
                self._requests.append(frame)
        if self._requests and self._arrived is not None:
            self._arrived.set()
        if self._followers:
            with self._lock:
                self._turn.notify_all()


def end_group() -> NoReturn:
    """End this process and every process it started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
