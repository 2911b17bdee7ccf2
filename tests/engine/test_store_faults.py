"""Faults of the store, with real files and processes: shared, killed, newer, older, damaged, on a full disk."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from flyte_nb.engine.base import Action, Phase, Run, now
from flyte_nb.engine.store import Store
from flyte_nb.engine.store.damage import set_aside
from flyte_nb.errors import StoreError, UnknownNameError

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
    store.put_action(run.name, Action("a1", "e.t", "a0"))
store.flush()
print("ready", flush=True)
if sys.argv[3] == "stay":
    import time
    while True:
        for n in range(100):
            store.put_action(f"{sys.argv[1]}-0", Action(f"b{n}", "e.t", "a0", Phase.RUNNING, now()))
        time.sleep(0.001)
for n in range(int(sys.argv[2])):
    for id, parent in (("a0", None), ("a1", "a0")):
        action = Action(id, "e.t", parent, Phase.SUCCEEDED, now(), now())
        store.put_action(f"{sys.argv[1]}-{n}", action)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home")
    yield store
    store.close()


def add(store: Store, name: str, **more: str) -> None:
    store.add_run(Run(name, "e.t", **more))  # type: ignore[arg-type]
    store.put_action(name, Action("a0", "e.t", None, Phase.SUCCEEDED, now(), now()))


def row(name: str) -> dict[str, object]:
    return {"environment": name, "declaration": {}, "tasks": {f"{name}.t": {"interface": "() -> int"}}}


# --- other processes ---


def test_processes_write_to_one_store(tmp_path: Path, store: Store) -> None:
    (tmp_path / "adds.py").write_text(ADDS_RUNS)
    with (
        start(["adds.py", "one", "200", "end"], tmp_path) as one,
        start(["adds.py", "two", "200", "end"], tmp_path) as two,
    ):
        for n in range(200):
            add(store, f"own-{n}")
            if n % 20 == 0:
                store.flush()
        for other in (one, two):
            _, told = other.communicate(timeout=60)
            assert (other.returncode, told) == (0, "")
    assert len(store.runs(1000)) == 600
    assert all(run.phase is Phase.SUCCEEDED for run in store.runs(1000))
    assert all(len(store.actions(f"two-{n}")) == 2 for n in range(200))


@pytest.mark.parametrize("reaped", [True, False])
def test_runs_of_a_killed_process_are_marked(tmp_path: Path, reaped: bool) -> None:
    (tmp_path / "adds.py").write_text(ADDS_RUNS)
    with start(["adds.py", "killed", "2", "stay"], tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        store = Store(tmp_path / "home")
        assert [run.phase for run in store.runs()] == [Phase.RUNNING] * 2  # it lives: nothing is marked
        process.kill()  # in the middle of writing
        if reaped:
            process.wait()
        else:
            assert soon(lambda: is_gone(process.pid))  # dead, though nobody has asked after it
        for opened in (store, Store(tmp_path / "home")):  # also by a kernel that has it open already
            add(opened, "own")
            marked = {run.name: run for run in opened.runs()}
            assert marked["own"].phase is Phase.SUCCEEDED
            for name in ("killed-0", "killed-1"):
                assert marked[name].phase is Phase.ABORTED
                assert marked[name].root.duration is None
                assert str(marked[name].error) == "the kernel ended before the run did"
                assert {action.phase for action in opened.actions(name)} == {Phase.ABORTED}
            opened.close()
        store.forget("killed-0")  # its name is free again
        store.close()
    with sqlite3.connect(tmp_path / "home" / "store.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


# --- versions ---


def test_a_newer_version_is_refused(store: Store) -> None:
    add(store, "t-1")
    store.close()
    with sqlite3.connect(store.home / "store.db") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"of version 99, newer than this flyte_nb knows \(4\); update flyte_nb"):
            store.runs()
        with pytest.raises(StoreError, match="of version 99"):
            add(store, "t-2")
        with pytest.raises(StoreError, match="of version 99"):
            store.deploy([row("a")], "v1", "v1")


VERSION_1 = """
CREATE TABLE runs (
    name TEXT PRIMARY KEY, task TEXT NOT NULL, engine TEXT NOT NULL, inputs TEXT NOT NULL, version TEXT NOT NULL,
    notebook TEXT NOT NULL, session TEXT NOT NULL, pid INTEGER NOT NULL, born REAL NOT NULL
);
CREATE TABLE actions (
    id TEXT NOT NULL, run TEXT NOT NULL REFERENCES runs(name), task TEXT NOT NULL, parent TEXT, phase TEXT NOT NULL,
    started TEXT, ended TEXT, error TEXT NOT NULL, PRIMARY KEY (run, id)
);
CREATE TABLE deployments (
    environment TEXT NOT NULL, version TEXT NOT NULL, created TEXT NOT NULL, bundle TEXT NOT NULL,
    declaration TEXT NOT NULL, tasks TEXT NOT NULL, PRIMARY KEY (environment, version)
);
CREATE TABLE current (environment TEXT PRIMARY KEY, version TEXT NOT NULL);
CREATE INDEX actions_by_start ON actions (parent, started);
PRAGMA user_version=1;
"""


def of_version_1(store: Store) -> None:
    store.home.mkdir()
    db = sqlite3.connect(store.home / "store.db")
    db.executescript(VERSION_1)
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for name, after in (("second", 60), ("first", 0)):
        db.execute("INSERT INTO runs VALUES (?,'e.t','local','x=1','v1','n.ipynb','7',0,0.0)", (name,))
        for action, parent, seconds in (("a1", "a0", 2), ("a2", "a0", 1), ("a0", None, 0)):
            began = start + timedelta(seconds=after + seconds)
            values = (action, name, parent, began.isoformat(), (began + timedelta(milliseconds=1500)).isoformat())
            db.execute("INSERT INTO actions VALUES (?,?,'e.t',?,'failed',?,?,'ValueError: no')", values)
    db.execute("INSERT INTO runs VALUES ('third','e.t','local','','','','7',0,0.0)")
    db.execute("INSERT INTO actions VALUES ('a0','third','e.t',NULL,'running',?,NULL,'')", (now().isoformat(),))
    db.execute("INSERT INTO deployments VALUES ('a','v1',?,'v1','{}','{\"a.t\": {}}')", (start.isoformat(),))
    db.execute("INSERT INTO current VALUES ('a','v1')")
    db.commit()
    db.close()


def test_version_1_is_brought_up(store: Store) -> None:
    of_version_1(store)
    third, second, first = store.runs()
    assert (first.name, first.inputs, first.version, first.phase) == ("first", "x=1", "v1", Phase.FAILED)
    assert first.root.duration == timedelta(seconds=1.5)
    assert str(first.error) == "no"
    assert [action.id for action in store.run("second").actions] == ["a0", "a2", "a1"]
    assert (third.name, third.phase, second.root.attempt) == ("third", Phase.ABORTED, 0)
    assert store.current() == {"a": "v1"}
    assert store.deployed("a")["bundle"] == "v1"
    add(store, "fourth")
    assert [run.name for run in store.runs(2)] == ["fourth", "third"]
    store.close()
    assert len(store.runs()) == 4


def drop_what_version_4_added(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE runs DROP COLUMN address")
    db.execute("DROP TABLE placed")


def of_version_2(store: Store) -> None:
    store.deploy([row("a")], "v1", "v1")
    store.close()
    db = sqlite3.connect(store.home / "store.db")
    for column in ("digest", "reads", "seal", "until"):
        db.execute(f"ALTER TABLE deployments DROP COLUMN {column}")
    drop_what_version_4_added(db)
    db.execute("PRAGMA user_version=2")
    db.commit()
    db.close()


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 35), reason="this SQLite cannot drop a column")
def test_version_2_is_brought_up(store: Store) -> None:
    of_version_2(store)
    assert store.current() == {"a": "v1"}
    (known,) = store.history("a")
    assert (known.version, known.digest, known.current) == ("v1", "", True)
    assert store.deployed("a")["seal"] == ""
    (made,) = store.deploy([{**row("a"), "digest": "1"}], "v2", "v2", named=False)
    assert (made.version, made.unchanged) == ("v2", False)  # nobody knows whether it is the same
    store.close()
    assert [d.version for d in store.history("a")] == ["v2", "v1"]


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 35), reason="this SQLite cannot drop a column")
def test_version_3_is_brought_up(store: Store) -> None:
    store.deploy([row("a")], "v1", "v1")
    add(store, "first")
    store.close()
    db = sqlite3.connect(store.home / "store.db")
    drop_what_version_4_added(db)
    db.execute("PRAGMA user_version=3")
    db.commit()
    db.close()
    assert (store.run("first").address, store.current(), store.placed()) == ("", {"a": "v1"}, [])


def test_version_1_is_brought_up_by_one_of_several(tmp_path: Path, store: Store) -> None:
    of_version_1(store)
    (tmp_path / "adds.py").write_text(ADDS_RUNS)
    processes = [start(["adds.py", f"p{n}", "3", "end"], tmp_path) for n in range(3)]
    for process in processes:
        with process:
            _, told = process.communicate(timeout=60)
            assert (process.returncode, told) == (0, "")
    assert len(store.runs()) == 12


def test_a_step_up_that_fails_leaves_the_old_version(store: Store) -> None:
    of_version_1(store)
    with sqlite3.connect(store.home / "store.db") as db:
        db.execute("UPDATE actions SET started = 'yesterday' WHERE id = 'a1'")
    db.close()
    with pytest.raises(StoreError, match="cannot be used"):
        store.runs()
    with sqlite3.connect(store.home / "store.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    db.close()


# --- damage ---


def damaged(file: Path, damage: str) -> bytes:
    data = file.read_bytes()
    if damage == "truncated":
        data = data[: len(data) // 3]
    elif damage == "text":
        data = b"not a database, but a text of some length " * 50
    elif damage == "garbled":
        data = data[:4096] + b"\xff" * (len(data) - 4096)
    elif damage == "noise":
        data = random.Random(1).randbytes(len(data))
    file.write_bytes(data)
    return data


@pytest.mark.parametrize("damage", ["truncated", "text", "garbled", "noise"])
def test_a_damaged_store_is_set_aside(store: Store, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(50):
        add(store, f"t-{n}")
    store.close()
    data = damaged(store.home / "store.db", damage)
    add(store, "t-100")
    assert [run.name for run in store.runs()] == ["t-100"]
    with pytest.raises(UnknownNameError, match="there is none yet"):
        store.deployed("a")
    (aside,) = [path for path in store.home.glob("store.db.damaged-*") if path.name[-4] != "-"]
    assert aside.read_bytes() == data
    assert f"is damaged; it is kept as {aside}, and a new one is begun" in caplog.text
    store.deploy([row("a")], "v1", "v1")
    store.close()
    assert [run.name for run in store.runs()] == ["t-100"]
    assert len(list(store.home.glob("store.db.damaged-*"))) == len({aside, *store.home.glob(f"{aside.name}-*")})


def test_damage_further_in_is_noticed_when_it_is_met(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(500):
        add(store, f"t-{n}", inputs="x" * 300)
    store.close()
    file = store.home / "store.db"
    with file.open("r+b") as out:
        for page in range(20, file.stat().st_size // 4096, 2):
            out.seek(page * 4096)
            out.write(b"\xff" * 4096)
    assert store.runs(500) == []
    assert "is damaged" in caplog.text
    add(store, "new")
    assert len(store.runs()) == 1


def test_damage_while_in_use_costs_no_run(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(50):
        add(store, f"t-{n}")
    store.flush()
    for end in ("", "-wal"):
        (store.home / f"store.db{end}").write_bytes(b"overwritten by something " * 4000)
    add(store, "t-100")  # it may be written before anybody notices, and is set aside with the rest then
    store.close()
    add(store, "t-101")
    assert store.runs()[0].name == "t-101"
    assert "is damaged" in caplog.text


def test_two_processes_meet_a_damaged_store(tmp_path: Path, store: Store) -> None:
    add(store, "t-1")
    store.close()
    damaged(store.home / "store.db", "noise")
    (tmp_path / "adds.py").write_text(ADDS_RUNS)
    processes = [start(["adds.py", f"p{n}", "5", "end"], tmp_path) for n in range(4)]
    for process in processes:
        with process:
            process.communicate(timeout=60)
            assert process.returncode == 0
    assert len(store.runs()) == 20
    assert len(list(store.home.glob("store.db.damaged-*"))) == 1


def test_whoever_notices_damage_second_leaves_the_new_store(store: Store) -> None:
    add(store, "t-1")
    store.close()
    damaged(store.home / "store.db", "noise")
    add(store, "t-2")
    store.flush()
    set_aside(store.home)
    assert [run.name for run in store.runs()] == ["t-2"]
    assert len(list(store.home.glob("store.db.damaged-*"))) == 1


def test_a_folder_in_its_place_is_told(store: Store) -> None:
    (store.home / "store.db").mkdir(parents=True)
    add(store, "t-1")
    with pytest.raises(StoreError, match=r"store\.db cannot be used: unable to open .* FLYTE_NB_HOME"):
        store.flush()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "home")
    add(store, "t-1")
    with pytest.raises(StoreError, match="cannot be used"):
        store.runs()
    store._batches._waiting.clear()
    store.close()


def test_a_folder_removed_while_in_use_is_made_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    add(store, "t-1")
    store.flush()
    shutil.rmtree(store.home)
    add(store, "t-2")
    assert [run.name for run in store.runs()] == ["t-2"]
    assert "was removed or replaced while in use" in caplog.text


# --- no room ---


FILLS = """
import resource, signal, sys
from pathlib import Path
from flyte_nb.engine.base import Action, Phase, Run, now
from flyte_nb.engine.store import Store
from flyte_nb.errors import StoreError

