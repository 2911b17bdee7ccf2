"""Runs: the records of runs, their actions and attempts."""

from __future__ import annotations

import itertools
import os
import sqlite3

from flyte_nb.engine.base import Action, Attempt, Phase, Run, now
from flyte_nb.engine.store.batches import Statement
from flyte_nb.engine.store.file import File
from flyte_nb.engine.store.home import is_plain
from flyte_nb.engine.store.orphans import GONE, birth, is_alive
from flyte_nb.engine.store.schema import UNFINISHED, from_micros, micros, micros_or_none
from flyte_nb.engine.store.values import remove_values
from flyte_nb.errors import BaseRuntimeError, UnknownNameError, UsageError

__all__ = ["Runs"]

_RUN = Statement(
    "INSERT OR REPLACE INTO runs (name, task, engine, inputs, version, notebook, module, session, pid, born, created, "
    "address) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
    rank=0,
)
# an action keeps its place: its row is the one of its first record, and `begun` is of its first start
_ACTION = Statement(
    "INSERT INTO actions (run, id, task, parent, phase, queued, started, ended, begun, attempt, error, notice, cached, "
    '"group", peak_memory) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) '
    "ON CONFLICT (run, id) DO UPDATE SET task = excluded.task, parent = excluded.parent, phase = excluded.phase, "
    "queued = excluded.queued, started = excluded.started, ended = excluded.ended, "
    "begun = coalesce(begun, excluded.begun), attempt = excluded.attempt, error = excluded.error, "
    'notice = excluded.notice, cached = excluded.cached, "group" = excluded."group", '
    "peak_memory = excluded.peak_memory"
)
_ATTEMPT = Statement("INSERT OR REPLACE INTO attempts VALUES (?,?,?,?,?,?,?)")
_ROOT_TOO = (
    "SELECT runs.*, actions.*, actions.id AS action, actions.task AS action_task "
    "FROM runs LEFT JOIN actions ON run = name AND parent IS NULL"
)
_KNOWN = 1_000  # names among which the nearest are looked for
_starts = itertools.count(1)


class Runs(File):
    """The part of a store that keeps runs."""

    def add_run(self, run: Run, notebook: str = "", module: str | None = None) -> None:
        """Record a run that starts, in place of an earlier one of its name.

        Parameters
        ----------
        run : Run
            The run.
        notebook : str
            The notebook or file it comes from, if known.
        module : str, optional
            The folder under `modules` that its tasks are read from; empty for none, None when that is not known:
            no module is tidied away then.
        """
        values = (run.name, run.task, run.engine, run.inputs, run.version, notebook, module, self.session, os.getpid(),
                  birth(), micros(now()), run.address)  # fmt: skip
        self._put(_RUN, values)

    def put_action(self, run_name: str, action: Action) -> None:
        """Record an action as it is now."""
        a = action
        begun = None if a.started is None else next(_starts)
        values = (run_name, a.id, a.task, a.parent, a.phase.value, micros_or_none(a.queued), micros_or_none(a.started),
                  micros_or_none(a.ended), begun, a.attempt, a.error, a.notice, a.cached, a.group,
                  a.peak_memory)  # fmt: skip
        self._put(_ACTION, values)

    def put_attempt(self, run_name: str, action_id: str, attempt: Attempt) -> None:
        """Record an attempt of an action as it is now."""
        values = (run_name, action_id, attempt.number, attempt.phase.value, micros_or_none(attempt.started),
                  micros_or_none(attempt.ended), attempt.error)  # fmt: skip
        self._put(_ATTEMPT, values)

    def runs(self, last: int = 50, session: str | None = None) -> list[Run]:
        """Give the newest runs, newest first, with their root action only.

        Parameters
        ----------
        last : int
            How many.
        session : str, optional
            Only those of one session.
        """
        where, values = ("", ()) if session is None else (" WHERE session = ?", (session,))
        return self._found(f"{_ROOT_TOO}{where} ORDER BY runs.id DESC LIMIT ?", (*values, last))

    def run(self, name: str) -> Run:
        """Give a run with all its actions, the root first.

        Raises
        ------
        UnknownNameError
            With the nearest names among the latest runs.
        """
        found = self._found(f"{_ROOT_TOO} WHERE name = ?", (name,))
        if not found:
            known = self._rows("SELECT name FROM runs ORDER BY id DESC LIMIT ?", (_KNOWN,))
            raise UnknownNameError("run", name, [row["name"] for row in known])
        found[0].actions = self.actions(name) or found[0].actions
        return found[0]

    def actions(self, run_name: str) -> list[Action]:
        """Give the actions of a run in the order of their start, the root first, those that wait last."""
        query = (
            "SELECT *, id AS action, task AS action_task FROM actions WHERE run = ? "
            "ORDER BY parent IS NOT NULL, begun IS NULL, begun, rowid"
        )
        return [_action(row) for row in self._rows(query, (run_name,))]

    def attempts(self, run_name: str, action_id: str) -> list[Attempt]:
        """Give the attempts of an action, the first one first."""
        query = "SELECT * FROM attempts WHERE run = ? AND action = ? ORDER BY number"
        rows = self._rows(query, (run_name, action_id))
        return [Attempt(row["number"], Phase(row["phase"]), from_micros(row["started"]), from_micros(row["ended"]),
                        row["error"]) for row in rows]  # fmt: skip

    def forget(self, name: str) -> None:
        """Remove the record, the values and the log of a run that has ended, so that another may have its name.

        Raises
        ------
        UsageError
            When it has not ended.
        """
        with self._writing() as db:
            query = (
                "SELECT COALESCE(phase, 'queued') AS phase, pid, born FROM runs LEFT JOIN actions ON run = name "
                f"WHERE name = ? AND (phase IS NULL OR {UNFINISHED})"
            )
            for row in db.execute(query, (name,)).fetchall():
                if is_alive(row["pid"], row["born"]):
                    raise UsageError(f"run {name!r} is still {row['phase']}; choose another name, or wait for its end")
            db.execute("DELETE FROM runs WHERE name = ?", (name,))
            if is_plain(name):
                self.log_of(name).unlink(missing_ok=True)
                remove_values(self.home, name)

    def _found(self, query: str, values: tuple[object, ...]) -> list[Run]:
        rows = self._rows(query, values)
        if any(not Phase(row["phase"] or "queued").is_terminal and row["pid"] != os.getpid() for row in rows):
            rows = self._rows(query, values) if self._mark_orphans() else rows
        return [self._run(row) for row in rows]

    def _run(self, row: sqlite3.Row) -> Run:
        action = _action(row) if row["phase"] else _unknown_root(row)
        code, _, message = action.error.partition(": ")
        error = BaseRuntimeError(code, "user", message) if code else None
        return Run(row["name"], row["task"], row["engine"], row["inputs"], row["version"], [action], error,
                   self.log_of(row["name"]), address=row["address"])  # fmt: skip


def _action(row: sqlite3.Row) -> Action:
    return Action(row["action"], row["action_task"], row["parent"], Phase(row["phase"]), from_micros(row["started"]),
                  from_micros(row["ended"]), row["error"], row["attempt"], from_micros(row["queued"]), row["notice"],
                  bool(row["cached"]), row["group"], row["peak_memory"])  # fmt: skip


def _unknown_root(row: sqlite3.Row) -> Action:
    """Give the action of a run of which nothing was written but that it is there."""
    if is_alive(row["pid"], row["born"]):
        return Action("a0", row["task"])
    return Action("a0", row["task"], phase=Phase.ABORTED, error=GONE)
