"""Values and cached results in the store: given back as written, or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flyte_nb.engine.base import Run, now
from flyte_nb.engine.store import Store
from flyte_nb.errors import UsageError
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts import start

SMALL = (b"head", b"", b"x" * 1_000)
LARGE = (b"head", b"", b"x" * 200_000, b"tail")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home")
    yield store
    store.close()


def changed(store: Store, statement: str, *values: object) -> None:
    """Write into the file as somebody else."""
    store.flush()
    with sqlite3.connect(store.home / "store.db") as db:
        db.execute(statement, values)
    db.close()


def cache_files(store: Store) -> list[Path]:
    return [path for path in (store.home / "cache").iterdir() if path.name != "key"]


# --- values of runs ---


@pytest.mark.parametrize("parts", [(), (b"",), SMALL, LARGE])
@pytest.mark.parametrize("kind", ["inputs", "outputs", "error"])
def test_a_value_is_read_back(store: Store, parts: tuple[bytes, ...], kind: str) -> None:
    store.add_run(Run("t-1", "e.t"))
    store.put_value("t-1", "a0", kind, parts)
    assert store.value("t-1", "a0", kind) == parts
    assert store.value("t-1", "a1", kind) is None
    store.close()
    assert store.value("t-1", "a0", kind) == parts


def test_large_values_are_files_of_their_run(store: Store) -> None:
    store.put_value("t-1", "a0", "inputs", SMALL)
    store.put_value("t-1", "a0", "outputs", LARGE)
    store.put_value("t-1", "../up", "outputs", LARGE)  # the name of an action names no file
    files = [path for path in store.home.rglob("*") if path.is_file() and path.stat().st_size == 200_008]
    assert {path.parent for path in files} == {store.home / "data" / "t-1" / ".values"}
    assert len(files) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_what_is_bytes_like_is_taken_as_it_is_then(store: Store) -> None:
    buffer = bytearray(b"before")
    numbers = memoryview(bytearray(range(8))).cast("I")
    store.put_value("t-1", "a0", "inputs", [buffer, memoryview(b"abc")[1:], numbers])
    buffer[:] = b"after!"
    assert store.value("t-1", "a0", "inputs") == (b"before", b"bc", bytes(range(8)))


def test_kinds_are_three(store: Store) -> None:
    with pytest.raises(UsageError, match="kind: given 'result'; accepted: 'inputs', 'outputs', 'error'"):
        store.put_value("t-1", "a0", "result", [b"x"])


@pytest.mark.parametrize("run", ["../up", "a/b", "..", ".hidden", ""])
def test_a_run_names_no_other_folder(store: Store, run: str) -> None:
    with pytest.raises(UsageError, match="run: given"):
        store.put_value(run, "a0", "inputs", LARGE)


def test_a_file_that_was_cut_short_or_is_gone_is_no_value(store: Store) -> None:
    store.put_value("t-1", "a0", "outputs", LARGE)
    (file,) = (store.home / "data" / "t-1" / ".values").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert store.value("t-1", "a0", "outputs") is None
    file.unlink()
    assert store.value("t-1", "a0", "outputs") is None


def test_a_value_does_not_pass_for_another(store: Store) -> None:
    store.put_value("t-1", "a0", "inputs", SMALL)
    store.put_cached("k", "e.t", "t-1", LARGE)
    changed(store, "UPDATE data SET kind = 'outputs'")
    assert store.value("t-1", "a0", "outputs") is None
    changed(store, "UPDATE cache SET key = 'another'")
    assert store.cached("another") is None


# --- cached results ---


@pytest.mark.parametrize("parts", [(), SMALL, LARGE])
def test_a_result_is_found_by_its_key(store: Store, parts: tuple[bytes, ...]) -> None:
    assert store.cached("k") is None
    before = now()
    store.put_cached("k", "e.t", "t-1", parts)
    for hits in range(3):
        entry = store.cached("k")
        assert entry is not None
        assert (entry.key, entry.task, entry.run, entry.parts) == ("k", "e.t", "t-1", parts)
        assert (entry.size, entry.expires) == (sum(map(len, parts)), None)
        assert store.cache_entries()[0].hits == hits + 1
        assert before <= entry.created <= entry.used <= now()


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.binary(max_size=40_000), max_size=6))
def test_any_result_is_found(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    store = Store(tmp_path_factory.mktemp("any") / "home")
    store.put_cached("k", "e.t", "t-1", parts)
    entry = store.cached("k")
    assert entry is not None
    assert entry.parts == tuple(parts)
    store.close()


def test_a_result_has_its_time(store: Store) -> None:
    store.put_cached("brief", "e.t", "t-1", LARGE, max_age=0.01)
    store.put_cached("seconds", "e.t", "t-1", LARGE, max_age=600.5)
    store.put_cached("span", "e.t", "t-1", LARGE, max_age=timedelta(days=1))
    for key, age in (("seconds", timedelta(seconds=600.5)), ("span", timedelta(days=1))):
        entry = store.cached(key)
        assert entry is not None
        assert entry.expires == entry.created + age
    time.sleep(0.02)
    assert store.cached("brief") is None
    assert sorted(entry.key for entry in store.cache_entries()) == ["seconds", "span"]
    assert len(cache_files(store)) == 2


def test_a_time_without_end_is_none(store: Store) -> None:
    store.put_cached("k", "e.t", "t-1", SMALL, max_age=timedelta.max)
    assert store.cached("k") is not None
    assert store.cache_entries()[0].expires is None
    assert store.clear_cache(older_than=timedelta.max) == 0
    assert store.tidy(older_than=timedelta.max) == 0


def test_entries_are_listed_without_their_results(store: Store) -> None:
    for n, task in enumerate(["e.a", "e.b", "e.a"]):
        store.put_cached(f"k{n}", task, "t-1", SMALL)
    store.cached("k0")
    assert [entry.key for entry in store.cache_entries()] == ["k0", "k2", "k1"]
    assert [(entry.hits, entry.parts) for entry in store.cache_entries("e.a")] == [(1, ()), (0, ())]
    assert store.cache_entries("e.c") == []


def test_clearing(store: Store) -> None:
    assert store.clear_cache() == 0
    assert not store.home.exists()
    for n, task in enumerate(["e.a", "e.b", "e.a"]):
        store.put_cached(f"k{n}", task, "t-1", LARGE)
    changed(store, "UPDATE cache SET created = created - 7200000000 WHERE key = 'k0'")
    assert store.clear_cache(older_than=timedelta(hours=3)) == 0
    assert store.clear_cache("e.b", older_than=3600) == 0
    assert store.clear_cache(older_than=3600) == 1
    assert store.cached("k0") is None
    assert store.clear_cache("e.a") == 1
    assert [entry.key for entry in store.cache_entries()] == ["k1"]
    assert store.clear_cache() == 1
    assert cache_files(store) == []


def test_a_later_result_replaces(store: Store) -> None:
    store.put_cached("k", "e.t", "t-1", LARGE)
    store.put_cached("k", "e.t", "t-2", (b"other", *LARGE))
    entry = store.cached("k")
    assert entry is not None
    assert (entry.run, entry.parts[0]) == ("t-2", b"other")


# --- who wrote it ---


@pytest.mark.parametrize("statement", [
    "UPDATE cache SET content = x'80049529' || substr(content, 5)",
    "UPDATE cache SET tag = zeroblob(32)",
    "UPDATE cache SET sizes = '[1004]'",
    "UPDATE cache SET sizes = '{}'",
])  # fmt: skip
def test_a_result_that_was_changed_is_dropped(store: Store, statement: str, caplog: pytest.LogCaptureFixture) -> None:
    store.put_cached("k", "e.t", "t-1", SMALL)
    changed(store, statement)
    assert store.cached("k") is None
    assert "a cached result of e.t is not as this store wrote it; it is dropped" in caplog.text
    assert store.cache_entries() == []


def test_a_file_that_was_changed_is_dropped(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.put_cached("k", "e.t", "t-1", LARGE)
    (file,) = cache_files(store)
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    assert store.cached("k") is None
    assert "it is dropped" in caplog.text
    assert cache_files(store) == []


def test_results_made_with_another_key_are_not_used(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    other.put_cached("k", "e.t", "t-1", SMALL)
    other.close()
    store.put_cached("k", "e.t", "t-1", SMALL)
    store.close()
    shutil.copy(other.home / "store.db", store.home / "store.db")
    assert store.cached("k") is None


@pytest.mark.parametrize("opened", ["", "cache", "store.db", "cache/key"])
def test_a_folder_that_others_may_write_to_is_not_trusted(
    store: Store, opened: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.put_cached("k", "e.t", "t-1", SMALL)
    store.put_value("t-1", "a0", "inputs", SMALL)
    store.flush()
    path = store.home / opened
    mode = path.stat().st_mode
    path.chmod(mode | 0o020)
    for _ in range(2):
        assert store.cached("k") is None
        assert store.value("t-1", "a0", "inputs") is None
    assert caplog.text.count(f"other users may write to {path}; run: chmod go-w {path}") == 1
    path.chmod(mode)
    assert store.cached("k") is not None


def test_a_key_that_others_may_read_is_not_trusted(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.put_cached("k", "e.t", "t-1", SMALL)
    key = store.home / "cache" / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    assert store.cached("k") is None
    assert f"other users may read {key}" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_folder_of_another_user_is_not_trusted(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.put_cached("k", "e.t", "t-1", SMALL)
    store.flush()
    os.chown(store.home, 12345, -1)
    assert store.cached("k") is None
    assert "is owned by another user (uid 12345); set FLYTE_NB_HOME" in caplog.text


def test_a_key_that_was_cut_short_is_told_and_kills_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.put_cached("k", "e.t", "t-1", SMALL)
    store.close()
    (store.home / "cache" / "key").write_bytes(b"short")
    again = Store(store.home)
    assert again.cached("k") is None
    again.put_cached("k2", "e.t", "t-1", SMALL)
    assert "remove cache/key to have a new one" in caplog.text
    again.close()


def test_a_folder_that_moves_keeps_working(store: Store, tmp_path: Path) -> None:
    store.put_cached("small", "e.t", "t-1", SMALL)
    store.put_cached("large", "e.t", "t-1", LARGE)
    store.put_value("t-1", "a0", "outputs", LARGE)
    store.close()
    store.home.rename(tmp_path / "moved")
    moved = Store(tmp_path / "moved")
    for key, parts in (("small", SMALL), ("large", LARGE)):
        entry = moved.cached(key)
        assert entry is not None
        assert entry.parts == parts
    assert moved.value("t-1", "a0", "outputs") == LARGE
    moved.close()


CACHES = """
import sys
from pathlib import Path
from flyte_nb.engine.store import Store

store = Store(Path("home"))
for n in range(30):
    store.put_cached(f"{sys.argv[1]}-{n}", "e.t", "t", [b"x" * 100_000])
    store.put_cached("shared", "e.t", "t", [sys.argv[1].encode() * 100_000])
    entry = store.cached("shared")
    assert entry is None or len(set(entry.parts[0])) == 1
"""


def test_processes_share_a_key_and_a_cache(tmp_path: Path, store: Store) -> None:
    (tmp_path / "caches.py").write_text(CACHES)
    processes = [start(["caches.py", str(n)], tmp_path) for n in range(3)]
    for process in processes:
        with process:
            _, told = process.communicate(timeout=60)
            assert (process.returncode, told) == (0, "")
    assert all(store.cached(f"{who}-{n}") for who in range(3) for n in range(30))
    assert store.cached("shared") is not None