home, limited = Path(sys.argv[1]), sys.argv[2] == "limited"
store = Store(home)
store.add_run(Run("first", "e.t", inputs="x" * 1000))
store.put_action("first", Action("a0", "e.t", None, Phase.SUCCEEDED, now(), now()))
store.deploy([{"environment": "a", "declaration": {}, "tasks": {}}], "v1", "v1")
if limited:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
else:
    (home / "filler").write_bytes(b"x" * int(sys.argv[3]))
for n in range(2000):  # every one of them goes on
    store.add_run(Run(f"t-{n}", "e.t", inputs="x" * 1000))
    store.put_action(f"t-{n}", Action("a0", "e.t", None, Phase.SUCCEEDED, now(), now()))
store.put_value("first", "a0", "outputs", [b"x" * 500_000])
try:
    store.flush()
except StoreError as error:
    print("flush:", error)
try:
    store.runs()
except StoreError:
    pass
assert store.run("first").phase is Phase.SUCCEEDED
assert store.current() == {"a": "v1"}
assert store.cached("nothing") is None
store.put_cached("k", "e.t", "first", [b"x" * 500_000])
try:
    store.deploy([{"environment": "b" * 10_000, "declaration": {}, "tasks": {}}], "v1", "v1")
except StoreError as error:
    print("deploy:", error)
