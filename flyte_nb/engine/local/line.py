"""Line: one socket from a caller to a warm worker — for a thread, one call at a time; for an event loop, several."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flyte_nb.engine import codec
from flyte_nb.engine.segments import Segment

__all__ = ["DEEP", "MANY", "Closed", "Line", "Lost"]

_CHUNK = 1 << 18
DEEP = 8  # calls that are sent ahead while they are quick, so that the worker never waits for the next one
QUICK = 0.003  # seconds
SLOW = 0.1  # seconds that a call takes, after which the engine is told that it is in hand
MANY = 100  # calls that a worker reports at once; so many a caller remembers, in case that the worker cannot


class Closed(Exception):  # noqa: N818 - it says what happened
    """The line is closed, and the call was not begun on it."""


class Lost(Exception):  # noqa: N818
    """The worker ended while it had the call.

    Parameters
    ----------
    number : int
        The call.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


class Line:
    """One line; a thread has it for one call at a time, an event loop for several.

    Parameters
    ----------
    number : int
        What the engine knows it by.
    end : socket
        The caller's end.
    slow : callable, optional
        Hears of a call that takes long: its number, and what the worker was told of it.
    """

    def __init__(
        self, number: int, end: socket.socket, slow: Callable[[Line, int, dict[str, Any]], None] | None = None
    ) -> None:
        self.number, self._end, self._slow = number, end, slow
        if slow is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(SLOW * 1e6)))
        self.is_open = True
        #: the calls that were answered last: the number, what the worker was told, the time
        self.answered: deque[tuple[int, dict[str, Any], float]] = deque(maxlen=MANY)
        self._frames = codec.Frames()
        self._numbers = itertools.count(1)
        self._user = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sent: deque[Sent] = deque()
        self._depth, self._since, self._quick = 1, 0.0, ""
        self._watched = False

    # --- for a thread ---

    def take(self) -> bool:
        """Take it for one call of this thread; tell whether it was free."""
        return self.is_open and self._user.acquire(blocking=False)

    def call(self, head: dict[str, Any], parts: Sequence[codec.Part]) -> tuple[int, codec.Frame]:
        """Call over it, and let others take it afterwards; give the call's number and the answer.

        Raises
        ------
        Closed
            When it is; the call is to go another way.
        Lost
            When the worker ended.
        """
        try:
            number = self.number_next()
            self.begin(number, head, parts)
            try:
                frame = self.answer(number, head)
            finally:
                discard(parts)
            self._remember(number, head, frame)
            return number, frame
        except BaseException:  # an answer that nobody has waited for would be taken for the next one
            self.close()
            raise
        finally:
            self.release()

    def release(self) -> None:
        """Let others take it."""
        self._user.release()

    def patient(self, seconds: float | None) -> None:
        """Wait for an answer so long at a time; for ever when None."""
        self._end.settimeout(seconds)

    def number_next(self) -> int:
        """Give the number of the next call."""
        return next(self._numbers)

    def answer(self, number: int, head: dict[str, Any]) -> codec.Frame:
        """Wait for the answer to the call that was begun; tell when it takes long.

        Raises
        ------
        TimeoutError
            When it is not there in time.
        Lost
            When the worker ended.
        """
        is_told = False
        while True:
            try:
                data = self._end.recv(_CHUNK)
            except BlockingIOError:
                if self._slow is not None and not is_told:
                    is_told = True
                    self._slow(self, number, head)
                continue
            except TimeoutError:
                raise
            except OSError:
                data = b""
            if not data:
                raise Lost(number)
            if frames := self._frames.feed(data):
                return frames[0]

    # --- for an event loop ---

    def has_room(self, loop: asyncio.AbstractEventLoop, ahead: str) -> bool:
        """Tell whether an event loop may send a call now.

        Parameters
        ----------
        ahead : str
            The task, whose calls are sent ahead while they are quick; empty for one that waits until there is no other.
        """
        if not self.is_open or (self._loop is not loop and not self._begin(loop)):
            return False
        if not self._sent:
            return True
        return len(self._sent) < self._depth and ahead == self._quick == self._sent[-1].head["t"]

    def is_of(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Tell whether it is open, and this event loop's."""
        return self.is_open and self._loop is loop

    @property
    def load(self) -> int:
        """How many calls are under way on it for an event loop."""
        return len(self._sent)

    @property
    def room(self) -> int:
        """How many calls may be sent ahead now."""
        return self._depth - len(self._sent) if self.is_open else 0

    def send(self, head: dict[str, Any], parts: Sequence[codec.Part]) -> asyncio.Future[codec.Frame]:
        """Send a call, and give what will be its answer, with its number in the head.

        Raises
        ------
        Closed
            When it is; here, or from what is awaited.
        Lost
            From what is awaited, when the worker ended.
        """
        assert self._loop is not None
        number = self.number_next()
        self.begin(number, head, parts)
        if not self._sent:
            self._since = time.monotonic()
        if not self._watched and self._slow is not None:
            self._watched = True
            self._loop.call_later(SLOW, self._watch)
        future: asyncio.Future[codec.Frame] = self._loop.create_future()
        self._sent.append(Sent(number, head, parts, future))
        return future

    def _watch(self) -> None:
        """Tell of a call that takes long; the next ones had better go another way."""
        self._watched = False
        if not self._sent or self._loop is None or self._slow is None:
            return
        if time.monotonic() - self._since >= SLOW:
            self.is_open = False
            self._slow(self, self._sent[0].number, self._sent[0].head)
        else:
            self._watched = True
            self._loop.call_later(SLOW, self._watch)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Belong to an event loop, for as long as the line lives."""
        if self._loop is not None or not self.take():
            return False
        self._loop = loop
        loop.add_reader(self._end, self._read)
        return True

    def _read(self) -> None:
        try:
            data = self._end.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._lose()
            return
        for frame in self._frames.feed(data):
            number, head, parts, future = self._sent.popleft()
            frame[0]["n"] = number
            discard(parts)
            self._remember(number, head, frame)
            now = time.monotonic()
            self._depth, self._since = DEEP if now - self._since < QUICK else 1, now
            self._quick = head["t"]
            if not future.done():
                future.set_result(frame)
            else:  # nobody waits for it any more
                discard(frame[1])
        if not self.is_open and not self._sent:
            self.close()

    def _lose(self) -> None:
        """Tell those who wait that the worker is gone: it had the first call, and has not begun the others."""
        waiting, self._sent = self._sent, deque()
        self.close()
        for place, (number, _, parts, future) in enumerate(waiting):
            if future.done() or not place:
                discard(parts)
            if not future.done():
                future.set_exception(Closed() if place else Lost(number))

    # --- for both ---

    def begin(self, number: int, head: dict[str, Any], parts: Sequence[codec.Part]) -> None:
        """Send a call.

        Raises
        ------
        Closed
            When the line is.
        """
        try:
            for buffer in codec.pack({**head, "n": number}, parts):
                self._end.sendall(buffer)
        except OSError:  # the engine has closed it: nothing more is taken, what was sent will be answered
            self.is_open = False
            raise Closed from None

    def _remember(self, number: int, head: dict[str, Any], frame: codec.Frame) -> None:
        if not frame[0].get("failed"):  # that is reported before it is answered
            self.answered.append((number, head, time.time()))

    def close(self) -> None:
        """Close this end, whoever reads it, and whoever has a copy of it."""
        self.is_open = False
        if self._end.fileno() < 0:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._end)
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()


class Sent(NamedTuple):
    """A call that an event loop has sent: its number, what the worker was told, its inputs, what will be its answer."""

    number: int
    head: dict[str, Any]
    parts: Sequence[codec.Part]
    future: asyncio.Future[codec.Frame]


def discard(parts: Sequence[codec.Part]) -> None:
    """Let go of what lies in shared memory: whoever was to read it has done so, or never will."""
    for part in parts:
        if isinstance(part, Segment):
            part.remove()
