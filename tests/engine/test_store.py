"""The store: shared by processes, whole after a kill, clear about what it cannot read."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from flyte_nb.engine.base import Action, Phase, Run, now
from flyte_nb.engine.local.engine import LocalEngine
from flyte_nb.engine.store import Store, home_for
from flyte_nb.errors import DeploymentError, StoreError, UnknownNameError
from flyte_nb.notebook.module import Module
from flyte_nb.plan.bundle import Bundle

from scripts import is_gone, ran, soon, start

ADDS_RUNS = """
import sys
from pathlib import Path
from flyte_nb.engine.base import Action, Phase, Run, now
from flyte_nb.engine.store import Store

store = Store(Path("home"))
for n in range(int(sys.argv[2])):
    run = Run(f"{sys.argv[1]}-{n}", "e.t")
    store.add_run(run)
    store.put_action(run.name, Action("a0", "e.t", phase=Phase.RUNNING, started=now()))
print("ready", flush=True)
if sys.argv[3] == "stay":
    import time
    time.sleep(60)
for n in range(int(sys.argv[2])):
    store.put_action(f"{sys.argv[1]}-{n}", Action("a0", "e.t", phase=Phase.SUCCEEDED, started=now(), ended=now()))
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def add(store: Store, name: str, phase: Phase = Phase.SUCCEEDED, after: int = 0, error: str = "") -> None:
    started = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=after)
    store.add_run(Run(name, "e.t", inputs="x=1", version="v1"))
    action = Action("a0", "e.t", None, phase, started, started + timedelta(seconds=1.5), error)
    store.put_action(name, action)


def row(name: str, **declaration: str) -> dict[str, object]:
    return {"environment": name, "declaration": declaration, "tasks": {f"{name}.t": {"interface": "() -> int"}}}


# --- runs ---


def test_a_run_is_read_back(store: Store) -> None:
    add(store, "t-1", Phase.FAILED, error="ValueError: no: not this")
    (run,) = store.runs()
    assert (run.name, run.task, run.inputs, run.version, run.phase) == ("t-1", "e.t", "x=1", "v1", Phase.FAILED)
    assert run.root.duration == timedelta(seconds=1.5)
    assert run.error is not None
    assert (run.error.code, str(run.error)) == ("ValueError", "no: not this")
    store.close()


def test_runs_are_newest_first_and_only_roots(store: Store) -> None:
    for n in range(5):
        add(store, f"t-{n}", after=n)
    store.put_action("t-4", Action("a1", "e.child", "a0", Phase.SUCCEEDED, now(), now()))
    assert [run.name for run in store.runs(3)] == ["t-4", "t-3", "t-2"]
    store.close()


def test_runs_of_one_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for session in ("one", "two"):
        monkeypatch.setenv("FLYTE_NB_SESSION", session)
        store = Store(tmp_path / "home")
        add(store, f"of-{session}")
        store.close()
    assert [run.name for run in store.runs(session="one")] == ["of-one"]
    assert len(store.runs()) == 2
    store.close()


def test_reading_makes_no_store(store: Store) -> None:
    assert store.runs() == []
    assert store.current() == {}
    with pytest.raises(UnknownNameError, match="there is none yet"):
        store.deployed("env")
    assert not store.home.exists()


def test_the_folder_is_private_and_out_of_git(store: Store) -> None:
    add(store, "t-1")
    assert store.home.stat().st_mode & 0o077 == 0
    assert (store.home / ".gitignore").read_text() == "*\n"
    store.close()


def test_two_processes_write_to_one_store(tmp_path: Path, store: Store) -> None:
    (tmp_path / "adds.py").write_text(ADDS_RUNS)
    other = start(["adds.py", "other", "40", "end"], tmp_path)
    with other:
        for n in range(40):
            add(store, f"own-{n}")
        _, told = other.communicate(timeout=30)
    assert (other.returncode, told) == (0, "")
    assert len(store.runs(1000)) == 80
    assert all(run.phase is Phase.SUCCEEDED for run in store.runs(1000))
    store.close()


def test_threads_share_a_store(store: Store) -> None:
    threads = [threading.Thread(target=add, args=(store, f"t-{n}")) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.runs()) == 20
    store.close()


