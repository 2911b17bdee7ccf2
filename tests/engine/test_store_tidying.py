"""Tidying of the store: what is old goes, with its files; what runs, is deployed or is young stays."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flyte_nb.engine.base import Action, Phase, Run, now
from flyte_nb.engine.store import Store

from scripts import soon

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store that tidies when it is told to: its first opening has done so already."""
    store = Store(tmp_path / "home")
    assert store._is_due()
    yield store
    store.close()


def add(store: Store, name: str, days: float, phase: Phase = Phase.SUCCEEDED, module: str | None = "") -> None:
    """Record a run of some days ago, with a log and data."""
    ended = now() - days * DAY
    store.add_run(Run(name, "e.t"), module=module)
    store.put_action(name, Action("a0", "e.t", None, phase, ended, ended if phase.is_terminal else None))
    store.put_value(name, "a0", "outputs", [b"x" * 100_000])
    store.flush()
    store.log_of(name).write_text("said")
    db = sqlite3.connect(store.home / "store.db")
    db.execute("UPDATE runs SET created = ? WHERE name = ?", (int(ended.timestamp() * 1e6), name))
    db.commit()
    db.close()


def add_module(store: Store, name: str, days: float) -> None:
    folder = store.modules / name
    folder.mkdir(parents=True)
    (folder / "cells.py").write_text("x = 1\n")
    os.utime(folder, (time.time() - days * 86_400,) * 2)


def names(store: Store) -> list[str]:
    return [run.name for run in store.runs(10_000)]


def test_old_runs_go_with_all_they_have(store: Store) -> None:
    for n, days in enumerate([50, 40, 31, 29, 0]):
        add(store, f"t-{n}", days)
    store.put_log("t-0", "a0", "stdout", 0, 4)
    assert store.tidy(keep=1) == 3
    assert names(store) == ["t-4", "t-3"]
    assert sorted(path.name for path in (store.home / "logs").iterdir()) == ["t-3.log", "t-4.log"]
    assert sorted(path.name for path in (store.home / "data").iterdir()) == ["t-3", "t-4"]
    assert store.value("t-4", "a0", "outputs") is not None
    with sqlite3.connect(store.home / "store.db") as db:
        for table in ("actions", "data", "log_parts"):
            assert db.execute(f"SELECT count(*) FROM {table} WHERE run IN ('t-0', 't-1', 't-2')").fetchone() == (0,)
    db.close()
    assert store.tidy(keep=1) == 0


@pytest.mark.parametrize(("keep", "left"), [(0, 0), (1, 1), (3, 3), (10, 5)])
def test_the_newest_stay_however_old(store: Store, keep: int, left: int) -> None:
    for n in range(5):
        add(store, f"t-{n}", 100)
    assert store.tidy(keep=keep) == 5 - left
    assert names(store) == [f"t-{n}" for n in range(4, 4 - left, -1)]


def test_more_than_one_transaction_takes(store: Store) -> None:
    for n in range(350):
        store.add_run(Run(f"t-{n}", "e.t"))
        store.put_action(f"t-{n}", Action("a0", "e.t", None, Phase.SUCCEEDED, now(), now()))
    store.flush()
    time.sleep(0.01)
    assert store.tidy(keep=20, older_than=timedelta(0)) == 330
    assert len(names(store)) == 20


def test_what_runs_stays(store: Store) -> None:
    add(store, "runs", 100, Phase.RUNNING)
    add(store, "child-runs", 100)
    store.put_action("child-runs", Action("a1", "e.t", "a0", Phase.RUNNING, now()))
    store.add_run(Run("starts", "e.t"))
    store.flush()
    db = sqlite3.connect(store.home / "store.db")
    db.execute("UPDATE runs SET created = 0")
    db.commit()
    db.close()
    assert store.tidy(keep=0, older_than=timedelta(0)) == 0
    assert names(store) == ["starts", "child-runs", "runs"]


def test_deployments_stay(store: Store) -> None:
    add(store, "t-1", 100)
    store.deploy([{"environment": "a", "declaration": {}, "tasks": {}}], "v1", "v1")
    (store.bundles / "v1").mkdir()
    store.tidy(keep=0, older_than=timedelta(0))
    assert store.current() == {"a": "v1"}
    assert (store.bundles / "v1").exists()


