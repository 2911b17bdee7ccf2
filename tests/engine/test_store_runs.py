"""Runs in the store: actions, attempts, logs; their order; the names they are found by."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from flyte_nb.engine.base import Action, Attempt, Phase, Run, now
from flyte_nb.engine.store import LogPart, Store
from flyte_nb.engine.store.schema import from_micros, micros
from flyte_nb.errors import UnknownNameError, UsageError
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home")
    yield store
    store.close()


def add(store: Store, name: str, phase: Phase = Phase.SUCCEEDED, after: int = 0, error: str = "") -> None:
    started = START + timedelta(seconds=after)
    store.add_run(Run(name, "e.t", inputs="x=1", version="v1"))
    store.put_action(name, Action("a0", "e.t", None, phase, started, started + timedelta(seconds=1.5), error))


def test_a_run_is_read_back(store: Store) -> None:
    add(store, "t-1", Phase.FAILED, error="ValueError: no: not this")
    (run,) = store.runs()
    assert (run.name, run.task, run.inputs, run.version, run.phase) == ("t-1", "e.t", "x=1", "v1", Phase.FAILED)
    assert run.root.duration == timedelta(seconds=1.5)
    assert run.error is not None
    assert (run.error.code, str(run.error)) == ("ValueError", "no: not this")


def test_every_field_of_an_action_is_kept(store: Store) -> None:
    zone = timezone(timedelta(hours=2))
    action = Action("a0", "e.t", None, Phase.RUNNING, now(), None, "", 2, datetime(2026, 1, 1, 2, tzinfo=zone),
                    "memory is not enforced", True, "fold-1", 3 << 30)  # fmt: skip
    store.add_run(Run("t-1", "e.t"))
    store.put_action("t-1", action)
    (kept,) = store.actions("t-1")
    assert kept == action
    assert kept.queued == START


def test_an_action_is_recorded_as_it_was_when_it_was_put(store: Store) -> None:
    action = Action("a0", "e.t")
    store.add_run(Run("t-1", "e.t"))
    store.put_action("t-1", action)
    action.phase = Phase.FAILED
    assert store.actions("t-1")[0].phase is Phase.QUEUED


def test_a_time_without_a_zone_is_of_this_machine(store: Store) -> None:
    store.add_run(Run("t-1", "e.t"))
    naive = datetime(2026, 1, 1, 12, 30)
    store.put_action("t-1", Action("a0", "e.t", started=naive))
    assert store.actions("t-1")[0].started == naive.astimezone()


@given(time=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()))
def test_a_time_is_kept_to_the_microsecond(time: datetime) -> None:
    assert from_micros(micros(time)) == time.astimezone(timezone.utc)


def test_attempts_are_kept_apart(store: Store) -> None:
    store.add_run(Run("t-1", "e.t"))
    first = Attempt(0, Phase.FAILED, START, START + timedelta(seconds=1), "OSError: no")
    store.put_attempt("t-1", "a0", Attempt(0, Phase.RUNNING, START))
    store.put_attempt("t-1", "a0", first)
    store.put_attempt("t-1", "a0", Attempt(1, Phase.RUNNING, START))
    store.put_attempt("t-1", "a1", Attempt(0))
    assert store.attempts("t-1", "a0") == [first, Attempt(1, Phase.RUNNING, START)]
    assert store.attempts("t-2", "a0") == []


def test_parts_of_a_log(store: Store) -> None:
    for put in [("a0", "stdout", 0, 5), ("a0", "stdout", 5, 3), ("a1", "stdout", 8, 1), ("a1", "stderr", 9, 2)]:
        store.put_log("t-1", *put)
    both = [LogPart("a1", "stdout", 8, 1), LogPart("a1", "stderr", 9, 2)]
    assert store.log_parts("t-1") == [LogPart("a0", "stdout", 0, 8), *both]
    assert store.log_parts("t-1", "a1") == both
    assert store.log_parts("t-2") == []


# --- in which order ---


def test_runs_are_newest_first_and_only_roots(store: Store) -> None:
    for n in range(5):
        add(store, f"t-{n}", after=n)
    store.put_action("t-4", Action("a1", "e.child", "a0", Phase.SUCCEEDED, now(), now()))
    assert [run.name for run in store.runs(3)] == ["t-4", "t-3", "t-2"]
    assert [len(run.actions) for run in store.runs()] == [1] * 5


def test_a_clock_that_jumps_back_changes_no_order(store: Store) -> None:
    for n, after in enumerate([100, -5_000, 50, 50]):
        add(store, f"t-{n}", after=after)
    assert [run.name for run in store.runs()] == ["t-3", "t-2", "t-1", "t-0"]
    for n, after in enumerate([20, 10, -3_600], start=1):
        store.put_action("t-0", Action(f"a{n}", "e.t", "a0", Phase.RUNNING, START + timedelta(seconds=after)))
    assert [action.id for action in store.run("t-0").actions] == ["a0", "a1", "a2", "a3"]


def test_actions_are_in_the_order_of_their_first_start(store: Store) -> None:
    store.add_run(Run("t", "e.t"))
    for name in ("a1", "a2", "a3", "a0"):
        store.put_action("t", Action(name, "e.t", None if name == "a0" else "a0"))
    for name, attempt in [("a0", 0), ("a2", 0), ("a1", 0), ("a2", 1)]:  # a3 waits; a2 is tried again
        parent = None if name == "a0" else "a0"
        store.put_action("t", Action(name, "e.t", parent, Phase.RUNNING, now(), attempt=attempt))
    assert [action.id for action in store.actions("t")] == ["a0", "a2", "a1", "a3"]


def test_runs_of_one_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for session in ("one", "two"):
        monkeypatch.setenv("FLYTE_NB_SESSION", session)
        store = Store(tmp_path / "home")
        add(store, f"of-{session}")
        store.close()
    assert [run.name for run in store.runs(session="one")] == ["of-one"]
    assert len(store.runs()) == 2
    store.close()


# --- by name ---


def test_a_run_by_name_has_all_its_actions(store: Store) -> None:
    add(store, "t-1")
    store.put_action("t-1", Action("a1", "e.child", "a0", Phase.SUCCEEDED, now(), now()))
    run = store.run("t-1")
    assert [action.task for action in run.actions] == ["e.t", "e.child"]
    assert run.root is run.actions[0]
    with pytest.raises(UnknownNameError, match="no run named 'r-1'; did you mean 't-1'"):
        store.run("r-1")


def test_a_run_of_which_only_the_start_was_written(store: Store) -> None:
    store.add_run(Run("t-1", "e.t"))
    assert store.run("t-1").phase is Phase.QUEUED
    assert [run.name for run in store.runs()] == ["t-1"]


def test_a_run_replaces_an_earlier_one_of_its_name(store: Store) -> None:
    add(store, "t-1")
    add(store, "t-2")
    store.put_action("t-1", Action("a1", "e.child", "a0"))
    store.put_attempt("t-1", "a1", Attempt(0))
    store.put_value("t-1", "a1", "inputs", [b"x"])
    store.put_log("t-1", "a1", "stdout", 0, 1)
    store.flush()
    store.put_action("t-2", Action("a9", "e.t", "a0"))
    add(store, "t-1", Phase.FAILED, error="E: no")
    assert [(run.name, run.phase) for run in store.runs()] == [("t-1", Phase.FAILED), ("t-2", Phase.SUCCEEDED)]
    assert [action.id for action in store.actions("t-1")] == ["a0"]
    assert store.attempts("t-1", "a1") == []
    assert store.value("t-1", "a1", "inputs") is None
    assert store.log_parts("t-1") == []


def test_forgotten_with_its_log_and_values_not_with_what_tasks_keep(store: Store) -> None:
    add(store, "t-1")
    store.put_value("t-1", "a0", "outputs", [b"x" * 100_000])
    store.log_of("t-1").write_text("said")
    (store.home / "data" / "t-1" / "model.bin").write_text("mine")
    store.forget("t-1")
    assert store.runs() == []
    assert not store.log_of("t-1").exists()
    assert [path.name for path in (store.home / "data" / "t-1").iterdir()] == ["model.bin"]
    store.forget("never-was")


def test_a_run_that_goes_on_is_not_forgotten(store: Store) -> None:
    add(store, "t-1", Phase.RUNNING)
    with pytest.raises(UsageError, match="run 't-1' is still running; choose another name, or wait for its end"):
        store.forget("t-1")
    assert len(store.runs()) == 1


def test_threads_share_a_store(store: Store) -> None:
    threads = [threading.Thread(target=add, args=(store, f"t-{n}")) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.runs()) == 20


def test_a_long_history_is_listed_from_an_index(store: Store) -> None:
    add(store, "t-1")
    plans = []
    store.flush()
    assert store._connection is not None
    store._connection.set_trace_callback(plans.append)
    store.runs()
    store.runs(session="one")
    store._connection.set_trace_callback(None)
    for query in [sql for sql in plans if sql.startswith("SELECT")]:
        steps = [row[3] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert any("USING INDEX roots" in step for step in steps), steps
        assert not any("TEMP B-TREE" in step or step == "SCAN actions" for step in steps), steps
