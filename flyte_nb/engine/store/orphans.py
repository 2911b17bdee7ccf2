"""Orphans: the runs of a process that is gone. They are marked as aborted, since nobody else will end them."""

from __future__ import annotations

import functools
import os
import sqlite3

from flyte_nb.engine.base import Phase
from flyte_nb.engine.store.schema import UNFINISHED

__all__ = ["GONE", "birth", "is_alive", "mark_orphans"]

CLOCK = 2.0  # seconds that two processes may differ about the start of a third, when the clock was set
GONE = "ABORTED: the kernel ended before the run did"


def mark_orphans(db: sqlite3.Connection) -> bool:
    """Mark what processes that are gone left unfinished; tell whether there was anything. A cluster goes on alone."""
    query = f"SELECT DISTINCT name, pid, born FROM runs JOIN actions ON run = name WHERE {UNFINISHED} AND address = ''"
    processes: dict[tuple[int, float], list[str]] = {}
    for row in db.execute(query):
        processes.setdefault((row["pid"], row["born"]), []).append(row["name"])
    orphans = [name for process, names in processes.items() if not is_alive(*process) for name in names]
    if orphans:
        update = f"UPDATE actions SET phase = ?, error = ? WHERE run = ? AND {UNFINISHED}"
        db.execute("BEGIN IMMEDIATE")
        db.executemany(update, [(Phase.ABORTED.value, GONE, name) for name in orphans])
        db.execute("COMMIT")
    return bool(orphans)


def is_alive(pid: int, born: float) -> bool:
    """Tell whether a process still runs, rather than a later one of its number."""
    found = _born(pid)
    return bool(found) and abs(found - born) <= CLOCK


def birth() -> float:
    """Give the start time of this process."""
    return _own_birth(os.getpid())


@functools.lru_cache(maxsize=2)
def _own_birth(pid: int) -> float:
    return _born(pid)


def _born(pid: int) -> float:
    """Give the start time of a process; 0.0 when it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return 0.0
