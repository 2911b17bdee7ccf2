"""Batches of the store: taken at once, written soon, nothing lost by a fork or an end, nothing that stops a run."""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.engine.base import Action, Phase, Run, now
from flyte_nb.engine.store import Store, batches
from flyte_nb.errors import StoreError

from scripts import ran, soon


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home")
    yield store
    store.close()


def add(store: Store, name: str) -> None:
    store.add_run(Run(name, "e.t"))
    store.put_action(name, Action("a0", "e.t", phase=Phase.SUCCEEDED, started=now(), ended=now()))


def names(store: Store) -> list[str]:
    """Give what another process would see, without asking the store to write."""
    with sqlite3.connect(store.home / "store.db") as db:
        found = [name for (name,) in db.execute("SELECT name FROM runs ORDER BY id")]
    db.close()
    return found


class Locked:
    """The store's file, held by somebody else who writes."""

    def __init__(self, store: Store) -> None:
        self.path = store.home / "store.db"

    def __enter__(self) -> None:
        self.db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, *raised: object) -> None:
        self.db.execute("COMMIT")
        self.db.close()


def impatient(store: Store) -> None:
    """Let the store give up at once where the file is locked."""
    store.flush()
    assert store._connection is not None
    store._connection.execute("PRAGMA busy_timeout=0")


def test_rows_are_written_soon_without_being_asked(store: Store) -> None:
    add(store, "t-1")
    assert soon(lambda: names(store) == ["t-1"])
    add(store, "t-2")
    assert soon(lambda: names(store) == ["t-1", "t-2"])


def test_many_rows_share_a_transaction(store: Store) -> None:
    store.flush()
    add(store, "first")
    store.flush()
    told: list[str] = []
    assert store._connection is not None
    store._connection.set_trace_callback(told.append)
    for n in range(200):
        add(store, f"t-{n}")
    store.flush()
    store._connection.set_trace_callback(None)
    assert 1 <= told.count("COMMIT") <= 5
    assert len(store.runs(500)) == 201


def test_a_store_at_rest_waits_for_a_row_and_for_no_time(store: Store) -> None:
    add(store, "t-1")
    assert soon(lambda: names(store) == ["t-1"])
    (thread,) = [thread for thread in threading.enumerate() if thread is store._batches._thread]
    assert soon(lambda: not store._batches._wake.is_set())
    time.sleep(0.1)
    frame, asked = sys._current_frames()[thread.ident or 0], False
    while frame is not None:
        asked = asked or (frame.f_code.co_name == "wait" and frame.f_locals.get("timeout", 0) is None)
        frame = frame.f_back  # type: ignore[assignment]
    assert asked


def test_closing_writes_and_ends_the_thread(store: Store) -> None:
    before = threading.active_count()
    add(store, "t-1")
    assert threading.active_count() == before + 1
    store.close()
    assert threading.active_count() == before
    assert names(store) == ["t-1"]
    add(store, "t-2")  # it opens again
    store.close()
    assert names(store) == ["t-1", "t-2"]


