"""Frames: what goes over the pipe between an engine and a worker.

A frame is a JSON head and any number of byte parts. Its wire form is a count, the sizes, then the parts, big-endian;
the head is the first part. Values travel as parts that only the two ends decode.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Container, Sequence
from typing import Any

from flyte_nb import pickling
from flyte_nb.engine.segments import Part, mapped, named, received

__all__ = ["Frame", "Frames", "Part", "decode", "encode", "pack"]

Frame = tuple[dict[str, Any], list[Part]]
_COUNT = struct.Struct(">I")
_SIZE = struct.Struct(">Q")
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


def pack(head: dict[str, Any], parts: Sequence[Part] = ()) -> list[bytes | memoryview]:
    """Give the wire form of a frame, as buffers to write one after the other; small ones are joined."""
    head, whole = named(head, parts)
    text = json.dumps(head, separators=(",", ":")).encode()
    sizes = [len(text), *map(_size, whole)]
    start = _COUNT.pack(len(sizes)) + struct.pack(f">{len(sizes)}Q", *sizes) + text
    if sum(sizes) < 1 << 16:
        return [b"".join((start, *whole))]
    return [start, *whole]


def _size(part: bytes | memoryview) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)


class Frames:
    """Cuts the bytes that arrive into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = _COUNT.size

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """Take in bytes and give the frames that they complete.

        Raises
        ------
        ValueError
            When they cannot be frames.
        """
        self._buffer += data
        found: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= self._needed and (frame := self._cut(start)) is not None:
            start += self._needed
            found.append(frame)
            self._needed = _COUNT.size
        if start:
            del self._buffer[:start]
        return found

    def _cut(self, start: int) -> Frame | None:
        """Give the frame that begins at ``start``; None, and how many bytes are needed, while it is not all there."""
        (count,) = _COUNT.unpack_from(self._buffer, start)
        if not 0 < count <= _MOST_PARTS:
            raise ValueError(f"a frame of {count} parts: the stream is not what it should be")
        self._needed = _COUNT.size + _SIZE.size * count
        if len(self._buffer) - start < self._needed:
            return None
        sizes = struct.unpack_from(f">{count}Q", self._buffer, start + _COUNT.size)
        total = sum(sizes)
        if total > _MOST_BYTES:
            raise ValueError(f"a frame of {total} bytes: the stream is not what it should be")
        at = start + self._needed
        self._needed += total
        if len(self._buffer) - start < self._needed:
            return None
        parts: list[bytes] = []
        with memoryview(self._buffer) as view:
            for size in sizes:
                parts.append(bytes(view[at : at + size]))
                at += size
        head = json.loads(parts[0])
        return head, received(head, [*parts[1:]])
