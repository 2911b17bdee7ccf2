"""Frames: what goes over the pipe between an engine and a worker.

A frame is a JSON head and any number of byte parts. Its wire form is a count, the sizes, then the parts, big-endian;
the head is the first part. Values travel as parts that only the two ends decode.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Container, Mapping, Sequence
from typing import Any

from flyte_nb import pickling
from flyte_nb.engine.segments import Part, as_bytes, mapped, named, received
from flyte_nb.errors import InlineIOMaxBytesBreached

__all__ = ["Frame", "Frames", "Part", "decode", "encode", "insist_inline", "pack", "size_of"]

Frame = tuple[dict[str, Any], list[Part]]
_COUNT = struct.Struct(">I")
_SIZE = struct.Struct(">Q")
_write = json.JSONEncoder(separators=(",", ":")).encode
_read = json.JSONDecoder().raw_decode
_MOST_PARTS = 1 << 20
_MOST_BYTES = 1 << 40


def encode(value: Any, defined: Container[str] = ()) -> tuple[tuple[Part, ...], set[str]]:
    """Encode a value as parts, and name the notebook's definitions that it refers to.

    Raises
    ------
    Exception
        Whatever the value's own pickling raises.
    """
    buffers: list[Part] = []
    data, used = pickling.dumps(value, defined, buffers)
    return (data, *buffers), used


def decode(parts: Sequence[Part], last: bool = False) -> Any:
    """Decode what `encode` gave; ``last`` says that nobody else will, so that what is in shared memory can go."""
    data, *buffers = mapped(parts, last)
    return pickling.loads(data, buffers)


_INLINE = (str, int, float, list, dict, tuple, set, frozenset)


def insist_inline(values: Mapping[str, Any], parts: Sequence[Part], limit: int, what: str, task: str) -> None:
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
    if len(as_bytes(parts[0])) <= limit:  # the buffers of arrays are parts of their own
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


def pack(head: dict[str, Any], parts: Sequence[Part] = ()) -> list[bytes | memoryview]:
    """Give the wire form of a frame, as buffers to write one after the other; small ones are joined."""
    head, whole = named(head, parts)
    text = _write(head).encode()
    sizes = [len(text), *map(size_of, whole)]
    start = _COUNT.pack(len(sizes)) + struct.pack(f">{len(sizes)}Q", *sizes) + text
    if sum(sizes) < 1 << 16:
        return [b"".join((start, *whole))]
    return [start, *whole]


def size_of(part: Part) -> int:
    """Give the number of bytes of a part."""
    return len(part) if isinstance(part, bytes) else part.nbytes


class Frames:
    """Cuts the bytes that arrive into frames."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._have = 0
        self._needed = _COUNT.size

    def feed(self, data: bytes) -> list[Frame]:
        """Take in bytes and give the frames that they complete.

        Raises
        ------
        ValueError
            When they cannot be frames.
        """
        self._have += len(data)
        if self._chunks or self._have < self._needed:
            self._chunks.append(data)
            if self._have < self._needed:
                return []
            data = b"".join(self._chunks)
        found: list[Frame] = []
        start, end = 0, len(data)
        while end - start >= self._needed and (frame := self._cut(data, start)) is not None:
            start += self._needed
            found.append(frame)
            self._needed = _COUNT.size
        rest = data[start:]
        self._chunks, self._have = [rest] if rest else [], len(rest)
        return found

    def _cut(self, data: bytes, start: int) -> Frame | None:
        """Give the frame that begins at ``start``; None, and how many bytes are needed, while it is not all there."""
        (count,) = _COUNT.unpack_from(data, start)
        if not 0 < count <= _MOST_PARTS:
            raise ValueError(f"a frame of {count} parts: the stream is not what it should be")
        at = start + _COUNT.size + _SIZE.size * count
        self._needed = at - start
        if len(data) < at:
            return None
        sizes = struct.unpack_from(f">{count}Q", data, start + _COUNT.size)
        total = sum(sizes)
        if total > _MOST_BYTES:
            raise ValueError(f"a frame of {total} bytes: the stream is not what it should be")
        self._needed += total
        if len(data) < at + total:
            return None
        parts: list[Part] = []
        for size in sizes:
            parts.append(data[at : at + size])
            at += size
        head = _read(parts[0].decode())[0]  # type: ignore[union-attr]  # it is bytes
        return head, received(head, parts[1:])
