"""Steps of a draft undone and redone, and a draft whose environment is declared otherwise meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb import session
from flyte_nb.drafting import Draft
from flyte_nb.errors import DeclarationError, UnknownNameError, UsageError
from flyte_nb.registry import process_registry
from hypothesis import given, settings
from hypothesis import strategies as st

Resources = flyte.Resources


@pytest.fixture(scope="module", autouse=True)
def _own_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(session, "_session", None)
        yield
        session.current_session().close()


def env(name: str, **settings: Any) -> flyte.TaskEnvironment:
    return flyte.TaskEnvironment(name, **{"resources": Resources(cpu=1, memory="1Gi"), **settings})


# --- steps ---


def test_steps_are_undone_and_redone() -> None:
    draft = flyte.draft(env("re-a"))
    draft.set("queue", "a").set("resources.cpu", 2)
    assert (draft.undo().get("resources.cpu"), draft.queue, draft.can_redo) == (1, "a", True)
    assert (draft.undo().changes, draft.can_undo) == ([], False)
    assert (draft.redo().queue, draft.redo().get("resources.cpu"), draft.can_redo) == ("a", 2, False)
    with pytest.raises(UsageError, match="'re-a' has nothing to redo"):
        draft.redo()
    draft.undo().set("queue", "b")
    with pytest.raises(UsageError, match="nothing to redo"):
        draft.redo()
    draft.discard()
    assert draft.undo().queue == "b"
    with pytest.raises(UsageError, match="nothing to undo"):
        flyte.draft(env("re-a")).undo()


def test_revisions_of_one_thing_are_one_step() -> None:
    draft = flyte.draft(env("re-b"))
    for text in ("s", "sl", "slow"):
        draft.revise("queue", {"queue": text})
    draft.revise("description", {"description": "x"})
    assert draft.undo().queue == "slow"
    assert draft.undo().changes == []


def test_what_was_refused_is_no_step() -> None:
    draft = flyte.draft(env("re-c")).set("queue", "a")
    with pytest.raises(DeclarationError):
        draft.set("resources.memory", "8")
    assert draft.undo().changes == []


def test_what_was_applied_can_be_taken_back() -> None:
    draft = flyte.draft(env("re-d")).set("queue", "a").set("image", "i")
    draft.apply()
    assert draft.changes == []
    assert [tuple(c) for c in draft.undo().changes] == [("image", "i", "auto")]
    assert [tuple(c) for c in draft.undo().changes] == [("image", "i", "auto"), ("queue", "a", None)]
    assert draft.apply().diff(env("re-d")) == []
    assert draft.redo().queue == "a"


@settings(deadline=None)
@given(st.lists(st.sampled_from(["queue", "image", "cpu", "undo", "redo", "reset", "discard", "apply"]), max_size=20))
def test_a_step_back_is_the_state_before(words: list[str]) -> None:
    draft = flyte.draft(env("re-e"))
    states = [draft.proposed]
    place = 0
    for number, word in enumerate(words):
        if word == "undo" and place:
            draft.undo()
            place -= 1
        elif word == "redo" and place + 1 < len(states):
            draft.redo()
            place += 1
        elif word == "apply":
            draft.apply()
        elif word not in ("undo", "redo"):
            _change(draft, word, number)
            place += 1
            states[place:] = [draft.proposed]
        assert draft.proposed.diff(states[place]) == []
        assert (draft.can_undo, draft.can_redo) == (place > 0, place + 1 < len(states))


def _change(draft: Draft, word: str, number: int) -> None:
    if word == "cpu":
        draft.set("resources.cpu", number + 1)
    elif word == "reset":
        draft.reset("image")
    elif word == "discard":
        draft.discard()
    else:
        draft.set(word, f"x{number}")


# --- declared otherwise meanwhile ---


def test_other_parts_of_one_field_both_count() -> None:
    draft = flyte.draft(env("re-f", env_vars={"A": "1", "B": "1"}))
    draft.set("resources.cpu", 4).set("env_vars.A", "2").set("env_vars.NEW", "x")
    env("re-f", env_vars={"A": "1", "C": "1"}, resources=Resources(cpu=1, memory="8Gi"))
    assert draft.conflicts == []
    draft.rebase()
    assert draft.resources == Resources(cpu=4, memory="8Gi")
    assert draft.env_vars == {"A": "2", "NEW": "x", "C": "1"}
    assert draft.conflicts == []


def test_a_conflict_is_told_until_it_is_decided() -> None:
    draft = flyte.draft(env("re-g")).set("resources.cpu", 4).set("queue", "mine").set("resources.memory", "2Gi")
    env("re-g", queue="theirs", resources=Resources(cpu=8, memory="3Gi"))
    told = [("resources.cpu", 1, 4, 8), ("resources.memory", "1Gi", "2Gi", "3Gi"), ("queue", None, "mine", "theirs")]
    assert sorted(map(tuple, draft.conflicts)) == sorted(told)
    draft.rebase()
    assert sorted(map(tuple, draft.conflicts)) == sorted(told)
    assert draft.queue == "mine"
    draft.discard("resources.cpu").keep("queue")
    assert [c.path for c in draft.conflicts] == ["resources.memory"]
    assert draft.resources == Resources(cpu=8, memory="2Gi")
    assert draft.keep().conflicts == []
    assert draft.apply() == env("re-g", queue="mine", resources=Resources(cpu=8, memory="2Gi"))
    with pytest.raises(UnknownNameError, match="conflict of the draft"):
        draft.keep("queue")


def test_a_conflict_goes_with_the_change() -> None:
    draft = flyte.draft(env("re-h")).set("queue", "mine")
    env("re-h", queue="theirs")
    assert [c.path for c in draft.rebase().undo().conflicts] == []
    assert draft.queue == "theirs"
    assert [c.path for c in draft.redo().conflicts] == ["queue"]
    env("re-h", queue="mine")
    assert draft.rebase().conflicts == []


def test_keeping_before_the_rebase_makes_it() -> None:
    draft = flyte.draft(env("re-i")).set("queue", "mine")
    env("re-i", queue="theirs")
    assert draft.keep("queue").stale == ""
    assert (draft.conflicts, draft.queue) == ([], "mine")


def test_withdrawn_keeps_the_draft() -> None:
    draft = flyte.draft(env("re-j")).set("queue", "mine")
    process_registry._entries.pop("re-j")
    assert draft.stale == "'re-j' is not declared any more"
    assert draft.conflicts == []
    assert draft.set("image", "i").undo().queue == "mine"
    with pytest.raises(UnknownNameError):
        draft.rebase()


def test_a_part_is_discarded() -> None:
    draft = flyte.draft(env("re-k", env_vars={"A": "1"}))
    draft.set("resources.cpu", 4).set("resources.memory", "8Gi").set("env_vars.B", "2")
    draft.discard("resources.cpu", "env_vars.B", "queue")
    assert [tuple(c) for c in draft.resources.diff(Resources(cpu=1, memory="1Gi"))] == [("memory", "8Gi", "1Gi")]
    assert draft.env_vars == {"A": "1"}
    with pytest.raises(UnknownNameError, match="did you mean 'queue'"):
        draft.discard("quue")
