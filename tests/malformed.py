"""Requests that are no good HTTP, with the status of the answer: one of several; None where any answer will do."""

from __future__ import annotations

HOST = b"Host: localhost\r\n"
GET, POST = b"GET / HTTP/1.1\r\n" + HOST, b"POST / HTTP/1.1\r\n" + HOST
CHUNKS = b"Transfer-Encoding: chunked\r\n"

MALFORMED = {
    "no http at all": (b"hello there\r\n\r\n", 400),
    "a tls greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (GET + b"Host: other\r\n\r\n", 400),
    "length and chunks": (POST + b"Content-Length: 4\r\n" + CHUNKS + b"\r\n0\r\n\r\n", 400),
    "chunks and length": (POST + CHUNKS + b"Content-Length: 4\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
    "one length twice": (POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "a list of lengths": (POST + b"Content-Length: 4, 4\r\n\r\nabcd", 400),
    "a signed length": (POST + b"Content-Length: +4\r\n\r\nabcd", 400),
    "a hexadecimal length": (POST + b"Content-Length: 0x4\r\n\r\nabcd", 400),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "an endless length": (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    "chunks twice": (POST + CHUNKS + CHUNKS + b"\r\n0\r\n\r\n", (400, 501)),
    "chunks behind gzip": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    "chunks before gzip": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", (400, 501)),
    "nearly chunks": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    "chunks in quotes": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', (400, 501)),
    "chunks after a tab": (POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\n" + HOST + CHUNKS + b"\r\n0\r\n\r\n", 400),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "a folded header": (GET + b"X-A: b\r\n " + CHUNKS + b"\r\n", 400),
    "a lone line feed in a value": (GET + b"X-A: b\nX-Own: c\r\n\r\n", None),
    "a lone carriage return in a value": (GET + b"X-A: b\rX-Own: c\r\n\r\n", 400),
    "a zero byte in a value": (GET + b"X-A: b\0c\r\n\r\n", 400),
    "a header without a name": (GET + b": b\r\n\r\n", 400),
    "a header without a colon": (GET + b"X-A\r\n\r\n", 400),
    "a wrong size of a chunk": (POST + CHUNKS + b"\r\nzz\r\n", 400),
    "a chunk that is longer than it says": (POST + CHUNKS + b"\r\n1\r\nab\r\n0\r\n\r\n", 400),
    "an endless chunk": (POST + CHUNKS + b"\r\nfffffffffffffffffff\r\n", 400),
    "a target without a slash": (b"GET echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "HTTP/3.7": (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n", 400),
    "another host's address": (b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", 405),
    "an upgrade with a body": (GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc", 400),
    "a large header": (GET + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "an endless header": (GET + b"X-A: " + b"a" * 900_000, 431),
    "many headers": (GET + b"A: b\r\n" * 20_000 + b"\r\n", 431),
    "an endless target": (b"GET /" + b"a" * 900_000, 431),
}
