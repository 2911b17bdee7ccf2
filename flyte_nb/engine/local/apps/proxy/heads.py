"""Heads: what is checked in the head of a request, and what becomes of the heads on their way. Pure functions.

Heads and the framing of bodies are written anew, from what a strict parser has read: two ways to read one request,
which is what smuggling lives on, cannot get past that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

from flyte_nb.engine.local.apps.proxy.request import Headers, Refusal, Request

__all__ = ["answer", "check", "fit_for_trailers", "informed", "listed", "request_head", "response_head", "values"]

#: between two ends of one connection, never passed on
HOP_BY_HOP = frozenset(
    [b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te",
     b"transfer-encoding", b"upgrade"]
)  # fmt: skip
#: said by the gateway alone: a caller could claim anything; of a server of this machine it heeds scheme and prefix
FORWARDED = frozenset(
    [b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port",
     b"x-forwarded-prefix", b"x-forwarded-server", b"x-forwarded-scheme", b"x-forwarded-ssl", b"x-real-ip",
     b"x-scheme", b"x-original-url", b"x-rewrite-url", b"x-script-name"]
)  # fmt: skip
DROPPED = HOP_BY_HOP | FORWARDED | {b"host", b"content-length"}
DROPPED_BACK = HOP_BY_HOP - {b"proxy-authenticate"}
#: never in a trailer: they say how a message is framed, where it goes or who sends it
NOT_IN_TRAILERS = DROPPED | {b"authorization", b"cookie", b"set-cookie", b"content-type", b"content-encoding",
                             b"content-range", b"trailer", b"expect"}  # fmt: skip
PROTO = b"x-forwarded-proto"
PREFIXES = (b"x-forwarded-prefix", b"x-forwarded-context", b"x-proxycontextpath")
FRONT = frozenset([PROTO, *PREFIXES])
_PREFIX = re.compile(rb"(/[\w.~!$&'()*+,;=:@%-]+)+")
REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def values(headers: Headers, name: bytes) -> list[bytes]:
    """Give the values of a header."""
    return [value for key, value in headers if key.lower() == name]


def listed(headers: Headers, name: bytes) -> list[bytes]:
    """Give the items of a header that is a list, in lower case."""
    return [item.strip().lower() for value in values(headers, name) for item in value.split(b",") if item.strip()]


def check(request: Request, prefix: bytes = b"") -> None:
    """See that a request can be passed on, and note how: its host, its target, its framing.

    Raises
    ------
    Refusal
        When it is malformed, or asks for what the gateway does not do.
    """
    hosts, lengths, encodings, front = [], [], [], []
    for name, value in request.headers:
        if b"\r" in value or b"\n" in value or b"\0" in value:
            raise Refusal(400, f"The value of the header {text(name)} has a line break or a zero byte in it.")
        low = name.lower()
        if low == b"host":
            hosts.append(value)
        elif low == b"content-length":
            lengths.append(value)
        elif low == b"transfer-encoding":
            encodings.append(value.strip().lower())
        elif low in FRONT:
            front.append((low, value))
    _check_host(request, hosts)
    _check_framing(request, lengths, encodings)
    _check_target(request)
    if request.upgrade and request.has_body:
        raise Refusal(400, "A request for another protocol has no body.")
    if front and is_near(request.peer):
        _heed_front(request, front, not prefix)
    if prefix:
        _find_prefix(request, prefix)


def _check_host(request: Request, hosts: list[bytes]) -> None:
    if len(hosts) > 1 or (not hosts and request.version == "1.1"):
        raise Refusal(400, "A request has one Host header.")
    request.host = hosts[0] if hosts else b""


def _check_framing(request: Request, lengths: list[bytes], encodings: list[bytes]) -> None:
    if encodings:
        if lengths or request.version != "1.1":
            raise Refusal(
                400, "A request has a Content-Length or a Transfer-Encoding, and HTTP/1.0 has no such encoding."
            )
        if encodings != [b"chunked"]:
            raise Refusal(501, "The only Transfer-Encoding is chunked.")
        request.chunked = request.has_body = True
    elif lengths:
        if len(lengths) > 1 or not lengths[0].isdigit():
            raise Refusal(400, "A request has one Content-Length, a number.")
        request.has_body = int(lengths[0]) > 0


def _check_target(request: Request) -> None:
    target = request.target
    if request.method == b"CONNECT":
        raise Refusal(
            405, "This is no proxy to other hosts.", [(b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]
        )
    if target[:1] == b"/" or (target == b"*" and request.method == b"OPTIONS"):
        return
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        raise Refusal(400, "The target of a request is a path, starting with a slash.")
    cut = min(at for at in (rest.find(b"/"), rest.find(b"?"), len(rest)) if at >= 0)
    request.host, path = rest[:cut], rest[cut:]
    request.target = path if path[:1] == b"/" else b"/" + path


def is_near(peer: bytes) -> bool:
    """Tell whether an address is of the loopback interface."""
    return peer.removeprefix(b"::ffff:").startswith(b"127.") or peer == b"::1"


def _heed_front(request: Request, said: Headers, prefix_too: bool) -> None:
    """Take over from a server of this machine that passes requests on, as Jupyter's does, how it was called itself."""
    for name, value in reversed(said):  # the first one counts
        if name == PROTO:  # where several servers pass it on, the first is the one that the browser sees
            is_secure = value.partition(b",")[0].strip().lower() in (b"https", b"wss")
            request.proto = b"https" if is_secure else b"http"
        elif prefix_too and _PREFIX.fullmatch(path := value.rstrip(b"/")):
            request.prefix = path


