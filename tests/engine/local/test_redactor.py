"""Redactor: no cut of a stream lets a value through, and text without values passes as it is."""

from __future__ import annotations

import base64
import itertools
import json
import pickle
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from flyte_nb.engine.local.redactor import Redactor
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.lists(st.text("ab*\n", min_size=1, max_size=9), max_size=4)
CUTS = st.lists(st.integers(0, 99))


@st.composite
def values_and_text(draw: st.DrawFn) -> tuple[list[str], str]:
    """Values, and a text made of parts of them and other characters."""
    values = draw(VALUES)
    part = st.text("ab*", max_size=3)
    if values:
        part |= st.builds(lambda value, a, b: value[a:b], st.sampled_from(values), st.integers(0, 4), st.integers(4, 9))
    return values, "".join(draw(st.lists(part, max_size=12)))


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in itertools.pairwise(places)]


def redacted(redactor: Redactor, *parts: str) -> str:
    return "".join(map(redactor.feed, parts)) + redactor.close()


@given(values_and_text(), CUTS)
def test_no_value_remains_and_the_cuts_do_not_matter(made: tuple[list[str], str], cuts: list[int]) -> None:
    values, text = made
    redactor = Redactor(values)
    out = redacted(redactor, *pieces(text, cuts))
    assert [value for value in values if len(value) >= 4 and value in out] == []
    assert out == redacted(redactor, text) == redacted(redactor, *text)


@given(values_and_text(), CUTS, st.lists(st.booleans(), min_size=9, max_size=9))
def test_no_value_remains_whenever_it_is_flushed(
    made: tuple[list[str], str], cuts: list[int], flushes: list[bool]
) -> None:
    values, text = made
    redactor, out = Redactor(values), ""
    for piece, flush in zip(pieces(text, cuts), itertools.cycle(flushes), strict=False):
        out += redactor.feed(piece)
        if flush:
            out += redactor.flush()
            assert redactor.pending == 0
    out += redactor.close()
    assert [value for value in values if len(value) >= 4 and value in out] == []


@given(st.text(), st.lists(st.integers(0, 999)), st.lists(st.text(min_size=4, max_size=8)))
def test_text_without_values_passes_unchanged(text: str, cuts: list[int], values: list[str]) -> None:
    secrets = [f"\ue000{value}" for value in values]  # of a private character, so not in the text
    plain = text.replace("\ue000", "").replace("\\", "").replace("%", "")
    forms = [form for form in Redactor(secrets)._forms if form in plain]
    if not forms:
        assert redacted(Redactor(secrets), *pieces(plain, cuts)) == plain
    assert redacted(Redactor(["abc", ""]), *pieces(text, cuts)) == text


@given(st.text(min_size=4).filter(lambda value: len(value.strip()) > 3), st.binary(max_size=5), st.binary(max_size=5))
def test_no_encoded_form_remains(value: str, before: bytes, after: bytes) -> None:
    redactor = Redactor([value])
    forms = [base64.b64encode(value.encode()).decode(), base64.urlsafe_b64encode(value.encode()).decode(),
             quote(value, safe=""), json.dumps(value)[1:-1]]  # fmt: skip
    for form in forms:
        assert form not in redacted(redactor, f"<{form}>")
    inside = base64.b64encode(before + value.encode() + after).decode()
    out = redacted(redactor, f"<{inside}>")
    assert out != f"<{inside}>"
    assert len(out.replace(redactor._mark, "")) <= 2 + len(base64.b64encode(before + after)) + 4


def test_a_value_is_replaced_as_a_whole() -> None:
    assert redacted(Redactor(["hunter2"]), "the password is hun", "ter2.\n") == "the password is ***.\n"
    basic = base64.b64encode(b"user:hunter2").decode()
    assert redacted(Redactor(["hunter2"]), f"Basic {basic}") == f"Basic {basic[:7]}***"


def test_values_that_overlap_are_one_mark() -> None:
    redactor = Redactor(["abcdef", "efghij"])
    assert redacted(redactor, "<abcdefghij>") == "<***>"
    assert redacted(redactor, *"<abcdefghij>") == "<***>"


def test_each_line_of_a_value_and_the_whole() -> None:
    redactor = Redactor(["first line\n  second\nno"])
    assert redacted(redactor, "second then first line") == "*** then ***"
    assert redacted(redactor, "first line\n  second\nno") == "***"
    assert redacted(redactor, "no") == "no"


def test_only_a_possible_start_is_held_back_and_flushed_soon() -> None:
    redactor = Redactor(["hunter2"])
    assert (redactor.feed("who hunts: h"), redactor.pending) == ("who hunts: ", 1)
    assert (redactor.feed("unt"), redactor.pending) == ("", 4)
    assert (redactor.flush(), redactor.pending) == ("hunt", 0)
    assert redactor.feed("er2!") == "***!"
    assert redactor.feed("plain") == "plain"


def test_a_whole_text_apart_from_the_stream() -> None:
    redactor = Redactor(["hunter2"])
    assert redactor.feed("hunt") == ""
    assert redactor.redact("er2 is not hunter2, hunt") == "er2 is not ***, hunt"
    assert redactor.feed("er2") + redactor.close() == "***"


def test_another_mark_where_a_value_has_stars() -> None:
    out = redacted(Redactor(["****", "secret"]), "***** secret")
    assert out == "███ ███"


def test_without_values_nothing_is_held() -> None:
    redactor = Redactor(["abc"])
    assert (redactor.feed("abcabc"), redactor.pending, redactor.close()) == ("abcabc", 0, "")


def test_values_do_not_leave() -> None:
    redactor = Redactor(["hunter2"])
    redactor.feed("hunter")
    assert "hunter" not in repr(redactor)
    with pytest.raises(TypeError, match="does not leave its process"):
        pickle.dumps(redactor)
