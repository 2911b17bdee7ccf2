"""Cache: results by the key of everything they depend on."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from flyte_nb.engine.base import now
from flyte_nb.engine.store.batches import Statement
from flyte_nb.engine.store.schema import from_micros, micros, micros_ago
from flyte_nb.engine.store.values import Values
from flyte_nb.engine.store.vault import Packed, Parts
from flyte_nb.errors import StoreError

__all__ = ["Cache", "CacheEntry"]

logger = logging.getLogger("flyte")

_PUT = Statement("INSERT OR REPLACE INTO cache VALUES (?,?,?,?,?,?,0,?,?,?,?,?)")
_HIT = Statement("UPDATE cache SET hits = hits + 1, used = ? WHERE key = ?", rank=2)
_DROP = Statement("DELETE FROM cache WHERE key = ? AND tag = ?", rank=0)
_FOR_EVER = micros(datetime(9999, 1, 1, tzinfo=timezone.utc))
_VALUES_OF = (
    "SELECT data.run, data.action, runs.id AS number FROM data JOIN runs ON runs.name = data.run "
    "WHERE data.kind = 'outputs' AND "
)
_CACHED_OF = (
    "SELECT cache.*, runs.id AS number FROM cache JOIN runs ON runs.name = cache.run WHERE cache.task = runs.task AND "
)
_NEWEST = "runs.task = ? AND (? IS NULL OR runs.name = ?) ORDER BY runs.id DESC"
_KNOWN = "key, task, created, expires, run, size, hits, used"


@dataclass(frozen=True)
class CacheEntry:
    """A cached result.

    Parameters
    ----------
    key : str
        Names it.
    task : str
        The task whose result it is.
    run : str
        The run that made it.
    created : datetime
        When it was made.
    expires : datetime or None
        When it is no longer used; None is never.
    size : int
        In bytes.
    hits : int
        How often it was used.
    used : datetime
        When it was last used.
    parts : tuple of bytes
        The result; empty in a list of entries.
    """

    key: str
    task: str
    run: str
    created: datetime
    expires: datetime | None
    size: int
    hits: int
    used: datetime
    parts: tuple[bytes, ...] = field(default=(), repr=False)


class Cache(Values):
    """The part of a store that keeps results; large ones are files under ``cache``."""

    _is_unwritten = False

    def cached(self, key: str) -> CacheEntry | None:
        """Give the result of a key; None where there is none, or it has expired, or was not written by this store."""
        try:
            if self._is_unwritten:  # counting the hits can wait
                self._is_unwritten = False
                self._batches.settle(quiet=True)
            rows = self._written_rows("SELECT * FROM cache WHERE key = ?", (key,))
        except StoreError as error:
            logger.warning("the cache is not used: %s", error)
            return None
        for row in rows:
            if _is_over(row):
                self._drop(row)
            elif self._is_trusted():
                return self._opened(row)
        return None

    def put_cached(self, key: str, task: str, run: str, parts: Parts, max_age: timedelta | float | None = None) -> None:
        """Keep a result, in place of an earlier one of its key.

        Parameters
        ----------
        key : str
            Everything that the result depends on, digested.
        task, run : str
            Whose result it is, and which run made it.
        parts : iterable of bytes-like
            The result.
        max_age : timedelta or float, optional
            For how long it may be used, a number in seconds; for ever by default.
        """
        created = micros(now())
        expires = None if max_age is None else created + _span(max_age) // timedelta(microseconds=1)
        expires = None if expires is None or expires > _FOR_EVER else expires
        parts = list(parts)
        try:
            packed = self._vault.pack(self.home / "cache", _name(key), parts)
        except OSError as error:
            self._batches.lose(error)
            return
        size = sum(memoryview(part).nbytes for part in parts)
        self._is_unwritten = True
        self._put(_PUT, (key, task, created, expires, run, size, created, *packed), len(packed.content))

    def kept_outputs(self, task: str, run: str | None = None) -> tuple[bytes, ...] | None:
        """Give the outputs of a task's newest run whose outputs are kept, as values or in the cache; None without one.

        Parameters
        ----------
        task : str
            The task.
        run : str, optional
            Only those of this run.
        """
        asked = (task, run, run)
        values = self._rows(_VALUES_OF + _NEWEST, asked)
        cached = [row for row in self._rows(_CACHED_OF + _NEWEST + ", created DESC", asked) if not _is_over(row)]
        if values and (not cached or values[0]["number"] >= cached[0]["number"]):
            return self.value(values[0]["run"], values[0]["action"], "outputs")
        entry = self._opened(cached[0]) if cached and self._is_trusted() else None
        return None if entry is None else entry.parts

    def cache_entries(self, task: str | None = None) -> list[CacheEntry]:
        """List the cached results, or those of a task, the last used first."""
        query = f"SELECT {_KNOWN} FROM cache WHERE ? IS NULL OR task = ? ORDER BY used DESC, key"
        return [_entry(row) for row in self._rows(query, (task, task))]

    def clear_cache(self, task: str | None = None, older_than: timedelta | float | None = None) -> int:
        """Remove cached results, and tell how many.

        Parameters
        ----------
        task : str, optional
            Only those of a task.
        older_than : timedelta or float, optional
            Only those made longer ago, a number in seconds.
        """
        until = None if older_than is None else micros_ago(_span(older_than))
        where, values = "(? IS NULL OR task = ?) AND (? IS NULL OR created < ?)", (task, task, until, until)
        return self._clear(where, values)

    def _clear(self, where: str, values: tuple[object, ...]) -> int:
        if not self._rows(f"SELECT 1 FROM cache WHERE {where} LIMIT 1", values):
            return 0
        with self._writing() as db:
            rows = db.execute(f"SELECT file FROM cache WHERE {where}", values).fetchall()
            db.execute(f"DELETE FROM cache WHERE {where}", values)
        for row in rows:
            self._unlink(row["file"])
        return len(rows)

    def _opened(self, row: sqlite3.Row) -> CacheEntry | None:
        packed = Packed(row["sizes"], row["file"], row["tag"], row["content"])
        parts = self._vault.unpack(self.home / "cache", _name(row["key"]), packed)
        if parts is None:
            logger.warning("a cached result of %s is not as this store wrote it; it is dropped", row["task"])
            self._drop(row)
            return None
        self._put(_HIT, (micros(now()), row["key"]))
        return _entry(row, parts)

    def _drop(self, row: sqlite3.Row) -> None:
        self._is_unwritten = True
        self._put(_DROP, (row["key"], row["tag"]))
        self._unlink(row["file"])

    def _unlink(self, file: str) -> None:
        if file and Path(file).name == file:
            with contextlib.suppress(OSError):
                (self.home / "cache" / file).unlink()


def _entry(row: sqlite3.Row, parts: tuple[bytes, ...] = ()) -> CacheEntry:
    created, used = from_micros(row["created"]), from_micros(row["used"])
    assert created is not None
    assert used is not None
    return CacheEntry(row["key"], row["task"], row["run"], created, from_micros(row["expires"]), row["size"],
                      row["hits"], used, parts)  # fmt: skip


def _is_over(row: sqlite3.Row) -> bool:
    return row["expires"] is not None and bool(row["expires"] <= micros(now()))


def _span(given: timedelta | float) -> timedelta:
    return given if isinstance(given, timedelta) else timedelta(seconds=given)


def _name(key: str) -> str:
    return f"cache {key}"
