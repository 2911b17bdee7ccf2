"""The SQLite file of a store: opened when first needed, written in transactions, set aside when damaged."""

from __future__ import annotations

import atexit
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from flyte_nb.engine.store import schema
from flyte_nb.engine.store.batches import Batches, Row, Statement
from flyte_nb.engine.store.damage import is_damaged, probe, set_aside
from flyte_nb.engine.store.home import FILE, prepare
from flyte_nb.engine.store.orphans import mark_orphans
from flyte_nb.engine.store.rows import fit, grouped
from flyte_nb.errors import StoreError

__all__ = ["File"]

T = TypeVar("T")

logger = logging.getLogger("flyte")

BUSY = 10.0  # seconds that a write waits for another process to be done with its own
#: what is the fault of one row, not of the file: it is left out, and the others are written
_UNFIT = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.DataError, sqlite3.ProgrammingError, ValueError,
          OverflowError)  # fmt: skip


class File:
    """The part of a store that all others use: reading and writing the file.

    One connection serves all threads, one at a time. A process that is forked off opens one of its own.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._path = home / FILE
        self.session = os.environ.get("FLYTE_NB_SESSION", f"{os.getpid()}")
        self._connection: sqlite3.Connection | None = None
        self._opened_as = (0, 0)
        self._is_checked = False
        self._lock = threading.RLock()
        self._batches = Batches(self._write_batch, self._lock, lambda: self._chore())
        _stores.add(self)

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

    def flush(self) -> None:
        """Wait until everything is written.

        Raises
        ------
        StoreError
            When it cannot be; it is tried again later.
        """
        with _told(self.home):
            self._batches.flush()

    def is_locked(self) -> bool:
        """Tell whether somebody writes to the file just now."""
        if not self._path.exists():
            return False
        db = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        except sqlite3.Error:
            return True
        finally:
            db.close()
        return False

    def close(self) -> None:
        """Write what waits, and close the file; the store opens it again when it is next used."""
        self._batches.close()
        with self._lock:
            self._disconnect()
            self._is_checked = False

    # --- for the parts of the store ---

    def _put(self, statement: Statement, values: tuple[Any, ...], size: int = 0) -> None:
        """Take a row, to be written within a moment.

        Raises
        ------
        StoreError
            When the file is of a newer version.
        """
        if not self._is_checked:
            self._check()
        self._batches.put(Row(statement, values, size))

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """Read, after everything that waits is written; what prevents that is raised once."""
        with _told(self.home):
            self._batches.settle()
        return self._written_rows(query, values)

    def _written_rows(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """Read what is written."""
        with _told(self.home):
            if self._connection is None and not (self._path).exists():
                return []  # reading makes no store
            with self._lock:
                return self._retried(lambda db: db.execute(query, values).fetchall())

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Write at once, all or nothing, after everything that waits."""
        with _told(self.home):
            self._batches.settle(quiet=True)  # what it writes itself tells enough
            with self._lock, self._transaction() as db:
                yield db

    def _mark_orphans(self) -> bool:
        """Mark the runs of kernels that were killed since the file was opened; tell whether there were any."""
        with _told(self.home), self._lock:
            return mark_orphans(self._open())

    def _on_open(self) -> None:
        """Hear that the file was opened."""

    def _chore(self) -> bool:
        """Do a little of what can wait; tell whether there is more."""
        return False

    # --- the connection ---

    def _check(self) -> None:
        """Open the file before the first row is taken: one of a newer version is refused, anything else may pass."""
        try:
            with self._lock:
                self._open()
        except (sqlite3.Error, OSError) as error:
            self._batches.note(error)  # the thread tries again; a run goes on without its record
        self._is_checked = True

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._identity() != self._opened_as:
            logger.warning("the store %s was removed or replaced while in use; it is opened anew", self._path)
            self._disconnect()
        if self._connection is None:
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if not is_damaged(error):
                    raise
                set_aside(self.home)
                self._connect()
        assert self._connection is not None
        return self._connection

    def _connect(self) -> None:
        prepare(self.home)
        db = connected(self._path)
        try:
            schema.prepare(db)
            probe(db)
            mark_orphans(db)
        except BaseException:
            db.close()
            raise
        self._connection, self._opened_as = db, self._identity()
        self._on_open()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _identity(self) -> tuple[int, int]:
        try:
            known = os.stat(self._path)
        except FileNotFoundError:
            return 0, 0
        return known.st_dev, known.st_ino

    def _retried(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Use the connection; where the file turns out to be damaged, once more with a new one."""
        try:
            return work(self._open())
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            self._disconnect()
            set_aside(self.home)
            return work(self._open())

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._retried(_begin)
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk may have ended it already
                db.execute("ROLLBACK")
            raise

    # --- batches ---

    def _write_batch(self, rows: list[Row]) -> None:
        try:
            with self._transaction() as db:
                for statement, values in grouped(rows):
                    db.executemany(statement, values)
        except _UNFIT:
            self._write_singly(rows)
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            self._disconnect()
            set_aside(self.home)
            self._write_singly(rows)

    def _write_singly(self, rows: list[Row]) -> None:
        with self._transaction() as db:
            for statement, values in ((s, v) for s, many in grouped(rows) for v in many):
                try:
                    db.execute(statement, fit(values))
                except _UNFIT as error:
                    logger.warning("a record of a run cannot be kept: %s", error)

    # --- forks and the end of the process ---

    def _before_fork(self) -> None:
        self._lock.acquire()
        self._disconnect()  # SQLite's locks do not pass to another process

    def _after_fork(self, in_child: bool) -> None:
        if in_child:
            self._lock = threading.RLock()
            self._batches.forked(self._lock)
        else:
            self._lock.release()


def connected(path: Path) -> sqlite3.Connection:
    """Connect to a file, with the settings of the store."""
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        db.row_factory = sqlite3.Row
        db.text_factory = _text
        for setting in ("journal_mode=WAL", "synchronous=NORMAL", "recursive_triggers=ON"):
            db.execute(f"PRAGMA {setting}")
    except BaseException:
        db.close()
        raise
    return db


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")  # what is garbled in one field shall not hide all others


def _begin(db: sqlite3.Connection) -> sqlite3.Connection:
    db.execute("BEGIN IMMEDIATE")
    return db


@contextmanager
def _told(home: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):  # Python 3.10 has no code for it
            raise StoreError(
                f"the store {home / FILE} cannot be used: {error}. Another process has been writing to it for more "
                f"than {BUSY:g} s; wait for that one or end it, then try again"
            ) from error
        raise StoreError(
            f"the store {home / FILE} cannot be used: {error}. "
            "Set FLYTE_NB_HOME to another folder, or move the file away"
        ) from error


_stores: weakref.WeakSet[File] = weakref.WeakSet()
_held: list[File] = []
_forking = threading.Lock()


def _before_fork() -> None:
    _forking.acquire()  # one at a time: what is held belongs to one of them
    _held[:] = _stores
    for store in _held:
        store._before_fork()


def _after_fork(in_child: bool) -> None:
    for store in _held:
        store._after_fork(in_child)
    _held.clear()
    _forking.release()


@atexit.register
def _close_all() -> None:
    for store in list(_stores):
        store.close()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=lambda: _after_fork(in_child=False),
    after_in_child=lambda: _after_fork(in_child=True),
)
