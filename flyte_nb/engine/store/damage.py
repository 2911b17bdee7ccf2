"""Damage: how a store file that cannot be read is noticed, and set aside for a new one. It is never deleted."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from datetime import datetime
from pathlib import Path

from flyte_nb.engine.store.home import FILE

__all__ = ["is_damaged", "probe", "set_aside"]

logger = logging.getLogger("flyte")

_WORDS = ("file is not a database", "malformed", "file is encrypted")  # SQLite gives no code to Python 3.10


def is_damaged(error: BaseException) -> bool:
    """Tell whether an error of SQLite says that the file itself is broken."""
    return isinstance(error, sqlite3.DatabaseError) and any(words in str(error) for words in _WORDS)


def probe(db: sqlite3.Connection) -> None:
    """Read a row of each table and index: what is broken at the root is noticed at once.

    Raises
    ------
    sqlite3.DatabaseError
        When it is.
    """
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in names:
        db.execute(f'SELECT * FROM "{name}" ORDER BY 1 LIMIT 1').fetchall()


def set_aside(home: Path) -> None:
    """Rename a damaged file, with its journal, so that a new one can be begun; where it lies is told.

    Two processes may notice at once: whoever comes second finds a file that is sound and leaves it.
    """
    with (home / ".damaged.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not _is_still_damaged(home / FILE):
            return
        kept = _free(home, datetime.now().strftime("%Y%m%d-%H%M%S"))
        for end in ("", "-wal", "-shm"):
            if (home / f"{FILE}{end}").exists():
                os.rename(home / f"{FILE}{end}", f"{kept}{end}")
    logger.warning("the store %s is damaged; it is kept as %s, and a new one is begun", home / FILE, kept)


def _is_still_damaged(path: Path) -> bool:
    if not path.exists():
        return False
    db = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        probe(db)
        return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.DatabaseError as error:
        return is_damaged(error)
    finally:
        db.close()


def _free(home: Path, time: str) -> Path:
    names = (home / f"{FILE}.damaged-{time}{end}" for end in ("", *(f".{n}" for n in range(1, 1000))))
    return next(name for name in names if not name.exists())