if limited:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
else:
    (home / "filler").unlink()
    (home / "filler").write_bytes(b"")
store.add_run(Run("last", "e.t"))
store.put_action("last", Action("a0", "e.t", None, Phase.SUCCEEDED, now(), now()))
try:
    store.flush()
except StoreError:
    store.flush()  # what was lost is told once
assert store.runs(1)[0].name == "last"
print("rows:", len(store.runs(5000)))
store.close()
"""


def test_a_limit_on_files_costs_records_and_no_run(tmp_path: Path) -> None:
    (tmp_path / "fills.py").write_text(FILLS)
    done = ran(["fills.py", "home", "limited"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "flush: the store home/store.db cannot be used: " in done.stdout
    assert "rows: 2002" in done.stdout  # there is room again: nothing was lost
    assert done.stderr.count("runs are not being recorded") == 1
    assert done.stderr.count("a value of a run is not kept") == 1


def test_a_full_disk_costs_records_and_no_run(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    size = 4 << 20
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], capture_output=True)
    if made.returncode:
        pytest.skip("a disk of a few megabytes can only be mounted by root")
    try:
        (tmp_path / "fills.py").write_text(FILLS)
        home = disk / "home"
        done = ran(["fills.py", str(home), "full", str(size - 600_000)], tmp_path)
        assert done.returncode == 0, done.stderr
        assert "database or disk is full" in done.stdout
        assert "rows: 2002" in done.stdout or "records were lost" in done.stderr
        with sqlite3.connect(home / "store.db") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_told(store: Store) -> None:
    store.home.mkdir(mode=0o500)
    add(store, "t-1")
    with pytest.raises(StoreError, match="cannot be used"):
        store.flush()
