"""Client: a client's connection, the requests on it one after another."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

from flyte_nb.engine.local.apps.proxy import heads
from flyte_nb.engine.local.apps.proxy.exchange import Exchange
from flyte_nb.engine.local.apps.proxy.request import Refusal, Request
from flyte_nb.engine.local.apps.proxy.site import Site

__all__ = ["Client"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LINGER = 2.0  # seconds that a client may go on sending what nobody wants, so that it reads the answer first


class Client(asyncio.Protocol):
    """A client's connection.

    Parameters
    ----------
    site : Site
        The app's gateway.
    """

    transport: asyncio.Transport

    def __init__(self, site: Site) -> None:
        self._site = site
        self._loop = site.loop
        self._parser = httptools.HttpRequestParser(self)
        self._exchange: Exchange | None = None
        self._queue: list[Request] = []
        self._reading: Request | None = None  # the request whose head or body is not complete
        self._switching: Request | None = None  # the one after which the connection carries another protocol
        self._again: Request | None = None
        self._after: Refusal | None = None
        self._holds: set[str] = set()
        self._in_head = self.full = self._beginning = False
        self._first: bytes | None = b""  # what a connection begins with, until it is clear what it speaks
        self._head = 0
        self._heard = self._head_since = self._loop.time()
        self._stalled_since = self._closing_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # another loop's transports are no subclass of it
        self._peer = str((transport.get_extra_info("peername") or ("",))[0]).encode()
        self._site.clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.clients.discard(self)
        if self._exchange is not None:
            self._exchange.cancel()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._closing_at:
            return
        if self._first is not None:
            data = self._first + data
            if data.startswith(PREFACE[: len(data)]):
                self._begin_other(data)
                return
            self._first = None
        if self._switching is not None:
            self._pass_other(data)
        else:
            self._parse(data)
            self._begin_next()

    def _begin_other(self, data: bytes) -> None:
        """Take a connection that begins like HTTP/2; it is passed on as it is, to one replica."""
        self._first = data
        if len(data) < len(PREFACE):
            self._in_head = True
            return
        self._first, self._in_head = None, False
        request = self._new_request()
        if self._site.config.h2c and self._site.config.token is None:
            request.method, request.upgrade, request.version, request.complete = b"PRI", b"h2c", "2", True
            request.early = data
            self._switching = request
        else:
            request.malformed = Refusal(505, "This app is called with HTTP/1.1.")
        self._enter(request)
        self._begin_next()

    def _pass_other(self, data: bytes) -> None:
        exchange, request = self._exchange, self._switching
        if exchange is not None and exchange.request is request and exchange.switched:
            if exchange.upstream is not None:
                exchange.upstream.write(data)
            return
        assert request is not None
        request.early += data
        if len(request.early) > self._site.limits.most_head:
            self.hold("early", True)

    def _parse(self, data: bytes) -> None:
        if self._in_head:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as asked:
            self._upgrade(data[asked.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(Refusal(400, f"The request cannot be read: {error}."))
            return
        if self._in_head and self._head > self._site.limits.most_head:
            self._refuse(self._too_large())

    def _too_large(self) -> Refusal:
        return Refusal(431, f"The head of a request may have {self._site.limits.most_head} bytes.")

    def _upgrade(self, rest: bytes) -> None:
        """Go on after a head that asks for another protocol."""
        request, self._again = self._again, None
        if request is None:
            assert self._switching is not None
            self._switching.early += rest
            return
        # HTTP/2 is not offered: the request is an ordinary one, and its body, if any, is still to be read
        self._parser = httptools.HttpRequestParser(self)
        lines = [b"%b: %b\r\n" % pair for pair in request.headers
                 if pair[0].lower() not in (b"connection", b"upgrade", b"http2-settings")]  # fmt: skip
        start = b"%b %b HTTP/%b\r\n" % (request.method, request.target, request.version.encode())
        self._parse(start + b"".join(lines) + b"\r\n" + rest)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot be read, after the answers to what came before it, and close."""
        self.hold("broken", True)
        request = self._reading
        if request is not None and self._exchange is not None and self._exchange.request is request:
            self._after = refusal
            self._exchange.cancel()
            return
        if request is None or self._in_head:
            request = self._new_request()
            request.malformed = refusal
            self._enter(request)
        request.malformed = refusal
        self._begin_next()

    # what the parser calls

    def _new_request(self) -> Request:
        return Request(self._hold_body, self._peer)

    def on_message_begin(self) -> None:
        self._reading = self._new_request()
        self._in_head, self._head, self._head_since = True, 0, self._heard

    def on_url(self, part: bytes) -> None:
        assert self._reading is not None
        self._reading.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._reading is not None
        (self._reading.headers if self._in_head else self._reading.trailers).append((name, value))

    def on_headers_complete(self) -> None:
        request = self._reading
        assert request is not None
        self._in_head = False
        parser = self._parser
        request.method, request.version = parser.get_method(), parser.get_http_version()
        request.keep_alive = parser.should_keep_alive()
        if parser.should_upgrade() and request.method != b"CONNECT":
            request.upgrade = b", ".join(heads.values(request.headers, b"upgrade"))
            if b"h2c" in request.upgrade.lower():
                request.upgrade, self._again = b"", request
                return
        if parser.should_upgrade():
            self._switching, request.keep_alive = request, False
        self._check(request)
        self._enter(request)

    def _check(self, request: Request) -> None:
        """See that a request can be passed on; how its body is framed has to be known before it comes."""
        size = len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
        try:
            if size > self._site.limits.most_head:
                raise self._too_large()
            heads.check(request, self._site.prefix)
        except Refusal as refusal:
            request.malformed = refusal

    def on_body(self, data: bytes) -> None:
        if self._reading is not None:
            self._reading.feed(data)

    def on_message_complete(self) -> None:
        request, self._reading = self._reading, None
        if request is not None and self._again is None:
            request.trailers = heads.fit_for_trailers(request.trailers)
            request.end()

    # one request after another

    def _enter(self, request: Request) -> None:
        self._queue.append(request)

    def _begin_next(self) -> None:
        """Go on with the next request, and with those after it as far as each is over at once."""
        if self._beginning:
            return
        self._beginning = True
        while self._exchange is None and self._queue and not self._closing_at:
            self._exchange = exchange = Exchange(self._site, self, self._queue.pop(0))
            exchange.begin()
        self._beginning = False
        if bool(self._queue) != ("queue" in self._holds):
            self.hold("queue", bool(self._queue))

    def next(self, exchange: Exchange) -> None:
        """Go on after an exchange."""
        self._exchange = None
        if self.transport.is_closing():
            return
        if self._after is not None and not exchange.answered:
            exchange.refuse(self._after)
            self._close(linger=True)
        elif exchange.broken or self._after is not None:
            self.transport.abort()
        elif not exchange.keep:
            self._close(linger=not exchange.request.complete or exchange.request.malformed is not None)
        else:
            self._begin_next()

    def _close(self, linger: bool) -> None:
        """Close the connection; a client that is still sending shall read its answer first."""
        if not linger or self.transport.is_closing():
            self.transport.close()
            return
        self._closing_at = self._loop.time() + LINGER
        self.transport.write_eof()
        self._queue.clear()
        for why in tuple(self._holds):
            self.hold(why, False)

    # how fast, and how long

    def _hold_body(self, held: bool) -> None:
        self.hold("body", held)

    def hold(self, why: str, held: bool) -> None:
        """Read the client no further for a reason, or no longer hold it for that one."""
        before = bool(self._holds)
        (self._holds.add if held else self._holds.discard)(why)
        if before != bool(self._holds) and not self.transport.is_closing():
            if before:
                self._heard = self._loop.time()
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def pause_writing(self) -> None:
        self.full, self._stalled_since = True, self._loop.time()
        if self._exchange is not None and (upstream := self._exchange.upstream) is not None:
            upstream.hold(True)

    def resume_writing(self) -> None:
        self.full, self._stalled_since = False, 0.0
        if self._exchange is not None and (upstream := self._exchange.upstream) is not None:
            upstream.hold(False)

    def check(self, now: float) -> None:
        """End a connection that takes too long."""
        limits, exchange = self._site.limits, self._exchange
        if self._closing_at or (self._stalled_since and now - self._stalled_since > limits.stalled):
            if not self._closing_at or now > self._closing_at:
                self.transport.abort()
        elif self._in_head:
            if now - self._head_since > limits.head:
                self._refuse(Refusal(408, "The head of the request did not come in time."))
        elif exchange is None:
            if now - self._heard > limits.idle:
                self.transport.close()
        elif self._is_late(exchange, now):
            self._refuse(Refusal(408, "The body of the request did not come in time."))

    def _is_late(self, exchange: Exchange, now: float) -> bool:
        request = exchange.request
        if request is not self._reading or exchange.answered or self._holds or request.malformed is not None:
            return False
        if not request.fed and heads.values(request.headers, b"expect"):
            return False  # it waits to be told to go on
        return now - self._heard > self._site.limits.body
