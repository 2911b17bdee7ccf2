"""Upstream: a connection to a replica, and what is read from it."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import httptools

from flyte_nb.engine.local.apps.proxy.heads import fit_for_trailers
from flyte_nb.engine.local.apps.proxy.request import Headers

__all__ = ["ReplicaError", "Taker", "Upstream"]

MOST_HEAD = 1 << 17  # bytes of a response's head


class ReplicaError(Exception):
    """A replica that did not answer, or not with HTTP. ``gone`` says that it closed the connection."""

    def __init__(self, told: str, gone: bool = False) -> None:
        super().__init__(told)
        self.gone = gone


class Taker(Protocol):
    """Takes what a replica answers to one request."""

    def inform(self, status: int, reason: bytes, headers: Headers) -> None:
        """Take an interim answer."""

    def take_head(self, status: int, reason: bytes, headers: Headers, bodiless: bool) -> None:
        """Take the head of the response; ``bodiless`` says that none follows, whatever the head claims."""

    def take_body(self, data: bytes) -> None:
        """Take some of the body."""

    def flush(self) -> None:
        """Hand on what has been taken."""

    def finish(self, trailers: Headers) -> None:
        """Take the end of the response."""

    def fail(self, error: ReplicaError) -> None:
        """Take that there will be no (more) response."""

    def switch(self, data: bytes) -> None:
        """Take the first bytes after the answer 101: from now on the connection carries another protocol."""

    def take_raw(self, data: bytes) -> None:
        """Take some of that."""

    def end_raw(self) -> None:
        """Take the end of that."""

    def hold(self, full: bool) -> None:
        """Take that the replica reads more slowly than it is sent, or no longer."""


class Upstream(asyncio.Protocol):
    """One connection to a replica, for one request after another.

    Parameters
    ----------
    seen : Seen
        Hears that the replica says something, and that the connection ends.
    """

    transport: asyncio.Transport

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._taker: Taker | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self.used = self.keep = self.ended = self._raw = self._held = False
        self._head_done = self._interim = self._bodiless = self._until_close = False
        self._length = 0
        self._unasked = b""
        self._reason = b""
        self._headers: Headers = []
        self._trailers: Headers = []
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # another loop's transports are no subclass of it

    def begin(self, taker: Taker, head: bytes, bodiless: bool) -> None:
        """Send the head of a request; ``bodiless`` says that its response has no body, as for HEAD."""
        self._taker, self._bodiless = taker, bodiless
        if self._unasked:
            self.transport.abort()  # it speaks unasked
        self._head_done = self._interim = self.keep = self.ended = False
        self._length = 0
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self.transport.write(head)

    def begin_raw(self, taker: Taker, data: bytes) -> None:
        """Carry another protocol than HTTP/1."""
        self._taker, self._raw = taker, True
        self.transport.write(data)
        if self._unasked:
            taker.take_raw(self._unasked)
            self._unasked = b""

    def write(self, data: bytes) -> None:
        """Send some of the request's body."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def release(self) -> bool:
        """Have no more to do with the request; tell whether the connection is good for another one."""
        self._taker = None
        self.used = True
        unsent = self.transport.get_write_buffer_size()  # of a request that it has answered without reading it
        if self.ended and self.keep and not unsent and not self.transport.is_closing():
            self.hold(False)
            return True
        if self._raw:
            self.transport.close()  # what a client has sent before it left still goes
        else:
            self.transport.abort()
        return False

    def hold(self, held: bool) -> None:
        """Read the replica no further, or again."""
        if held != self._held and not self.transport.is_closing():
            self._held = held
            (self.transport.pause_reading if held else self.transport.resume_reading)()

    # what the transport calls

    def data_received(self, data: bytes) -> None:
        self._seen.hear()
        taker = self._taker
        if self._raw:
            if taker is not None:
                taker.take_raw(data)
            return
        if self._parser is None and not self.used:
            self._unasked += data  # an HTTP/2 server speaks first
            return
        if taker is None or self._parser is None or self.ended:
            self.keep = False
            self.transport.abort()  # it speaks unasked
            return
        self._length += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switched:
            self._raw = True
            taker.switch(data[switched.args[0] :])
            return
        except httptools.HttpParserError:
            taker.fail(ReplicaError("it answered with something that is not HTTP"))
            return
        if not self._head_done and self._length > MOST_HEAD:
            taker.fail(ReplicaError("the head of its answer is too long"))
            return
        taker.flush()
        self._finish(taker)

    def _finish(self, taker: Taker) -> None:
        if self.ended:
            taker.finish(fit_for_trailers(self._trailers))

    def eof_received(self) -> bool:
        if self._raw and self._taker is not None:
            self._taker.end_raw()
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen.lose(self)
        taker, self._taker = self._taker, None
        if taker is None or self.ended:
            return
        if self._raw:
            taker.end_raw()
        elif self._head_done and self._until_close and exc is None:
            self.ended = True
            taker.finish([])
        else:
            taker.fail(ReplicaError("it closed the connection", gone=True))

    def pause_writing(self) -> None:
        if self._taker is not None:
            self._taker.hold(True)

    def resume_writing(self) -> None:
        if self._taker is not None:
            self._taker.hold(False)

    # what the parser calls

    def on_message_begin(self) -> None:
        if self.ended:
            self.keep = False
        self._reason = b""
        self._headers, self._trailers = [], []

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        (self._trailers if self._head_done else self._headers).append((name, value))

    def on_headers_complete(self) -> None:
        if self.ended or self._taker is None or self._parser is None:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._interim = True
            if status == 101:
                self._taker.take_head(status, self._reason, self._headers, True)
            else:
                self._taker.inform(status, self._reason, self._headers)
            return
        self._head_done = True
        self.keep = self._parser.should_keep_alive()
        framed = [name for name, _ in self._headers if name.lower() in (b"content-length", b"transfer-encoding")]
        bodiless = self._bodiless or status in (204, 304)
        self._until_close = not framed and not bodiless
        self._taker.take_head(status, self._reason, self._headers, bodiless)
        if bodiless:
            self._parser, self.ended = None, True  # it waits for the body that the head may speak of

    def on_body(self, data: bytes) -> None:
        if self.ended:
            self.keep = False
        elif self._taker is not None:
            self._taker.take_body(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self.ended = True


class Seen(Protocol):
    """Sees that a replica lives, and that a connection ends."""

    def hear(self) -> None:
        """See that the replica said something."""

    def lose(self, upstream: Upstream) -> None:
        """See that a connection ended."""
