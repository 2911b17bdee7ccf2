"""The tables of the store, and how a file of an older version gets them."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta, timezone

from flyte_nb.engine.base import Phase, now
from flyte_nb.errors import StoreError

__all__ = ["UNFINISHED", "VERSION", "from_micros", "micros", "micros_ago", "micros_or_none", "prepare"]

VERSION = 4
#: the phases that something follows, as SQL; an index has exactly these words
UNFINISHED = f"phase IN ({', '.join(repr(p.value) for p in Phase if not p.is_terminal)})"
# Times are microseconds since 1970. `runs.id` grows with every run: it is the order of the runs, whatever the clock
# did; `actions.begun` is the same for the actions of one run. `runs.module` is NULL where nobody said. Of a
# deployment, `digest` is of what the environment is, `seal` of its bundle's manifest, and `until` says when it ceased
# to be current.
_TABLES = f"""
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, task TEXT NOT NULL, engine TEXT NOT NULL, inputs TEXT NOT NULL,
    version TEXT NOT NULL, notebook TEXT NOT NULL, module TEXT, session TEXT NOT NULL, pid INTEGER NOT NULL,
    born REAL NOT NULL, created INTEGER NOT NULL
);
CREATE INDEX runs_of_session ON runs (session, id);
CREATE TABLE actions (
    run TEXT NOT NULL, id TEXT NOT NULL, task TEXT NOT NULL, parent TEXT, phase TEXT NOT NULL, queued INTEGER,
    started INTEGER, ended INTEGER, begun INTEGER, attempt INTEGER NOT NULL, error TEXT NOT NULL, notice TEXT NOT NULL,
    cached INTEGER NOT NULL, "group" TEXT NOT NULL, peak_memory INTEGER NOT NULL, UNIQUE (run, id)
);
CREATE INDEX roots ON actions (run) WHERE parent IS NULL;
CREATE INDEX unfinished ON actions (run) WHERE {UNFINISHED};
CREATE TABLE attempts (
    run TEXT NOT NULL, action TEXT NOT NULL, number INTEGER NOT NULL, phase TEXT NOT NULL, started INTEGER,
    ended INTEGER, error TEXT NOT NULL, PRIMARY KEY (run, action, number)
) WITHOUT ROWID;
CREATE TABLE data (
    run TEXT NOT NULL, action TEXT NOT NULL, kind TEXT NOT NULL, sizes TEXT NOT NULL, file TEXT NOT NULL,
    tag BLOB NOT NULL, content BLOB NOT NULL, PRIMARY KEY (run, action, kind)
);
CREATE TABLE log_parts (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, action TEXT NOT NULL, stream TEXT NOT NULL, start INTEGER NOT NULL,
    length INTEGER NOT NULL
);
CREATE INDEX log_parts_of_run ON log_parts (run, id);
CREATE TABLE cache (
    key TEXT PRIMARY KEY, task TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, run TEXT NOT NULL,
    size INTEGER NOT NULL, hits INTEGER NOT NULL, used INTEGER NOT NULL, sizes TEXT NOT NULL, file TEXT NOT NULL,
    tag BLOB NOT NULL, content BLOB NOT NULL
);
CREATE TABLE notes (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS deployments (
    environment TEXT NOT NULL, version TEXT NOT NULL, created TEXT NOT NULL, bundle TEXT NOT NULL,
    declaration TEXT NOT NULL, tasks TEXT NOT NULL, PRIMARY KEY (environment, version)
);
CREATE TABLE IF NOT EXISTS current (environment TEXT PRIMARY KEY, version TEXT NOT NULL);
"""
_FROM_2 = [
    f"ALTER TABLE deployments ADD COLUMN {column} TEXT NOT NULL DEFAULT ''"
    for column in ("digest", "reads", "seal", "until")
]
# Where a run of a cluster is seen, and what was deployed to clusters: `place` is a control plane with a project and a
# domain, and the version of an environment that was `used` last is the current one there.
_FROM_3 = [
    "ALTER TABLE runs ADD COLUMN address TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE placed (
        environment TEXT NOT NULL, place TEXT NOT NULL, version TEXT NOT NULL, created TEXT NOT NULL,
        used TEXT NOT NULL, tasks TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (environment, place, version)
    )""",
]
# What is known of a run goes with it, also when another of its name replaces it.
_GOES_WITH_ITS_RUN = (
    "CREATE TRIGGER removed AFTER DELETE ON runs BEGIN "
    + "".join(f"DELETE FROM {table} WHERE run = OLD.name; " for table in ("actions", "attempts", "data", "log_parts"))
    + "END"
)
_FROM_1 = [
    """INSERT INTO runs (name, task, engine, inputs, version, notebook, session, pid, born, created)
       SELECT name, task, engine, inputs, version, notebook, session, pid, born,
              coalesce((SELECT micros(started) FROM old_actions WHERE run = name AND parent IS NULL), 0)
       FROM old_runs ORDER BY 10, old_runs.rowid""",
    """INSERT INTO actions (run, id, task, parent, phase, started, ended, begun, attempt, error, notice, cached,
                            "group", peak_memory)
       SELECT run, id, task, parent, phase, micros(started), micros(ended), row_number() OVER (ORDER BY started, rowid),
              0, error, '', 0, '', 0
       FROM old_actions ORDER BY started, rowid""",
]


def prepare(db: sqlite3.Connection) -> None:
    """Give a file just opened the tables of this version.

    Raises
    ------
    StoreError
        When it is of a newer version.
    """
    if _version(db) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        _upgrade(db)  # another process may have done it meanwhile
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _upgrade(db: sqlite3.Connection) -> None:
    version = _version(db)
    if version > VERSION:
        raise StoreError(
            f"the store is of version {version}, newer than this flyte_nb knows ({VERSION}); update flyte_nb, "
            "or set FLYTE_NB_HOME to another folder"
        )
    if version == 1:
        for table in ("runs", "actions"):
            db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    if version < 2:
        for statement in _TABLES.split(";"):
            db.execute(statement)
        db.execute(_GOES_WITH_ITS_RUN)
    if version == 1:
        db.create_function("micros", 1, lambda text: micros(datetime.fromisoformat(text)) if text else None)
        for statement in (*_FROM_1, "DROP TABLE old_actions", "DROP TABLE old_runs"):
            db.execute(statement)
    for statement in (*(_FROM_2 if version < 3 else ()), *(_FROM_3 if version < 4 else ())):
        db.execute(statement)
    db.execute(f"PRAGMA user_version={VERSION}")


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def micros(time: datetime) -> int:
    """Give a time as the store keeps it; one without a zone is of this machine's."""
    return round(time.timestamp() * 1e6)


def micros_or_none(time: datetime | None) -> int | None:
    """Give a time that there may be as the store keeps it."""
    return None if time is None else round(time.timestamp() * 1e6)


def micros_ago(span: timedelta) -> int:
    """Give the time that is so long ago, as the store keeps it; 1970 at the earliest."""
    return max(0, micros(now()) - span // timedelta(microseconds=1))


def from_micros(value: int | None) -> datetime | None:
    """Give back a time that the store kept."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)