def _find_prefix(request: Request, prefix: bytes) -> None:
    """Note the prefix where another server has passed the request on: whether it took it off the path or not."""
    if request.target.startswith(prefix + b"/"):
        request.target = request.target[len(prefix) :]
        request.prefix = prefix
    elif any(value.rstrip(b"/") == prefix for name in PREFIXES for value in values(request.headers, name)):
        request.prefix = prefix


def request_head(request: Request, address: bytes) -> bytes:
    """Write the head that a replica reads.

    Parameters
    ----------
    request : Request
        One that has been checked.
    address : bytes
        The host to name where the request has none.
    """
    named = set(listed(request.headers, b"connection")) - {b"content-length"}
    host = request.host or address
    out = [request.method, b" ", request.target, b" HTTP/1.1\r\nHost: ", host, b"\r\n"]
    for name, value in request.headers:
        low = name.lower().replace(b"_", b"-")  # an application of the WSGI kind cannot tell the two
        if low not in DROPPED and low not in named:
            out += (name, b": ", value, b"\r\n")
        elif low == b"content-length" and name.lower() == low and not request.chunked:
            out += (b"Content-Length: ", value, b"\r\n")
    if request.chunked:
        out.append(b"Transfer-Encoding: chunked\r\n")
    if b"trailers" in listed(request.headers, b"te"):
        out.append(b"TE: trailers\r\n")
    if request.upgrade:
        out += (b"Connection: Upgrade\r\nUpgrade: ", request.upgrade, b"\r\n")
    out += (b"X-Forwarded-For: ", request.peer, b"\r\nX-Forwarded-Proto: ", request.proto)
    out += (b"\r\nX-Forwarded-Host: ", host, b"\r\n")
    if request.prefix:
        out += (b"X-Forwarded-Prefix: ", request.prefix, b"\r\n")
    out.append(b"\r\n")
    return b"".join(out)


def response_head(status: int, reason: bytes, headers: Headers, own: Iterable[bytes]) -> bytes:
    """Write the head that a client reads; ``own`` are whole lines of the gateway's."""
    named = {
        item
        for name, value in headers
        if name.lower() == b"connection"
        for item in value.lower().replace(b" ", b"").split(b",")
    }
    out = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
    for name, value in headers:
        low = name.lower()
        if low not in DROPPED_BACK and low not in named:
            out += (name, b": ", value, b"\r\n")
    out += own
    out.append(b"\r\n")
    return b"".join(out)


def informed(status: int, reason: bytes, headers: Headers) -> bytes:
    """Write the head of an interim answer, such as 100 Continue."""
    return response_head(status, reason, headers, ())


def answer(status: int, headers: Headers, body: bytes, close: bool, bodiless: bool) -> bytes:
    """Write an answer of the gateway's own."""
    own = [*headers, (b"Content-Length", b"%d" % len(body)), (b"Cache-Control", b"no-store")]
    if close:
        own.append((b"Connection", b"close"))
    lines = b"".join(b"%b: %b\r\n" % header for header in own)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, REASONS.get(status, b""), lines, b"" if bodiless else body)


def fit_for_trailers(headers: Headers) -> Headers:
    """Leave out what has no place behind a body."""
    return [(name, value) for name, value in headers
            if name.lower() not in NOT_IN_TRAILERS and b"\r" not in value and b"\n" not in value]  # fmt: skip


def text(data: bytes) -> str:
    """Give a caller's own bytes as text that is safe and short."""
    return ascii(data[:40].decode("latin-1"))
