"""Batches: rows on their way to the file. They are taken at once and written together, by a thread of their own."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flyte_nb.errors import StoreError

__all__ = ["FAILURES", "Batches", "Row", "Statement"]

logger = logging.getLogger("flyte")

EVERY = 0.02  # seconds between two batches
PATIENCE = 30.0  # seconds between two attempts, at most, while nothing can be written
MANY = 20_000  # rows that may wait; then whoever brings another writes them, or loses the oldest
LARGE = 32 << 20  # bytes of values that may wait
AT_ONCE = 2_000  # rows of one transaction
#: what writing may meet that says nothing about the rows
FAILURES = (sqlite3.Error, OSError, StoreError)


class Statement(NamedTuple):
    """One kind of row; those of a lower rank are written before the others of their batch."""

    sql: str
    rank: int = 1


class Row(NamedTuple):
    """One row to write."""

    statement: Statement
    values: tuple[Any, ...]
    size: int = 0


class Batches:
    """Rows that wait to be written.

    Parameters
    ----------
    write : callable
        Writes some rows in one transaction, or raises and has written none.
    lock : RLock
        Held while rows are being written, so that they stay in order.
    chore : callable
        Does a little of what can wait, between two batches, and tells whether there is more.
    """

    def __init__(self, write: Callable[[list[Row]], None], lock: Any, chore: Callable[[], bool]) -> None:
        self._write, self._chore = write, chore
        self.forked(lock)

    def forked(self, lock: Any) -> None:
        """Begin anew, without the rows that wait: in a new process they are still the parent's to write."""
        self._lock = lock
        self._waiting: deque[Row] = deque()
        self._size = 0
        self._lost = 0
        self._loss: BaseException | None = None
        self._trouble: BaseException | None = None
        self._is_told = False
        self._thread: threading.Thread | None = None
        self._wake, self._stop = threading.Event(), threading.Event()

    @property
    def in_trouble(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._trouble is not None

    def put(self, row: Row) -> None:
        """Take a row; it is written within a moment."""
        self._waiting.append(row)
        self._size += row.size
        if len(self._waiting) > MANY or self._size > LARGE:
            self._make_room()
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def drain(self) -> None:
        """Write everything that waits, in this thread.

        Raises
        ------
        sqlite3.Error, OSError, StoreError
            What prevents it; the rows still wait then.
        """
        with self._lock:
            while rows := self._taken():
                try:
                    self._write(rows)
                except FAILURES as error:
                    self._give_back(rows)
                    self.note(error)
                    raise
                self._recover()

    def flush(self) -> None:
        """Write everything that waits; raise what prevents it, or what was lost since it was last asked."""
        self.drain()
        error, self._loss = self._loss, None
        if error is not None:
            raise error

    def settle(self, quiet: bool = False) -> None:
        """Write everything that waits; where that fails, raise it once, so that reading goes on afterwards."""
        try:
            self.drain() if quiet else self.flush()
        except FAILURES:
            if not quiet and not self._is_told:
                self._is_told = True
                raise

    def lose(self, error: BaseException) -> None:
        """Warn of something that is not kept, and keep why for who asks next."""
        if self._loss is None:
            logger.warning("a value of a run is not kept: %s", error)
        self._loss = error

    def close(self) -> None:
        """Write everything that waits and end the thread; what cannot be written stays for another time."""
        thread, wake, stop = self._thread, self._wake, self._stop
        self._thread, self._wake, self._stop = None, threading.Event(), threading.Event()
        stop.set()
        wake.set()
        if thread is not None:
            thread.join()
        self._attempt()

    # --- what waits ---

    def _taken(self) -> list[Row]:
        rows: list[Row] = []
        while self._waiting and len(rows) < AT_ONCE:
            rows.append(self._waiting.popleft())
        self._size = max(0, self._size - sum(row.size for row in rows)) if self._waiting else 0
        return rows

    def _give_back(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self._waiting.extendleft(reversed(rows))
        self._size += sum(row.size for row in rows)

    def _make_room(self) -> None:
        if not self.in_trouble:
            self._attempt()
        with contextlib.suppress(IndexError):  # the thread may take the last one meanwhile
            while len(self._waiting) > MANY or self._size > LARGE:
                self._size -= self._waiting.popleft().size
                self._lost += 1

    # --- failures ---

    def note(self, error: BaseException) -> None:
        """Keep what prevents writing, and warn of it once."""
        if self._trouble is None:
            logger.warning("runs are not being recorded: %s; it is tried again, and runs go on", error)
        self._trouble = error

    def _recover(self) -> None:
        if self._trouble is not None:
            lost = f"; {self._lost} records were lost" if self._lost else ""
            logger.warning("runs are being recorded again%s", lost)
        self._trouble, self._is_told, self._lost = None, False, 0

    def _attempt(self) -> bool:
        try:
            self.drain()
        except FAILURES:
            return False  # it is noted, told, and tried again
        return True

    # --- the thread ---

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            thread = threading.Thread(
                target=self._work, args=(self._wake, self._stop), name="flyte_nb store", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending, or there are no more threads
                self._attempt()
            else:
                self._thread = thread

    def _work(self, wake: threading.Event, stop: threading.Event) -> None:
        pause = EVERY
        while True:
            wake.wait()  # without rows it sleeps, and costs nothing
            stop.wait(pause)  # more may come, for the same transaction
            wake.clear()
            if stop.is_set():
                return
            if self._attempt():
                pause = EVERY
                if self._chore():
                    wake.set()
            else:
                pause = min(pause * 3, PATIENCE)
                wake.set()