def test_modules_that_no_run_names_go(store: Store) -> None:
    for name, days in (("named", 100), ("of-old-run", 100), ("unnamed", 100), ("young", 1)):
        add_module(store, name, days)
    add(store, "old", 100, module="of-old-run")
    add(store, "new", 0, module="named")
    store.tidy(keep=1)
    assert sorted(path.name for path in store.modules.iterdir()) == ["named", "young"]


def test_no_module_goes_while_that_of_a_run_is_not_known(store: Store) -> None:
    add_module(store, "unnamed", 100)
    add(store, "new", 0, module=None)
    store.tidy(keep=1)
    assert (store.modules / "unnamed").exists()


def test_results_that_expired_and_files_that_none_names_go(store: Store) -> None:
    store.put_cached("over", "e.t", "t", [b"x" * 100_000], max_age=0.01)
    store.put_cached("stays", "e.t", "t", [b"x" * 100_000])
    for name, days in (("left", 2), ("being-written", 0)):
        (store.home / "cache" / name).write_text("x")
        os.utime(store.home / "cache" / name, (time.time() - days * 86_400,) * 2)
    os.utime(store.home / "cache" / "key", (0, 0))
    time.sleep(0.02)
    store.tidy()
    assert [entry.key for entry in store.cache_entries()] == ["stays"]
    assert store.cached("stays") is not None
    kept = {path.name for path in (store.home / "cache").iterdir()}
    assert len(kept) == 3
    assert {"key", "being-written"} < kept


def test_a_name_that_is_no_file_removes_none(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine.log").write_text("mine")
    for name in ("../../mine", "..", "a/b", ""):
        store.add_run(Run(name, "e.t"))
        store.put_action(name, Action("a0", "e.t", None, Phase.SUCCEEDED, now(), now()))
    store.flush()
    time.sleep(0.01)
    assert store.tidy(keep=0, older_than=timedelta(0)) == 4
    assert (tmp_path / "mine.log").exists()
    assert store.home.exists()


def aged(store: Store, days: float) -> None:
    """Let the last tidying be longer ago, and add some old runs and a thousand that are newer."""
    store.close()
    db = sqlite3.connect(store.home / "store.db")
    db.execute("UPDATE notes SET value = value - ?", (int(days * 86_400e6),))
    names = ["old-0", "old-1", *(f"newer-{n}" for n in range(1_000))]
    db.executemany("INSERT OR REPLACE INTO runs (name, task, engine, inputs, version, notebook, session, pid, born, "
                   "created) VALUES (?, 'e.t', 'local', '', '', '', '', 0, 0, 0)", [(n,) for n in names])  # fmt: skip
    db.commit()
    db.close()


def test_opening_tidies_once_a_day(store: Store) -> None:
    add(store, "first", 0)
    assert soon(lambda: store._rows("SELECT * FROM notes WHERE name = 'tidied'") != [])
    aged(store, 0.5)
    store.add_run(Run("half-a-day", "e.t"))
    time.sleep(0.2)
    assert "old-0" in names(store)
    aged(store, 0.6)
    store.add_run(Run("a-day", "e.t"))
    assert soon(lambda: "old-0" not in names(store))
    assert {"first", "half-a-day", "a-day", "newer-999"} <= set(names(store))


def test_a_clock_that_jumped_back_does_not_end_tidying(store: Store) -> None:
    add(store, "first", 0)
    assert soon(lambda: store._rows("SELECT * FROM notes WHERE name = 'tidied'") != [])
    aged(store, -400)
    store.add_run(Run("later", "e.t"))
    assert soon(lambda: "old-0" not in names(store))


def test_unfinished_bundles_go_after_a_day(store: Store) -> None:
    store.bundles.mkdir(parents=True, exist_ok=True)
    young, old, finished = (store.bundles / name for name in (".v1-a.x", ".v1-a.y", ".v1-a.edited.z"))
    for folder in (young, old, finished):
        folder.mkdir()
        (folder / "cells.py").write_text("x = 1")
    (finished / "manifest.json").write_text("{}")
    for folder in (old, finished):
        os.utime(folder, (0, 0))
    store.tidy()
    assert young.exists()
    assert not old.exists()
    assert finished.exists()  # a process may run from it
