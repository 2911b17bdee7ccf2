"""Histories: back and forth, steps of one thing are one, a new step forgets what was gone back from."""

from __future__ import annotations

from flyte_nb.history import History


def test_back_and_forth() -> None:
    history: History[str] = History()
    assert (history.can_go_back, history.can_go_forth) == (False, False)
    history.left("a")
    history.left("b")
    assert history.past == "b"
    history.back("c")
    assert (history.past, history.future) == ("a", "c")
    history.back("b")
    history.forth("a")
    assert (history.past, history.future) == ("a", "c")
    history.left("b")
    assert not history.can_go_forth


def test_steps_of_one_thing_are_one() -> None:
    history: History[str] = History()
    for state in ("", "4", "4G"):
        history.left(state, "memory")
    history.left("4Gi", "cpu")
    history.back("4Gi, 2")
    assert history.past == ""
    history.left("4Gi", "cpu")
    assert history.past == "4Gi"


def test_states_are_revised() -> None:
    history: History[int] = History()
    history.left(1)
    history.left(2)
    history.back(3)
    history.revise(lambda state: state * 10)
    assert (history.past, history.future) == (10, 30)
