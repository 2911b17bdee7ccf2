"""Bars over the time of a run: where they begin and end, and how high they are."""

from __future__ import annotations

import pytest
from flyte_nb.widgets.timeline import BINS, Axis, Bar, Busy, blocks, drawn, in_characters, rounded_up, sampled
from hypothesis import given
from hypothesis import strategies as st

SPANS = st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 5000)).map(sorted), min_size=1, max_size=50)


@given(SPANS)
def test_what_was_under_way_adds_up_however_the_bins_grow(spans: list[list[float]]) -> None:
    busy = Busy()
    for start, end in spans:
        busy.add(start, end)
    assert len(busy.bins) == BINS
    total = sum(busy.bins) * busy.width
    assert total == pytest.approx(sum(end - start for start, end in spans), rel=1e-6, abs=1e-2)
    assert busy.origin <= min(start for start, _ in spans)
    assert busy.origin + busy.width * BINS >= max(end for _, end in spans)


@given(SPANS)
def test_what_is_taken_away_again_is_gone(spans: list[list[float]]) -> None:
    busy = Busy()
    for start, end in spans:
        busy.add(start, end)
    for start, end in spans:
        busy.add(start, end, -1)
    assert max(map(abs, busy.bins)) < 1e-3


@given(SPANS, st.integers(1, 40))
def test_samples_are_from_0_to_1(spans: list[list[float]], parts: int) -> None:
    busy = Busy()
    for start, end in spans:
        busy.add(start, end)
    found = sampled(busy, busy.origin, busy.origin + busy.width * BINS, parts)
    assert len(found) == parts
    assert max(found) == pytest.approx(1)
    assert min(found) >= 0


@given(st.floats(0, 1e6))
def test_an_axis_has_room(seconds: float) -> None:
    assert seconds < rounded_up(seconds) <= max(seconds * 2.5, 1)


def test_bars_in_characters() -> None:
    axis = Axis(100.0, 10.0)
    assert in_characters(Bar(100, 105), axis, 10) == "█████     "
    assert in_characters(Bar(105, 107, grows=True), axis, 10) == "     █▶   "
    assert in_characters(Bar(109.99, 109.991), axis, 10) == "         █"
    assert in_characters(Bar(102, 106, heights=[0, 0.5, 1, 0.25]), axis, 10) == "  ▁▄█▂    "
    assert in_characters(Bar(104, 106, asked=101), axis, 10) == " ···██    "
    assert in_characters(None, axis, 10) == " " * 10
    assert blocks([0, 0.01, 1]) == " ▁█"


@given(st.floats(0, 300), st.floats(0, 300))
def test_a_bar_is_always_within_its_line(start: float, length: float) -> None:
    assert len(in_characters(Bar(start, start + length), Axis(100.0, 50.0), 24)) == 24


def test_a_bar_that_grows_does_so_by_itself() -> None:
    html = drawn(Bar(102, 104, "running", grows=True), Axis(100.0, 10.0))
    assert "left:20%;right:60%" in html
    assert "animation:flyte-nb-grows 6s linear forwards" in html
    assert "animation" not in drawn(Bar(102, 104), Axis(100.0, 10.0))
