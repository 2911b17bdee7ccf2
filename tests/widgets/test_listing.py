"""Listing: whatever is searched, shown and sorted, each row is found once, in order, and no page is too long."""

from __future__ import annotations

import pytest
from flyte_nb.widgets.lines import heading, lines_of
from flyte_nb.widgets.listing import ALL, ORDERS, PAGE, SHOWN, SIGNS, Row, counted, listed
from hypothesis import given, settings
from hypothesis import strategies as st

words = st.text(st.sampled_from("ab-10 \u202e<"), max_size=6)
rows = st.lists(
    st.builds(
        Row,
        name=words,
        kind=st.sampled_from(["task", "app", "connector", "other"]),
        tasks=st.lists(words, max_size=3).map(tuple),
        place=words,
        state=st.sampled_from(list(SIGNS)),
        version=st.sampled_from(["", "v1"]),
        description=words,
    ),
    max_size=30,
    unique_by=lambda row: row.name,
)


@settings(deadline=None)
@given(rows, words, st.sampled_from(list(SHOWN)), st.sampled_from(list(ORDERS)), st.integers(1, 7))
def test_the_pages_together_are_what_is_found(all_: list[Row], search: str, shown: str, order: str, size: int) -> None:
    first = listed(all_, search, shown, order, 0, size)
    pages = [listed(all_, search, shown, order, page, size) for page in range(first.pages)]
    found = [row for page in pages for row in page.rows]
    assert len(found) == first.found == len({row.name for row in found})
    assert all(len(page.rows) <= size and page.page == number for number, page in enumerate(pages))
    assert first.total == len(all_)
    keys = [ORDERS[order](row) for row in found]
    assert keys == sorted(keys)  # type: ignore[type-var]
    wanted = search.casefold().split()
    for row in all_:
        text = " ".join((row.name, row.kind, *row.tasks, row.place, row.told, row.description)).casefold()
        fits = SHOWN[shown](row) and all(word in text for word in wanted)
        assert (row in found) == fits


@settings(deadline=None)
@given(rows, st.integers(-5, 50))
def test_a_page_that_is_not_there_is_the_nearest(all_: list[Row], page: int) -> None:
    found = listed(all_, page=page, size=4)
    assert 0 <= found.page < found.pages
    assert bool(found.rows) == bool(all_)


def test_numbers_in_names_are_numbers() -> None:
    made = [Row(name, "task") for name in ("env-10", "env-9", "a2b", "a10b")]
    assert [row.name for row in listed(made).rows] == ["a2b", "a10b", "env-9", "env-10"]


def test_what_needs_notice_comes_first() -> None:
    made = [Row(state, "task", state=state) for state in reversed(SIGNS)]
    assert [row.state for row in listed(made, order="state").rows] == list(SIGNS)
    assert {row.sign for row in listed(made, shown="needs attention").rows} == {"!"}
    assert counted([Row("a", "task"), Row("b", "task"), Row("c", "task", state="out of date")]) == (
        "1 out of date, 2 declared"
    )


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (Row("a", "task"), "declared"),
        (Row("a", "task", state="deployed", version="v1"), "deployed at v1"),
        (Row("a", "task", state="deployed", version="v1", is_checked=False), "deployed at v1 …"),
        (Row("a", "task", state="out of date", version="v1"), "out of date (deployed at v1)"),
        (Row("a", "app", state="serving", note="idle"), "serving (idle)"),
        (Row("a", "task", state="cannot be deployed", note="why"), "cannot be deployed (why)"),
    ],
)
def test_each_state_is_words(row: Row, told: str) -> None:
    assert row.told == told


def test_a_page_has_fifty() -> None:
    assert PAGE == 50
    assert len(listed([Row(str(number), "task") for number in range(1_000)]).rows) == 50
    assert ALL in SHOWN


def test_columns_are_as_wide_as_what_stands_in_them() -> None:
    rows = [Row("a", "task", ("t",), "In [2]"), Row("b" * 50, "app", (), "In [3]", state="serving", note="<b>\u202e")]
    lines = [line.replace("\u00a0", " ") for line in lines_of(rows)]
    words = heading(rows).replace("\u00a0", " ").partition(">")[2]
    assert [line.index("In [") for line in lines] == [words.index("declared<")] * 2
    assert f"▶ {'b' * 31}…" in lines[1]
    assert "\u202e" not in lines[1]
    assert len(lines_of([rows[0]])[0]) < 50
    assert "<b>" not in heading(rows)
