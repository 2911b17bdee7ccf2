"""The rows of a run: bounded, inert, and each says where it stands in words."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from flyte_nb.engine.base import Action, Phase
from flyte_nb.widgets.families import Families
from flyte_nb.widgets.run_rows import MOST_ROWS, rows, stands
from hypothesis import given, settings
from hypothesis import strategies as st

START = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "</textarea></div>",
        '" onload="x',
        "\u202eevil",
        "a\nb\r\tc",
        "x" * 5000,
        "\x00\x1b[2J",
    ]
)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def root(phase: Phase = Phase.RUNNING, end: float | None = None) -> Action:
    return Action("a0", "e.root", None, phase, at(1), None if end is None else at(end), queued=START)


def test_a_tree_as_text() -> None:
    actions = [
        root(Phase.SUCCEEDED, 9),
        Action("a1", "e.first", "a0", Phase.SUCCEEDED, at(1), at(3), queued=at(1)),
        Action("a2", "e.inner", "a1", Phase.SUCCEEDED, at(2), at(3), attempt=1),
        *(Action(f"a{n}", "e.many", "a0", Phase.SUCCEEDED, at(4), at(6), group="g") for n in range(3, 23)),
        Action("a23", "e.many", "a0", Phase.FAILED, at(6), at(8), "ValueError: no\nmore", group="g"),
        Action("a24", "e.kept", "a0", Phase.SUCCEEDED, cached=True),
    ]
    assert rows(Families(actions)).text() == [
        "                                                                  |0 … 9.0 s               |",
        "a0  e.root             ✓ succeeded                 8.0 s          |··██████████████████████|",
        "  a1  e.first          ✓ succeeded                 2.0 s          |  ██████                |",
        "    a2  e.inner        ✓ succeeded · attempt 2     1.0 s          |     ███                |",
        "  e.many x 21  in g    ✓ 20 succeeded, ✗ 1 failed  42.0 s in all  |          ██████▁▁▁▁▁▁  |",
        "    a23  e.many  in g  ✗ failed · ValueError: no   2.0 s          |                ██████  |",
        "  a24  e.kept          ✓ kept outputs                             |                        |",
    ]


def test_what_was_called_first_stands_first_however_it_was_heard_of() -> None:
    heard = [Action(number, task, "a0") for number, task in (
        ("a10", "e.b"), ("a2", "e.a"), ("a3", "e.a"), ("a0-4", "e.c"), ("a1", "e.a"), ("a0-12", "e.c"), ("a0-5", "e.c")
    )]  # fmt: skip
    told = [row.number for row in rows(Families([root(), *heard])).rows]
    assert told == ["a0", "a0-4", "a0-5", "a0-12", "a1", "a2", "a3", "a10"]


def test_an_end_is_worded_once() -> None:
    error = "ABORTED: the run was cancelled"
    assert stands(Action("a1", "e.t", "a0", Phase.ABORTED, START, error=error)) == "■ aborted · the run was cancelled"


@pytest.mark.parametrize("phase", list(Phase), ids=lambda phase: phase.value)
def test_every_phase_has_a_sign_and_a_word(phase: Phase) -> None:
    told = stands(Action("a1", "e.t", "a0", phase, START))
    assert phase.value.replace("_", " ") in told
    assert told[0] in "✓✗■▶○"


def test_what_is_waited_for_is_told() -> None:
    waits = Action("a1", "e.t", "a0", Phase.WAITING_FOR_RESOURCES, notice="clamped\nwaiting for 2 cpu, 1 free")
    assert stands(waits) == "○ waiting for resources · waiting for 2 cpu, 1 free"


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS, st.sampled_from(list(Phase))), max_size=80))
def test_whatever_they_are_called_they_are_inert_and_few(told: list[tuple[str, str, str, Phase]]) -> None:
    actions = [
        Action(
            f"a{n + 1}", task, f"a{n // 3}", phase, at(n), at(n + 1) if phase.is_terminal else None, error, group=group
        )
        for n, (task, group, error, phase) in enumerate(told)
    ]
    made = rows(Families([root(), *actions]), at(100))
    assert 1 <= len(made.rows) <= MOST_ROWS
    if made.more:
        assert len(made.rows) == MOST_ROWS
        assert made.more == f"… {len(actions) + 1:,} actions in all"
    assert all("\n" not in line for line in made.text())
    for row in made.rows:
        html = row.html(made.axis)
        tags = set(re.findall(r"</?([a-z]*)", html))
        assert tags <= {"div", "small", "svg", "path"}
        assert not set("\u202e\x00\x1b") & set(html)
        assert len(html) < 4_000


def test_those_that_run_longest_are_listed_as_well_when_they_are_slow() -> None:
    fast = [Action(f"a{n}", "e.t", "a0", Phase.RUNNING, at(n * 0.1)) for n in range(1, 9)]
    made = rows(Families([root(), *fast]), at(1.15))
    assert [row.number for row in made.rows[2:]] == ["a1"]
    assert 0 < made.until < 1
    assert [row.number for row in rows(Families([root(), *fast]), at(9)).rows[2:]] == ["a1", "a2"]


def test_when_it_would_look_different_though_nothing_happens() -> None:
    running = Action("a1", "e.t", "a0", Phase.RUNNING, at(1))
    assert rows(Families([root(), running]), at(4)).until == pytest.approx(1.0)  # the axis is of 5 s
    assert rows(Families([root(Phase.SUCCEEDED, 4)]), at(9)).until == float("inf")