def test_the_end_of_the_interpreter_loses_nothing(tmp_path: Path) -> None:
    code = """
        from pathlib import Path
        from flyte_nb.engine.base import Run
        from flyte_nb.engine.store import Store
        store = Store(Path("home"))
        for n in range(500):
            store.add_run(Run(f"t-{n}", "e.t"))
    """
    (tmp_path / "adds.py").write_text("\n".join(line[8:] for line in code.splitlines()))
    done = ran(["-W", "error", "adds.py"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(names(Store(tmp_path / "home"))) == 500


FORKING = ["-W", "ignore::DeprecationWarning"]  # newer Pythons warn of threads that a fork leaves behind
FORKS = """
import os, sys
from pathlib import Path
from flyte_nb.engine.base import Run
from flyte_nb.engine.store import Store

store = Store(Path("home"))
store.add_run(Run("first", "e.t"))
store.flush()
for n in range(20):
    store.add_run(Run(f"before-{n}", "e.t"))
    child = os.fork()
    if not child:
        store.add_run(Run(f"child-{n}", "e.t"))
        store.flush()
        os._exit(0)
    store.add_run(Run(f"after-{n}", "e.t"))
    if os.waitpid(child, 0)[1]:
        sys.exit("a child failed")
"""


def test_a_fork_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(FORKS)
    done = ran([*FORKING, "forks.py"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    kept = names(Store(tmp_path / "home"))
    assert sorted(kept) == sorted(["first", *(f"{who}-{n}" for who in ("before", "child", "after") for n in range(20))])


OUTLIVES = """
import os
from pathlib import Path
from flyte_nb.engine.base import Run
from flyte_nb.engine.store import Store

store = Store(Path("home"))
store.add_run(Run("parent", "e.t"))
store.flush()
wait, go = os.pipe()
child = os.fork()
if not child:
    os.read(wait, 1)
    store.add_run(Run("child", "e.t"))
    store.flush()
    os._exit(0)
store.close()  # whoever closes last takes the journal away
os.write(go, b".")
os.waitpid(child, 0)
"""


def test_a_forked_process_writes_on_when_its_parent_has_closed(tmp_path: Path) -> None:
    (tmp_path / "outlives.py").write_text(OUTLIVES)
    done = ran([*FORKING, "outlives.py"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert names(Store(tmp_path / "home")) == ["parent", "child"]


FORKS_IN_THREADS = """
import os, threading
from pathlib import Path
from flyte_nb.engine.base import Run
from flyte_nb.engine.store import Store

store = Store(Path("home"))

def forks(who):
    for n in range(10):
        store.add_run(Run(f"{who}-{n}", "e.t"))
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)

threads = [threading.Thread(target=forks, args=(who,)) for who in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_fork_at_once_do_not_hold_each_other(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(FORKS_IN_THREADS)
    done = ran([*FORKING, "forks.py"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(names(Store(tmp_path / "home"))) == 40


# --- what prevents writing ---


def test_a_writer_waits_for_another(store: Store) -> None:
    add(store, "t-1")
    store.flush()
    locked = Locked(store)
    locked.__enter__()
    threading.Timer(0.3, locked.__exit__).start()
    add(store, "t-2")
    assert len(store.runs()) == 2


def test_what_prevents_writing_is_told_and_tried_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    add(store, "t-1")
    impatient(store)
    with caplog.at_level(logging.WARNING, "flyte"), Locked(store):
        add(store, "t-2")  # the run goes on
        assert soon(lambda: "not being recorded: database is locked" in caplog.text)
        with pytest.raises(StoreError, match="database is locked"):
            store.flush()
        add(store, "t-3")
        with pytest.raises(StoreError, match="database is locked"):
            store.runs()
        assert [run.name for run in store.runs()] == ["t-1"]  # told once; what was written can be read
        with pytest.raises(StoreError):
            store.flush()
    assert caplog.text.count("not being recorded") == 1
    assert soon(lambda: names(store) == ["t-1", "t-2", "t-3"], patience=5)
    assert soon(lambda: "recorded again" in caplog.text)
    store.flush()


def test_what_waits_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(batches, "MANY", 100)
    add(store, "t-0")
    impatient(store)
    with Locked(store):
        for n in range(500):
            store.add_run(Run(f"t-{n}", "e.t"))
        assert len(store._batches._waiting) <= 100
    store.flush()
    kept = names(store)
    assert kept[-1] == "t-499"  # the oldest went
    assert 90 <= len(kept) <= 101
    assert "records were lost" in caplog.text


def test_large_values_that_wait_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LARGE", 100_000)
    add(store, "t-0")
    impatient(store)
    with Locked(store):
        for n in range(50):
            store.put_value("t-0", f"a{n}", "inputs", [b"x" * 10_000])
        assert sum(row.size for row in store._batches._waiting) <= 110_000
    store.flush()
    assert store.value("t-0", "a49", "inputs") == (b"x" * 10_000,)


def test_more_than_may_wait_is_written_by_who_brings_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MANY", 50)
    for n in range(500):
        store.add_run(Run(f"t-{n}", "e.t"))
    assert len(store.runs(1000)) == 500


def test_a_row_that_cannot_be_kept_takes_no_other_with_it(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    add(store, "before")
    store.add_run(Run("undecodable-\udcff", "e.t", inputs="path='\udcff'"))
    store.put_action("before", Action("a1", "e.t", "a0", peak_memory=1 << 70))
    add(store, "after")
    kept = [run.name for run in store.runs()]
    assert kept == ["after", "undecodable-\\udcff", "before"]
    assert "a record of a run cannot be kept" in caplog.text
    assert [action.id for action in store.actions("before")] == ["a0"]
