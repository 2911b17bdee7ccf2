"""Store: the memory of runs and deployments, one SQLite file that several kernels may share.

It lives in the folder ``.flyte_nb``: with generated modules, bundles and logs beside it. Everything is written first
and made current last, in one transaction or one rename, so that a kernel that dies leaves it readable.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from flyte_nb.engine.base import Action, Deployment, Deployments, Phase, Run, now
from flyte_nb.errors import BaseRuntimeError, DeploymentError, StoreError, UnknownNameError, UsageError

__all__ = ["Store", "home_for"]

FOLDER = ".flyte_nb"
VERSION = 1
CLOCK = 2.0  # seconds that two processes may differ about the start of a third, when the clock was set
_SCHEMA = """
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
"""


def home_for(folder: Path) -> Path:
    """Give the folder of the store for work done in ``folder``.

    ``FLYTE_NB_HOME`` states it; else it is in the nearest folder upward that has a store, a ``pyproject.toml`` or a
    ``.git``; else in ``folder`` itself.
    """
    if stated := os.environ.get("FLYTE_NB_HOME"):
        return Path(stated).expanduser().absolute()
    upward = [folder.absolute(), *folder.absolute().parents]
    marked = (p for p in upward if any((p / mark).exists() for mark in (FOLDER, "pyproject.toml", ".git")))
    return next(marked, upward[0]) / FOLDER


class Store:
    """Runs and deployments on this machine.

    Parameters
    ----------
    home : Path
        Its folder; made, private to the user, when something is first written.

    Raises
    ------
    StoreError
        When the file is not a store, or one from a newer version of flyte_nb.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.session = os.environ.get("FLYTE_NB_SESSION", f"{os.getpid()}")
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @property
    def modules(self) -> Path:
        """Where the modules of runs are written."""
        return self.home / "modules"

    @property
    def bundles(self) -> Path:
        """Where the bundles of deployments are written."""
        return self.home / "bundles"

    def log_of(self, run: str) -> Path:
        """Give the file that takes what a run prints."""
        return self.home / "logs" / f"{run}.log"

    def close(self) -> None:
        """Close the file; the store opens it again when it is next used."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # --- runs ---

    def add_run(self, run: Run, notebook: str = "") -> None:
        """Record a run that starts."""
        row = (
            run.name,
            run.task,
            run.engine,
            run.inputs,
            run.version,
            notebook,
            self.session,
            os.getpid(),
            _born(os.getpid()),
        )
        with self._writing() as db:
            db.execute("INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?)", row)

    def forget(self, name: str) -> None:
        """Remove the record and the log of a run that has ended, so that another may have its name.

        Raises
        ------
        UsageError
            When it has not ended.
        """
        with self._writing() as db:
            for (phase,) in db.execute("SELECT phase FROM actions WHERE run = ?", (name,)).fetchall():
                if not Phase(phase).is_terminal:
                    raise UsageError(f"run {name!r} is still {phase}; choose another name, or wait for its end")
            db.execute("DELETE FROM actions WHERE run = ?", (name,))
            db.execute("DELETE FROM runs WHERE name = ?", (name,))
            self.log_of(name).unlink(missing_ok=True)

    def put_action(self, run: str, action: Action) -> None:
        """Record an action as it is now."""
        row = (action.id, run, action.task, action.parent, action.phase.value, _text(action.started),
               _text(action.ended), action.error)  # fmt: skip
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO actions VALUES (?,?,?,?,?,?,?,?)", row)

    def put_attempt(self, run: str, action: Action, error: str, ended: datetime) -> None:
        """Record a failed attempt."""

    def runs(self, last: int = 50, session: str | None = None) -> list[Run]:
        """Give the newest runs, newest first, with their root action.

        Parameters
        ----------
        last : int
            How many.
        session : str, optional
            Only those of one session.
        """
        query = (
            "SELECT runs.*, actions.* FROM actions JOIN runs ON runs.name = actions.run "
            "WHERE actions.parent IS NULL AND (? IS NULL OR session = ?) ORDER BY started DESC LIMIT ?"
        )
        return [self._run(row) for row in self._rows(query, (session, session, last))]

    def _run(self, row: sqlite3.Row) -> Run:
        action = Action(row["id"], row["task"], row["parent"], Phase(row["phase"]), _time(row["started"]),
                        _time(row["ended"]), row["error"])  # fmt: skip
        code, _, message = row["error"].partition(": ")
        error = BaseRuntimeError(code, "user", message) if code else None
        return Run(row["name"], row["task"], row["engine"], row["inputs"], row["version"], [action], error,
                   self.log_of(row["name"]))  # fmt: skip

    # --- deployments ---

    def deploy(self, rows: Iterable[dict[str, Any]], version: str, bundle: str) -> Deployments:
        """Make environments current at a version, all of them in one transaction.

        Parameters
        ----------
        rows : iterable of dict
            For each environment ``environment``, ``declaration`` (JSON data) and ``tasks`` (name to interface).
        version : str
            The version.
        bundle : str
            The folder of the bundle under `bundles`.

        Raises
        ------
        DeploymentError
            When an environment has the version already, from another bundle.
        """
        with self._writing() as db:
            return Deployments(self._put(db, row, version, bundle) for row in rows)

    def _put(self, db: sqlite3.Connection, row: dict[str, Any], version: str, bundle: str) -> Deployment:
        name, tasks = row["environment"], row["tasks"]
        values = (name, version, _text(now()), bundle, json.dumps(row["declaration"]), json.dumps(tasks))
        db.execute("INSERT OR IGNORE INTO deployments VALUES (?,?,?,?,?,?)", values)
        query = "SELECT created, bundle FROM deployments WHERE environment = ? AND version = ?"
        kept = db.execute(query, (name, version)).fetchone()
        if kept["bundle"] != bundle:
            raise DeploymentError(
                f"version {version!r} of {name!r} is deployed already, with other content; give another version, "
                "or none to have it from the content"
            )
        known = db.execute("SELECT version FROM current WHERE environment = ?", (name,)).fetchone()
        db.execute("INSERT OR REPLACE INTO current VALUES (?,?)", (name, version))
        unchanged = known is not None and known["version"] == version
        return Deployment(name, version, datetime.fromisoformat(kept["created"]), tuple(tasks), unchanged)

    def current(self) -> dict[str, str]:
        """Give the current version of each deployed environment."""
        return {row["environment"]: row["version"] for row in self._rows("SELECT * FROM current")}

    def deployed(self, environment: str, version: str | None = None) -> dict[str, Any]:
        """Give what is known of a deployed environment at a version, or at the current one.

        Raises
        ------
        UnknownNameError
            With the nearest names or the versions there are.
        """
        current = self.current()
        if environment not in current:
            raise UnknownNameError("deployed environment", environment, current)
        wanted = version or current[environment]
        rows = self._rows("SELECT * FROM deployments WHERE environment = ?", (environment,))
        versions = {row["version"]: row for row in rows}
        if wanted not in versions:
            raise UnknownNameError(f"version of {environment!r}", wanted, versions)
        row = versions[wanted]
        return {**dict(row), "declaration": json.loads(row["declaration"]), "tasks": json.loads(row["tasks"])}

    # --- the file ---

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        if self._connection is None and not (self.home / "store.db").exists():
            return []  # reading makes no store
        with self._lock, _told(self.home):
            return self._open().execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Any:
        with self._lock, _told(self.home):
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._prepare_folder()
            db = sqlite3.connect(self.home / "store.db", timeout=10, isolation_level=None, check_same_thread=False)
            try:
                self._connection = _opened(db)
                self._mark_orphans(self._connection)
            except BaseException:
                self._connection = None
                db.close()
                raise
        return self._connection

    def _prepare_folder(self) -> None:
        for folder in (self.home, self.modules, self.bundles, self.home / "logs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = self.home / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")

    def _mark_orphans(self, db: sqlite3.Connection) -> None:
        """Mark as aborted what runs of processes that are gone left unfinished."""
        open_phases = [p.value for p in Phase if not p.is_terminal]
        marks = ",".join("?" * len(open_phases))
        rows = db.execute(
            f"SELECT DISTINCT name, pid, born FROM runs JOIN actions ON run = name WHERE phase IN ({marks})",
            open_phases,
        ).fetchall()
        for row in rows:
            if abs(_born(row["pid"]) - row["born"]) > CLOCK:
                db.execute(
                    f"UPDATE actions SET phase = ?, error = ? WHERE run = ? AND phase IN ({marks})",
                    (
                        Phase.ABORTED.value,
                        "ABORTED: the kernel ended before the run did",
                        row["name"],
                        *open_phases,
                    ),
                )


def _opened(db: sqlite3.Connection) -> sqlite3.Connection:
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA busy_timeout=10000")
    db.execute("BEGIN IMMEDIATE")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version={VERSION}")
    db.execute("COMMIT")
    if version > VERSION:
        raise StoreError(
            f"the store is of version {version}, newer than this flyte_nb knows ({VERSION}); update flyte_nb"
        )
    return db


@contextmanager
def _told(home: Path) -> Any:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"the store {home / 'store.db'} cannot be used: {error}. "
            "Set FLYTE_NB_HOME to another folder, or move the file away"
        ) from error


def _born(pid: int) -> float:
    """Give the start time of a process, which tells it from a later one of the same number; 0.0 when it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return 0.0


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