@pytest.mark.parametrize("reaped", [True, False])
def test_runs_of_a_killed_process_are_marked(tmp_path: Path, reaped: bool) -> None:
    (tmp_path / "adds.py").write_text(ADDS_RUNS)
    with start(["adds.py", "killed", "2", "stay"], tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        store = Store(tmp_path / "home")
        assert [run.phase for run in store.runs()] == [Phase.RUNNING] * 2  # it lives: nothing is marked
        store.close()
        process.kill()
        if reaped:
            process.wait()
        else:
            assert soon(lambda: is_gone(process.pid))  # dead, though nobody has asked after it
        add(store, "own")
        marked = {run.name: run for run in store.runs()}
        store.close()
    assert marked["own"].phase is Phase.SUCCEEDED
    for name in ("killed-0", "killed-1"):
        assert marked[name].phase is Phase.ABORTED
        assert marked[name].root.duration is None
        assert str(marked[name].error) == "the kernel ended before the run did"


# --- deployments ---


def test_deployed_and_again(store: Store) -> None:
    first = store.deploy([row("a"), row("b")], "v1", "v1")
    assert [(d.environment, d.version, d.tasks, d.unchanged) for d in first] == [
        ("a", "v1", ("a.t",), False),
        ("b", "v1", ("b.t",), False),
    ]
    again = store.deploy([row("a"), row("b")], "v1", "v1")
    assert [d.unchanged for d in again] == [True, True]
    assert [d.created for d in again] == [d.created for d in first]
    assert repr(again) == "<Deployments a@v1 (unchanged), b@v1 (unchanged)>"
    store.close()


def test_older_version_stays_callable_and_can_come_back(store: Store) -> None:
    store.deploy([row("a", image="one")], "v1", "v1")
    store.deploy([row("a", image="two")], "v2", "v2")
    assert store.current() == {"a": "v2"}
    assert store.deployed("a")["declaration"] == {"image": "two"}
    assert store.deployed("a", "v1")["declaration"] == {"image": "one"}
    (back,) = store.deploy([row("a", image="one")], "v1", "v1")
    assert not back.unchanged
    assert store.current() == {"a": "v1"}
    store.close()


def test_all_or_nothing(store: Store) -> None:
    store.deploy([row("a")], "v1", "v1")

    def rows() -> object:
        yield row("a")
        yield row("b")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        store.deploy(rows(), "v2", "v2")  # type: ignore[arg-type]
    assert store.current() == {"a": "v1"}
    with pytest.raises(UnknownNameError, match="no version of 'a' named 'v2'"):
        store.deployed("a", "v2")
    store.deploy([row("b")], "v2", "v2")  # the lock was given back
    store.close()


def test_unknown_names_are_met_with_the_nearest(store: Store) -> None:
    store.deploy([row("training")], "v1", "v1")
    with pytest.raises(UnknownNameError, match="did you mean 'training'"):
        store.deployed("trianing")
    with pytest.raises(UnknownNameError, match="did you mean 'v1'"):
        store.deployed("training", "v2")
    store.close()


def test_a_version_is_of_one_content(store: Store) -> None:
    engine = LocalEngine(store)
    first = Bundle("v1", Module("x = 1\n"), (row("a"),))
    assert [d.unchanged for d in asyncio.run(engine.deploy(first))] == [False]
    assert [d.unchanged for d in asyncio.run(engine.deploy(first))] == [True]
    with pytest.raises(DeploymentError, match=r"version 'v1' of 'a' .* other content"):
        asyncio.run(engine.deploy(Bundle("v1", Module("x = 2\n"), (row("a"),))))
    assert (store.bundles / store.deployed("a")["bundle"] / "cells.py").read_text() == "x = 1\n"
    store.close()


@pytest.mark.parametrize("version", ["../up", "a/b", ".hidden", "", " ", "x" * 200])
def test_a_version_names_no_other_folder(store: Store, version: str) -> None:
    with pytest.raises(DeploymentError, match="version: given"):
        asyncio.run(LocalEngine(store).deploy(Bundle(version, Module("x = 1\n"), (row("a"),))))
    assert not store.home.exists()


# --- the file ---


def test_newer_version_is_refused(store: Store) -> None:
    add(store, "t-1")
    store.close()
    with sqlite3.connect(store.home / "store.db") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    for _ in range(2):
        with pytest.raises(StoreError, match="of version 99, newer than this flyte_nb knows"):
            store.runs()
    with pytest.raises(StoreError):
        add(store, "t-2")


@pytest.mark.parametrize("damage", ["truncated", "text", "garbled", "a folder"])
def test_damaged_store_is_told(store: Store, damage: str) -> None:
    for n in range(50):
        add(store, f"t-{n}")
    store.close()
    file = store.home / "store.db"
    data = file.read_bytes()
    if damage == "truncated":
        file.write_bytes(data[: len(data) // 3])
    elif damage == "text":
        file.write_bytes(b"not a database, but a text of some length " * 50)
    elif damage == "garbled":
        file.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    else:
        file.unlink()
        file.mkdir()

    def read() -> None:
        store.runs()
        store.current()
        store.deployed("a")

    with pytest.raises(StoreError) as raised:
        read()
    assert str(file) in str(raised.value)
    assert "FLYTE_NB_HOME" in str(raised.value)
    with pytest.raises(StoreError):
        add(store, "t-100")
    store.close()


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        add(Store(tmp_path / "file" / "home"), "t-1")


def test_a_writer_waits_for_another(store: Store) -> None:
    add(store, "t-1")
    db = sqlite3.connect(store.home / "store.db", isolation_level=None, check_same_thread=False)
    db.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: (db.execute("COMMIT"), db.close())).start()
    add(store, "t-2")
    assert len(store.runs()) == 2
    store.close()


# --- where it is ---


def test_home_is_stated_or_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYTE_NB_HOME", raising=False)
    deep = tmp_path / "project" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    assert home_for(deep) == tmp_path / "project" / ".flyte_nb"
    (tmp_path / "project" / "a" / ".flyte_nb").mkdir()
    assert home_for(deep) == tmp_path / "project" / "a" / ".flyte_nb"
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "stated"))
    assert home_for(deep) == tmp_path / "stated"
    monkeypatch.setenv("FLYTE_NB_HOME", "~/stated")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_for(deep) == tmp_path / "stated"


def test_home_of_another_process_is_stated(tmp_path: Path) -> None:
    code = "import flyte_nb.session as s; print(s.current_session().store.home)"
    assert ran(["-c", code], tmp_path).stdout.strip() == str(tmp_path / "home")


def test_manifest_of_a_bundle(store: Store) -> None:
    asyncio.run(LocalEngine(store).deploy(Bundle("v1", Module("x = 1\n"), (row("a"),))))
    (home,) = store.bundles.iterdir()
    assert json.loads((home / "manifest.json").read_text())["version"] == "v1"
    store.close()


def test_environments_deployed_one_by_one_may_share_a_version(store: Store) -> None:
    engine = LocalEngine(store)
    for name in ("a", "b"):
        asyncio.run(engine.deploy(Bundle("v1", Module(f"name = {name!r}\n"), (row(name),))))
    for name in ("a", "b"):
        source = (store.bundles / store.deployed(name)["bundle"] / "cells.py").read_text()
        assert source == f"name = {name!r}\n"
    store.close()
