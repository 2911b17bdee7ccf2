"""Shapes: what a value's text says is read as the same value again, and what cannot be read says why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flyte_nb.environments.accelerators import DEVICES, PARTITIONS, QUANTITIES
from flyte_nb.environments.devices import Device
from flyte_nb.environments.resources import Resources
from flyte_nb.form import shapes
from hypothesis import given, settings
from hypothesis import strategies as st


def pairs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give single values, and pairs of two that differ: a pair of the same is told as one."""
    return st.one_of(values, st.tuples(values, values).filter(lambda pair: pair[0] != pair[1]))


amounts = st.sampled_from(["512Mi", "4Gi", "1e3", "1Ti"])
cores = st.one_of(st.integers(0, 512), st.floats(0, 512, allow_nan=False).filter(lambda f: "e" not in repr(f)))
cores = st.one_of(cores, st.sampled_from(["500m", "2k"]))
lines = st.lists(st.from_regex(r"[A-Za-z0-9./*-]+", fullmatch=True)).map(tuple)


@st.composite
def devices(draw: Any) -> Device:
    kind = draw(st.sampled_from(sorted(DEVICES)))
    name = draw(st.sampled_from([*DEVICES[kind], *([None] if kind != "APPLE_SILICON" else [])]))
    count = draw(st.sampled_from(QUANTITIES[name])) if name else draw(st.integers(1, 64))
    partition = draw(st.sampled_from([None, *PARTITIONS.get(name or "", ())]))
    return Device(count, kind, name, partition)


SHAPES: list[tuple[str, shapes.Shape, st.SearchStrategy[Any]]] = [
    ("text", shapes.TEXT, st.text(min_size=1).filter(lambda text: text == text.strip())),
    ("count", shapes.COUNT, st.integers(-(10**17), 10**17)),
    ("flag", shapes.FLAG, st.booleans()),
    ("cores", shapes.CORES, pairs(cores)),
    ("bytes", shapes.BYTES, pairs(amounts)),
    (
        "replicas",
        shapes.PAIR_OF_COUNTS,
        pairs(st.integers(0, 99)),
    ),
    ("duration", shapes.DURATION, st.integers(0, 10**9).map(lambda s: timedelta(seconds=s))),
    ("lines", shapes.LINES, lines),
    (
        "variables",
        shapes.VARIABLES,
        st.dictionaries(st.from_regex(r"[A-Z_]+", fullmatch=True), st.from_regex(r"\w*", fullmatch=True)),
    ),
    ("accelerator string", shapes.ACCELERATOR, st.sampled_from(["A100:1", "T4 shared:1", "Trn1:16", "MI300X:1"])),
    ("accelerator count", shapes.ACCELERATOR, st.integers(0, 64)),
]


@pytest.mark.parametrize(("shape", "values"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_a_text_reads_as_the_value_it_was_made_of(shape: shapes.Shape, values: st.SearchStrategy[Any]) -> None:
    @settings(deadline=None)
    @given(values)
    def check(value: Any) -> None:
        if shape is shapes.VARIABLES:
            value = {name: text.strip() for name, text in value.items()}
        read = shape.read(shape.show(value))
        assert (type(read), read) == (type(value), value)
        assert shape.says(value)

    check()


@settings(deadline=None)
@given(devices())
def test_a_device_reads_as_the_same_accelerator(device: Device) -> None:
    read = shapes.ACCELERATOR.read(shapes.ACCELERATOR.show(device))
    assert Resources(gpu=read).get_device() == device


@settings(deadline=None)
@given(st.text(max_size=12))
@pytest.mark.parametrize("shape", [row[1] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_any_text_is_read_or_refused_with_a_reason(shape: shapes.Shape, text: str) -> None:
    reason = ""
    try:
        value = shape.read(text)
    except ValueError as error:
        reason = str(error)
    else:
        reason = "none: it is read"
        assert (shape.read(shape.show(value)) if shape.show(value) else value) == value
    assert reason


@pytest.mark.parametrize(
    ("shape", "text", "reason"),
    [
        (shapes.COUNT, "two", "it is not a whole number"),
        (shapes.PAIR_OF_COUNTS, "1:", "a pair has two values"),
        (shapes.CORES, "1:2:3", "a pair has two values"),
        (shapes.DURATION, "soon", "it is not a length of time, such as 90, 90s, 5m or 1h 30m"),
        (shapes.FLAG, "maybe", "it is not yes or no"),
        (shapes.NUMBER, "x", "it is not a number"),
        (shapes.VARIABLES, "LEVEL", "'LEVEL' has no value; write NAME=VALUE"),
        (shapes.ACCELERATOR, "A1OO:1", "did you mean"),
        (shapes.ACCELERATOR, "A100:99", "1 to 8"),
        (shapes.ACCELERATOR, ":", "it is not an accelerator"),
    ],
)
def test_what_cannot_be_read_says_why(shape: shapes.Shape, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        shape.read(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h 30m", 5400), ("2d", 172800), ("0.5s", 0.5)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert shapes.DURATION.read(text) == timedelta(seconds=seconds)


def test_what_a_text_cannot_say() -> None:
    assert not shapes.TEXT.says(object())
    assert not shapes.choice(("a", "b")).says("c")
    assert not shapes.FIXED.says(1)
    assert not shapes.FIXED.says(None)
    assert not shapes.LINES.says(("a\nb",))
    assert not shapes.VARIABLES.says({"A": "1\n2"})
