"""Fingerprint: a digest of input values, the same in every process for the same values."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any

from flyte_nb import pickling

__all__ = ["fingerprint"]

Feed = Callable[[bytes], None]
_PLAIN = (bool, int, float, complex, str, type(None), date, time, timedelta, PurePath)


def fingerprint(inputs: Mapping[str, Any], ignored: Sequence[str] = ()) -> str:
    """Give a digest of inputs.

    Parameters
    ----------
    inputs : mapping
        The inputs by name; their order does not count.
    ignored : sequence of str
        Names of inputs that do not count.

    Returns
    -------
    str
        40 hexadecimal digits. The order of a dict inside a value counts, that of a set does not.
    """
    total = hashlib.blake2b(digest_size=20)
    for name in sorted(set(inputs) - set(ignored)):
        total.update(f"\0{name}=".encode())
        _feed(total.update, inputs[name])
    return total.hexdigest()


def _feed(feed: Feed, value: Any) -> None:
    kind = type(value)
    feed(f"<{kind.__module__}.{kind.__qualname__}>".encode())
    if kind in _PLAIN:
        feed(repr(value).encode("utf-8", "surrogatepass"))
    elif isinstance(value, Enum):
        feed(value.name.encode())
    elif kind in (bytes, bytearray, memoryview):
        feed(value)
    elif kind in (list, tuple):
        _feed_all(feed, value)
    elif kind is dict:
        _feed_all(feed, [item for pair in value.items() for item in pair])
    elif kind in (set, frozenset):
        feed(repr(sorted(map(_alone, value))).encode())
    elif dataclasses.is_dataclass(kind):
        _feed_all(feed, [getattr(value, f.name) for f in dataclasses.fields(value)])
    else:
        _feed_other(feed, value)


def _feed_all(feed: Feed, values: Sequence[Any]) -> None:
    feed(f"{len(values)}:".encode())
    for value in values:
        _feed(feed, value)


def _feed_other(feed: Feed, value: Any) -> None:
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(value) is numpy.ndarray and value.dtype != object:
        feed(f"{value.dtype.str}{value.shape}".encode())
        feed(numpy.ascontiguousarray(value).data.cast("B") if value.size else b"")
        return
    buffers: list[Any] = []
    data, _ = pickling.dumps(value, _Everything(), buffers)
    feed(data)
    for buffer in buffers:
        feed(buffer)


def _alone(value: Any) -> str:
    total = hashlib.blake2b(digest_size=20)
    _feed(total.update, value)
    return total.hexdigest()


class _Everything:
    """All names: the notebook's classes count by name here, and their code by the slice of the task."""

    def __contains__(self, name: object) -> bool:
        return True
