"""Request: one request of a client, its body on the way to a replica."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["Headers", "Refusal", "Request"]

Headers = list[tuple[bytes, bytes]]
ROOM = 1 << 16  # bytes of a body that are kept while it has nowhere to go


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request that the gateway answers itself.

    Parameters
    ----------
    status : int
        The status of the answer.
    told : str
        What the caller reads: what is wrong and what to do.
    headers : list of pairs of bytes
        Headers of the answer beside those that every answer has.
    """

    def __init__(self, status: int, told: str, headers: Headers | None = None) -> None:
        super().__init__(status, told)
        self.status, self.told, self.headers = status, told, headers or []


class Sink(Protocol):
    """Takes bytes of a body."""

    def write(self, data: bytes) -> None:
        """Take some."""


class Request:
    """A request as it was read; the body is held until it can flow to a replica.

    Parameters
    ----------
    hold : callable
        Called with True when the client should be read no further, and with False when it may be again.
    """

    __slots__ = (
        "_held", "_hold", "_sink", "chunked", "complete", "early", "fed", "has_body", "headers", "host", "keep_alive",
        "malformed", "method", "peer", "pending", "prefix", "proto", "size", "target", "trailers", "upgrade", "version",
    )  # fmt: skip

    def __init__(self, hold: Callable[[bool], None], peer: bytes) -> None:
        self._hold, self._held = hold, False
        self._sink: Sink | None = None
        self.peer, self.proto = peer, b"http"
        self.method = self.target = self.host = self.prefix = self.upgrade = self.early = b""
        self.version = "1.1"
        self.headers: Headers = []
        self.trailers: Headers = []
        self.pending: list[bytes] = []
        self.size = 0
        self.chunked = self.complete = self.fed = self.has_body = self.keep_alive = False
        self.malformed: Refusal | None = None

    def feed(self, data: bytes) -> None:
        """Take some of the body."""
        self.fed = True
        if self.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._sink is not None:
            self._sink.write(data)
            return
        self.pending.append(data)
        self.size += len(data)
        if self.size > ROOM and not self._held:
            self._held = True
            self._hold(True)

    def end(self) -> None:
        """Take the end of the body, whose trailers are known by now."""
        self.complete = True
        if self.chunked:
            last = b"".join(b"%b: %b\r\n" % pair for pair in self.trailers)
            self.pending.append(b"0\r\n%b\r\n" % last)
            if self._sink is not None:
                self._sink.write(self.pending.pop())

    def held(self) -> bytes:
        """Give what is held of the body, to be sent along with the head."""
        data = b"".join(self.pending)
        self.pending.clear()
        return data

    def flow_to(self, sink: Sink) -> None:
        """Let the body flow, from what is held on."""
        self._sink = sink
        if self.pending:
            data = b"".join(self.pending)
            self.pending.clear()
            sink.write(data)
        self.size = 0
        if self._held:
            self._held = False
            self._hold(False)

    def is_repeatable(self) -> bool:
        """Tell whether it may be sent twice: it changes nothing and has no body."""
        return self.method in (b"GET", b"HEAD", b"OPTIONS") and not self.has_body

    def waste(self) -> None:
        """Let what is left of the body go nowhere."""
        if self._held or not self.complete:
            self.flow_to(Nowhere())


class Nowhere:
    """Where the body of a refused request goes."""

    def write(self, data: bytes) -> None:
        """Forget it."""
