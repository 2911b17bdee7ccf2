"""The actions of a run as a tree, bounded however many there are."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from flyte_nb.engine.base import Action, Phase
from flyte_nb.widgets.tree import MOST_LINES, tree

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def action(
    number: str, parent: str | None, task: str = "e.t", phase: Phase = Phase.SUCCEEDED, **more: object
) -> Action:
    return Action(number, task, parent, phase, START, START + timedelta(milliseconds=5), **more)  # type: ignore[arg-type]


def test_children_stand_under_their_parents() -> None:
    actions = [
        action("a0", None),
        action("a1", "a0", "e.one"),
        action("a2", "a1", "e.two"),
        action("a3", "a0", "e.three"),
    ]
    assert tree(actions) == [
        "a1  e.one  succeeded  5 ms",
        "  a2  e.two  succeeded  5 ms",
        "a3  e.three  succeeded  5 ms",
    ]


def test_many_of_one_task_are_told_together() -> None:
    actions = [action("a0", None), *(action(f"a{n}", "a0", group="batch") for n in range(1, 1001))]
    actions[5].phase, actions[6].cached = Phase.FAILED, True
    assert tree(actions) == ["e.t x 1,000  in batch  998 succeeded, 1 failed, 1 cached  5.0 s in all"]


def test_of_many_the_failed_ones_are_named() -> None:
    actions = [action("a0", None), *(action(f"a{n}", "a0") for n in range(1, 101))]
    for n in (3, 50, 51, 52):
        actions[n].phase, actions[n].error = Phase.FAILED, f"ValueError: no {n}\nmore"
    lines = tree(actions)
    assert lines[0].startswith("e.t x 100  96 succeeded, 4 failed")
    assert lines[1:] == [f"  a{n}  failed  5 ms  ValueError: no {n}" for n in (3, 50, 51)]


def test_how_each_ended() -> None:
    failed = action("a1", "a0", phase=Phase.FAILED, error="ValueError: no\nmore", attempt=2)
    assert tree([action("a0", None), failed]) == ["a1  e.t  failed  5 ms  attempt 3  ValueError: no"]
    assert tree([action("a0", None), action("a1", "a0", cached=True)]) == ["a1  e.t  succeeded  5 ms  kept outputs"]


def test_it_is_bounded() -> None:
    actions = [action("a0", None), *(action(f"a{n}", "a0", f"e.t{n}") for n in range(1, 10_001))]
    lines = tree(actions)
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "… 10,000 actions in all"
