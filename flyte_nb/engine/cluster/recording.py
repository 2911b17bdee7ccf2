"""Recording: what a run in a cluster does goes to the store and to whoever listens, as of every other run."""

from __future__ import annotations

import contextlib
import os

from flyte_nb.engine.base import Action, Attempt, Emit, Event, Run
from flyte_nb.engine.store import Store

__all__ = ["Recording"]

#: bytes of output that a run keeps; what comes after is dropped, and said
MOST_OUTPUT = 16 * 1024 * 1024


class Recording:
    """The record of one run.

    Parameters
    ----------
    run : Run
        The run; its ``log`` is the file of its output, made with the first of it.
    store : Store
        Takes the records.
    emit : callable
        Hears what happens.
    """

    def __init__(self, run: Run, store: Store, emit: Emit) -> None:
        self.run, self._store, self._emit = run, store, emit
        self._size = run.log.stat().st_size if run.log is not None and run.log.exists() else 0

    def put(self, action: Action, attempts: list[Attempt]) -> None:
        """Take an action as it is now, in the place of what was known of it; nothing is told where nothing changed."""
        known = next((one for one in self.run.actions if one.id == action.id), None)
        if known == action:
            return
        if known is None:
            self.run.actions.append(action)
        else:
            vars(known).update(vars(action))
        for attempt in attempts:
            self._store.put_attempt(self.run.name, action.id, attempt)
        self._store.put_action(self.run.name, action)
        self._hear(Event(self.run.name, action.copy()))

    def take(self, action_id: str, text: str) -> None:
        """Take what an action printed."""
        action = next((one for one in self.run.actions if one.id == action_id), self.run.root)
        if self._size > MOST_OUTPUT:
            return
        data = text.encode()
        if self._size + len(data) > MOST_OUTPUT:
            text = f"\n… more than {MOST_OUTPUT >> 20} MiB of output: the rest is in the cluster\n"
            data, self._size = text.encode(), MOST_OUTPUT
        with contextlib.suppress(OSError):  # a full disk shall not end the watch
            self._write(data)
            self._store.put_log(self.run.name, action.id, "stdout", self._size, len(data))
        self._size += len(data)
        self._hear(Event(self.run.name, action.copy(), "stdout", text))

    def lines_of(self, action_id: str) -> int:
        """Count the lines of an action that the log has already."""
        if not self._size or self.run.log is None:
            return 0
        data = self.run.log.read_bytes()
        parts = self._store.log_parts(self.run.name, action_id)
        return sum(data[part.offset : part.offset + part.length].count(b"\n") for part in parts)

    def end(self) -> None:
        """Tell that the run's outputs or its error are there."""
        self.run.observers.tell(Event(self.run.name, self.run.root.copy()))

    def _hear(self, event: Event) -> None:
        self._emit(event)
        self.run.observers.tell(event)

    def _write(self, data: bytes) -> None:
        assert self.run.log is not None
        self.run.log.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(self.run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(data)
