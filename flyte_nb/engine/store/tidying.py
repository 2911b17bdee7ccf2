"""Tidying: old runs go, with their logs, data and modules; once a day, a little at a time."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from flyte_nb.engine.base import now
from flyte_nb.engine.store.cache import Cache
from flyte_nb.engine.store.home import is_plain
from flyte_nb.engine.store.orphans import is_alive
from flyte_nb.engine.store.runs import Runs
from flyte_nb.engine.store.schema import UNFINISHED, micros, micros_ago
from flyte_nb.errors import StoreError
from flyte_nb.plan.files import MANIFEST

__all__ = ["Tidying"]

KEEP = 1_000
OLD = timedelta(days=30)
DAY = timedelta(days=1)
AT_ONCE = 100  # runs of one transaction
# Neither among the newest, nor young, nor unfinished.
_OLD_RUNS = f"""
SELECT name, pid, born, phase FROM runs LEFT JOIN actions ON run = name AND parent IS NULL
WHERE runs.id <= coalesce((SELECT id FROM runs ORDER BY id DESC LIMIT 1 OFFSET ?), 0)
AND created < ? AND coalesce(ended, created) < ?
AND NOT EXISTS (SELECT 1 FROM actions WHERE run = name AND {UNFINISHED})
ORDER BY runs.id LIMIT {AT_ONCE}
"""


class Tidying(Runs, Cache):
    """The part of a store that removes what is old; deployments and what runs are left alone."""

    _daily: Iterator[int] = iter(())

    def tidy(self, keep: int = KEEP, older_than: timedelta = OLD) -> int:
        """Remove old runs with their records, logs and data, modules that none names, and expired cached results.

        Parameters
        ----------
        keep : int
            How many of the newest runs stay, however old they are.
        older_than : timedelta
            Runs that ended more recently stay, however many they are.

        Returns
        -------
        int
            How many runs were removed.
        """
        return sum(self._steps(keep, older_than))

    def _on_open(self) -> None:
        super()._on_open()
        self._daily = self._once_a_day()

    def _chore(self) -> bool:
        try:
            return next(self._daily, None) is not None
        except (StoreError, OSError, sqlite3.Error):
            return False  # tomorrow is another day

    def _once_a_day(self) -> Iterator[int]:
        if self._is_due():
            yield from self._steps(KEEP, OLD)

    def _is_due(self) -> bool:
        """Tell whether the store was not tidied for a day, and note that it is now, so that no other kernel does it."""
        present = micros(now())
        with self._writing() as db:
            row = db.execute("SELECT value FROM notes WHERE name = 'tidied'").fetchone()
            if row is not None and abs(present - row["value"]) < DAY // timedelta(microseconds=1):
                return False
            db.execute("INSERT OR REPLACE INTO notes VALUES ('tidied', ?)", (present,))
        return True

    def _steps(self, keep: int, older_than: timedelta) -> Iterator[int]:
        limit = micros_ago(older_than)
        while removed := self._remove_runs(keep, limit):
            yield removed
        self._remove_modules(older_than)
        self._clear("expires <= ?", (micros(now()),))
        self._remove_unnamed()
        self._remove_drafts()
        yield 0

    def _remove_runs(self, keep: int, limit: int) -> int:
        if not self._rows("SELECT 1 FROM runs LIMIT 1"):
            return 0
        with self._writing() as db:
            rows = db.execute(_OLD_RUNS, (keep, limit, limit)).fetchall()
            names = [row["name"] for row in rows if row["phase"] or not is_alive(row["pid"], row["born"])]
            for name in names:  # the files first: what is left by a kill in between is found again
                self._remove_files(name)
            db.executemany("DELETE FROM runs WHERE name = ?", [(name,) for name in names])
        return len(names)

    def _remove_files(self, run: str) -> None:
        if is_plain(run):
            self.log_of(run).unlink(missing_ok=True)
            _remove(self.home / "data" / run)

    def _remove_modules(self, older_than: timedelta) -> None:
        """Remove the modules that no run names and that were not written for long; none while a run's is not known."""
        kept = {row["module"] for row in self._rows("SELECT DISTINCT module FROM runs")}
        if None not in kept:
            for folder in _unused(self.modules, older_than):
                if folder.name not in kept:
                    _remove(folder)

    def _remove_drafts(self) -> None:
        """Remove the bundles that were never finished: what writes one takes no day for it."""
        for folder in _unused(self.bundles, DAY):
            if folder.name.startswith(".") and not (folder / MANIFEST).exists():
                _remove(folder)

    def _remove_unnamed(self) -> None:
        """Remove the files of cached results that have been replaced, or whose record was never written."""
        kept = {"key", *(row["file"] for row in self._rows("SELECT file FROM cache"))}
        for file in _unused(self.home / "cache", DAY):
            if file.name not in kept:
                with contextlib.suppress(OSError):
                    file.unlink()


def _unused(folder: Path, older_than: timedelta) -> Iterator[Path]:
    """Give what was put into a folder longer ago."""
    limit = time.time() - older_than.total_seconds()
    with contextlib.suppress(FileNotFoundError):
        for path in list(folder.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < limit:
                    yield path


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
