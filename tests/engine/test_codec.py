"""Frames: what was packed comes out, however it arrives, and a broken stream never passes for a frame."""

from __future__ import annotations

import array
import dataclasses
import pickle
import struct
import threading
from typing import Any

import pytest
from flyte_nb.engine import codec
from flyte_nb.errors import InlineIOMaxBytesBreached
from hypothesis import given
from hypothesis import strategies as st

heads = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()))
bodies = st.lists(st.binary(max_size=200), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def wire(head: dict[str, Any], parts: list[Any]) -> bytes:
    return b"".join(bytes(memoryview(buffer).cast("B")) for buffer in codec.pack(head, parts))


def received(data: bytes, chunk: int = 1 << 16) -> list[codec.Frame]:
    frames = codec.Frames()
    return [frame for start in range(0, len(data), chunk) for frame in frames.feed(data[start : start + chunk])]


@given(head=heads, parts=bodies, chunk=st.integers(1, 64))
def test_frames_round_trip_however_they_arrive(head: dict[str, Any], parts: list[bytes], chunk: int) -> None:
    assert received(2 * wire(head, parts), chunk) == [(head, parts)] * 2


@given(data=st.data())
def test_a_frame_cut_off_is_no_frame(data: st.DataObject) -> None:
    whole = wire({"op": "result"}, [b"abc", b"", b"defg"])
    assert received(whole[: data.draw(st.integers(0, len(whole) - 1))]) == []


@pytest.mark.parametrize("count", [0, (1 << 20) + 1, (1 << 32) - 1])
def test_absurd_counts_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"a frame of {count} parts"):
        received(struct.pack(">I", count) + b"\xff" * 64)


def test_absurd_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a frame of .* bytes"):
        received(struct.pack(">I2Q", 2, 2, (1 << 64) - 1) + b"{}")


@given(value=values)
def test_values_round_trip(value: Any) -> None:
    parts, used = codec.encode(value)
    assert codec.decode([bytes(part) for part in parts]) == value
    assert used == set()


def test_large_buffers_travel_beside_the_pickle_without_a_copy() -> None:
    data = bytearray(b"x" * 5_000_000)
    parts, _ = codec.encode({"data": pickle.PickleBuffer(data)})
    assert len(parts) == 2
    assert len(parts[0]) < 1000
    data[0] = ord("y")
    assert bytes(parts[1])[:2] == b"yx"
    ((_, back),) = received(wire({}, list(parts)))
    assert bytes(codec.decode(back)["data"]) == data


def test_sizes_count_bytes_not_items() -> None:
    numbers = array.array("d", range(1000))
    assert received(wire({"n": 1}, [memoryview(numbers)])) == [({"n": 1}, [numbers.tobytes()])]


def test_value_that_does_not_pickle_raises_its_own_error() -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        codec.encode(threading.Lock())


@dataclasses.dataclass
class Note:
    text: str


class Model:
    def __init__(self, size: int) -> None:
        self.weights = "w" * size


def insist(values: dict[str, Any], limit: int) -> None:
    codec.insist_inline(values, codec.encode(values)[0], limit, "inputs", "e.t")


@pytest.mark.parametrize("value", ["x" * 2000, [*range(2000)], {"k": "x" * 2000}, Note("x" * 2000), (0.5,) * 200])
def test_more_bytes_inline_than_allowed(value: Any) -> None:
    told = r"the inputs of e\.t have \d.* bytes inline; accepted: 1,000"
    with pytest.raises(InlineIOMaxBytesBreached, match=told) as caught:
        insist({"small": 1, "large": value}, 1000)
    assert caught.value.code == "InlineIOMaxBytesBreached"
    insist({"small": 1, "large": value}, 100_000)


@pytest.mark.parametrize("value", [b"x" * 2000, bytearray(2000), Model(2000), pickle.PickleBuffer(bytearray(2000))])
def test_what_is_not_inline_is_not_counted(value: Any) -> None:
    insist({"small": 1, "large": value}, 1000)
