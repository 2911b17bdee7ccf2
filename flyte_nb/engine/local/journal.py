"""Journal: what happens in one run — its actions, phases and output go to the store and to whoever listens."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from flyte_nb.engine.base import Action, Attempt, Emit, Event, Phase, Run, Work, now
from flyte_nb.engine.definition import Definition
from flyte_nb.engine.local.need import import_path
from flyte_nb.engine.local.replica import Output
from flyte_nb.engine.store import Store

__all__ = ["Journal"]

#: bytes of output that a run keeps; what comes after is dropped, and said
MOST_OUTPUT = 16 * 1024 * 1024


class Journal:
    """The record of one run, as it is written.

    Parameters
    ----------
    run : Run
        The run; its ``log`` is the file of its output, made with the first of it.
    work : Work
        What it was made of.
    store : Store
        Takes the records.
    emit : callable
        Hears what happens.
    """

    def __init__(self, run: Run, work: Work, store: Store, emit: Emit) -> None:
        self.run, self._work, self._store, self._emit = run, work, store, emit
        self._file = -1
        self._size = 0
        self._place = (os.getcwd(), import_path())
        self._fits: dict[int, tuple[Any, ...]] = {}
        settings = work.settings
        #: what every task of the run is told of it, as JSON data
        self.context: dict[str, Any] = {
            "run": run.name,
            "version": run.version,
            "folder": str(store.home / "data" / run.name),
            "project": settings.project,
            "domain": settings.domain,
            "raw_data_path": settings.raw_data_path,
            "run_start_time": settings.run_start_time,
            "disable_run_cache": settings.disable_run_cache,
            "interactive_mode": settings.interactive_mode,
        }

    def fit(self, definition: Definition) -> tuple[Any, ...]:
        """Give what makes a warm worker fit, beside its variables: looked at once a run for each definition."""
        known = self._fits.get(id(definition))
        if known is None or known[0] is not definition:
            known = self._fits[id(definition)] = (definition, definition.stamp(), *self._place)
        return known

    def begin(self) -> None:
        """Record the run."""
        path = self._work.definition.path
        own = path is not None and path.parent.parent == self._store.modules
        self._store.add_run(self.run, self._work.notebook, path.parent.name if path is not None and own else "")

    def new_action(self, work: Work, parent: str | None, number: str = "") -> Action:
        """Give the action of some work, numbered in turn unless it has a number; recorded with its first phase."""
        action = Action(number or f"a{len(self.run.actions)}", work.task, parent, queued=now(), group=work.group)
        self.run.actions.append(action)
        return action

    def new_step(self, number: str, name: str, parent: str) -> Action:
        """Give the action of a traced step of a task."""
        action = Action(number, name, parent, started=now())
        self.run.actions.append(action)
        return action

    def tell(self, emit: Emit) -> None:
        """Tell somebody else from now on."""
        self._emit = emit

    def put(self, action: Action) -> None:
        """Record an action as it is now, and tell of it."""
        self._store.put_action(self.run.name, action)
        self._hear(Event(self.run.name, action.copy()))

    def put_attempt(self, action: Action, error: str) -> None:
        """Record that an attempt at an action has failed."""
        failed = Attempt(action.attempt, Phase.FAILED, action.started, now(), error)
        self._store.put_attempt(self.run.name, action.id, failed)

    def output_of(self, action: Action) -> Output:
        """Give what takes the output of one action."""

        def output(stream: str, text: str) -> None:
            self._take(action, stream, text)

        return output

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take(self, action: Action, stream: str, text: str) -> None:
        if self._size > MOST_OUTPUT:
            return
        data = text.encode()
        self._size += len(data)
        if self._size > MOST_OUTPUT:
            text = f"\n… more than {MOST_OUTPUT >> 20} MiB of output: the rest is dropped; write to a file instead\n"
            data = text.encode()
        with contextlib.suppress(OSError):  # a full disk shall not hold the task
            self._write(data)
            self._store.put_log(self.run.name, action.id, stream, self._size - len(data), len(data))
        self._hear(Event(self.run.name, action.copy(), stream, text))

    def _hear(self, event: Event) -> None:
        self._emit(event)
        if self.run.observers:
            self.run.observers.tell(event)

    def _write(self, data: bytes) -> None:
        if self.run.log is None:
            return
        if self._file < 0:
            self._file = os.open(self.run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(self._file, data)
