"""Frames: what goes over the pipe between an engine and a worker.

A frame is a JSON head and any number of byte parts. Its wire form is a count, the sizes, then the parts, big-endian;
the head is the first part. Values travel as parts that only the two ends decode.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Container, Iterable
from typing import Any

from flyte_nb import pickling

__all__ = ["Frame", "decode", "encode", "pack", "read", "receive"]

Frame = tuple[dict[str, Any], list[bytes]]
_COUNT = struct.Struct(">I")
_MOST_PARTS = 1 << 20
_MOST_BYTES = 1 << 40


def encode(value: Any, defined: Container[str] = ()) -> tuple[tuple[bytes | memoryview, ...], set[str]]:
    """Encode a value as parts, and name the notebook's definitions that it refers to.

    Raises
    ------
    Exception
        Whatever the value's own pickling raises.
    """
    buffers: list[bytes | memoryview] = []
    data, used = pickling.dumps(value, defined, buffers)
    return (data, *buffers), used


def decode(parts: Iterable[bytes]) -> Any:
    """Decode what `encode` gave."""
    data, *buffers = parts
    return pickling.loads(data, buffers)


def pack(head: dict[str, Any], parts: Iterable[bytes | memoryview] = ()) -> list[bytes | memoryview]:
    """Give the wire form of a frame, as buffers to write one after the other."""
    whole = [json.dumps(head).encode(), *parts]
    sizes = [memoryview(part).nbytes for part in whole]
    return [_COUNT.pack(len(whole)) + struct.pack(f">{len(sizes)}Q", *sizes), *whole]


def receive(link: socket.socket) -> Frame | None:
    """Read one frame from a blocking socket; None when the other end has closed it."""
    start = _exactly(link, _COUNT.size)
    if start is None:
        return None
    count = _counted(start)
    sizes = _exactly(link, 8 * count)
    parts: list[bytes] = []
    for size in _sized(count, sizes) if sizes is not None else ():
        part = _exactly(link, size)
        if part is None:
            break
        parts.append(part)
    return (json.loads(parts[0]), parts[1:]) if len(parts) == count else None  # else the other end is gone


def _exactly(link: socket.socket, size: int) -> bytes | None:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        try:
            more = link.recv_into(view[got:])
        except ConnectionError:  # closed while something of ours was still unread
            return None
        if not more:
            return None
        got += more
    return bytes(data)


async def read(stream: asyncio.StreamReader) -> Frame | None:
    """Read one frame from an asyncio stream; None when the other end has closed it."""
    try:
        count = _counted(await stream.readexactly(_COUNT.size))
        sizes = _sized(count, await stream.readexactly(8 * count))
        head, *parts = [await stream.readexactly(size) for size in sizes]
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return json.loads(head), parts


def _counted(data: bytes) -> int:
    (count,) = _COUNT.unpack(data)
    if not 0 < count <= _MOST_PARTS:
        raise ValueError(f"a frame of {count} parts: the stream is not what it should be")
    return int(count)


def _sized(count: int, data: bytes) -> tuple[int, ...]:
    sizes = struct.unpack(f">{count}Q", data)
    if sum(sizes) > _MOST_BYTES:
        raise ValueError(f"a frame of {sum(sizes)} bytes: the stream is not what it should be")
    return sizes
