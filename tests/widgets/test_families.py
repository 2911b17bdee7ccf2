"""The actions of a run in families: the same numbers whichever way they came."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta, timezone

from flyte_nb.engine.base import Action, Phase
from flyte_nb.widgets.families import Families, Place, state
from hypothesis import given, settings
from hypothesis import strategies as st

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
ROOT = Action("a0", "e.root", None, Phase.RUNNING, START)


def action(
    number: int, parent: str = "a0", task: str = "e.t", phase: Phase = Phase.SUCCEEDED, **more: object
) -> Action:
    ended = START + timedelta(seconds=number + 1) if phase.is_terminal else None
    return Action(f"a{number}", task, parent, phase, START + timedelta(seconds=number), ended, **more)  # type: ignore[arg-type]


def listed(families: Families) -> list[str]:
    """Give the ids of all actions that the families hold, from the top down."""
    found: list[str] = []

    def walk(place: Place) -> None:
        for family in place.values():
            found.extend(family.members)
            walk(family.below)
            for number in [] if family.is_many else list(family.members):
                walk(families.own.get(number, {}))

    walk(families.top)
    return found


@st.composite
def histories(draw: st.DrawFn) -> list[Action]:
    """Give what is told of a run: actions that call each other, each with its phases in turn, mixed."""
    count = draw(st.integers(0, 40))
    made: list[list[Action]] = []
    for number in range(1, count + 1):
        parent = f"a{draw(st.integers(0, number - 1))}"
        task, group = draw(st.sampled_from(["e.s", "e.t"])), draw(st.sampled_from(["", "g"]))
        last = draw(st.sampled_from([Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED]))
        attempt, cached = draw(st.integers(0, 2)), draw(st.booleans()) and last is Phase.SUCCEEDED
        phases = [Phase.QUEUED, Phase.RUNNING, *([] if last is Phase.RUNNING else [last])]
        made.append([
            action(number, parent, task, p, group=group if p is last else "", attempt=attempt, cached=cached)
            for p in phases
        ])  # fmt: skip
    mixed = []
    chance = random.Random(draw(st.integers(0, 9)))
    while left := [history for history in made if history]:
        mixed.append(chance.choice(left).pop(0))
    return mixed


@settings(deadline=None)
@given(histories())
def test_whatever_comes_in_whichever_order_each_action_is_in_one_place_and_counted_once(history: list[Action]) -> None:
    families = Families([ROOT])
    for one in history:
        families.put(one)
    newest = {one.id: one for one in history}
    assert len(families) == len(newest)
    assert +families.counts == Counter(map(state, newest.values()))
    assert families.retried == sum(one.attempt > 0 for one in newest.values())
    found = listed(families)
    assert len(found) == len(set(found))
    known = {one.parent for one in newest.values()} - {"a0"} <= set(newest)
    assert not known or set(found) == set(newest)
    assert all(families.find(number) is one for number, one in newest.items())


def test_few_are_told_on_their_own_and_many_together_with_what_they_called() -> None:
    families = Families(
        [ROOT, *(action(n) for n in range(1, 7)), *(action(10 + n, f"a{n}", "e.c") for n in range(1, 7))]
    )
    (few,) = families.top.values()
    assert not few.is_many
    assert {key: list(place) for key, place in families.own.items()} == {f"a{n}": [("", "e.c")] for n in range(1, 7)}
    families.put(action(7))
    assert few.is_many
    assert families.own == {}
    assert list(few.below[("", "e.c")].members) == [f"a{10 + n}" for n in range(1, 7)]
    families.put(action(17, "a7", "e.c"))
    assert few.below[("", "e.c")].is_many


def test_what_a_family_tells() -> None:
    families = Families([ROOT, *(action(n, phase=Phase.RUNNING) for n in range(1, 10))])
    (family,) = families.top.values()
    assert list(family.going) == [f"a{n}" for n in range(1, 10)]
    families.put(action(3, phase=Phase.FAILED, error="E: x", attempt=1))
    families.put(action(4, cached=True))
    assert +family.counts == {"running": 7, "failed": 1, "kept outputs": 1}
    assert (list(family.failed), family.retried, family.seconds) == (["a3"], 1, 2.0)


def test_a_group_that_is_told_late_moves_an_action() -> None:
    families = Families([ROOT])
    families.put(action(1, phase=Phase.RUNNING))
    families.put(action(1, group="g"))
    assert list(families.top) == [("g", "e.t")]
