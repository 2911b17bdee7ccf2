"""Frames: what goes over the pipe between an engine and a worker.

A frame is a JSON head and any number of byte parts. Its wire form is a count, the sizes, then the parts, big-endian;
the head is the first part. Values travel as parts that only the two ends decode.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import struct
from collections.abc import Container, Iterable, Mapping
from typing import Any

from flyte_nb import pickling
from flyte_nb.errors import InlineIOMaxBytesBreached

__all__ = ["Frame", "decode", "encode", "insist_inline", "pack", "read", "receive"]

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


_INLINE = (str, int, float, list, dict, tuple, set, frozenset)


def insist_inline(
    values: Mapping[str, Any], parts: tuple[bytes | memoryview, ...], limit: int, what: str, task: str
) -> None:
    """Insist that a task's inputs, or its outputs, have no more bytes inline than it may have.

    Texts, numbers, containers, dataclasses and models are inline. Arrays, tables, bytes and objects of other classes
    are not, nor are files, which are references.

    Parameters
    ----------
    values : mapping
        By name.
    parts : tuple of bytes-like
        What `encode` made of them.
    limit : int
        The task's ``max_inline_io_bytes``.
    what : str
        ``"inputs"`` or ``"outputs"``.
    task : str
        The task's name.

    Raises
    ------
    InlineIOMaxBytesBreached
        Naming the task, the size and the limit.
    """
    if memoryview(parts[0]).nbytes <= limit:  # the buffers of arrays are parts of their own
        return
    inline = {name: value for name, value in values.items() if _is_inline(value)}
    size = len(pickling.dumps(inline, (), [])[0])
    if size > limit:
        raise InlineIOMaxBytesBreached(
            f"the {what} of {task} have {size:,} bytes inline; accepted: {limit:,}, its max_inline_io_bytes. "
            "Give them as a flyte.io.File, Dir or DataFrame, or allow more in @env.task(max_inline_io_bytes=…)"
        )


def _is_inline(value: Any) -> bool:
    return isinstance(value, _INLINE) or dataclasses.is_dataclass(value) or hasattr(value, "__pydantic_fields__")


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
