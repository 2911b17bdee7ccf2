"""Comparing: how one environment differs from another, each at a deployed version or as it is declared now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyte_nb.errors import UsageError
from flyte_nb.notebook.reading import ENVIRONMENT
from flyte_nb.plan.diff import FieldChange, NameChange, TaskChange, fields_changed, names_changed, tasks_changed
from flyte_nb.session import Session
from flyte_nb.views import Diff, View

__all__ = ["Compared", "compare"]

CURRENT = "current"


@dataclass(frozen=True)
class Compared:
    """How an environment differs from another.

    Parameters
    ----------
    before, after : str
        Which they are, as ``NAME@VERSION``, or the name alone for the declared one.
    fields : tuple of FieldChange
        Settings that differ.
    tasks : tuple of TaskChange
        Tasks that were added, changed or withdrawn.
    names : tuple of NameChange
        What differs of the code that is no task.
    same : bool
        Whether they are the same in all that an environment is.
    """

    before: str
    after: str
    fields: tuple[FieldChange, ...] = ()
    tasks: tuple[TaskChange, ...] = ()
    names: tuple[NameChange, ...] = ()
    same: bool = False

    def view(self) -> View:
        """Show what differs, a line each."""
        if self.same:
            return Diff([("=", f"{self.before} and {self.after}", "are the same")])
        lines = [("~", f"{self.before} → {self.after}", "")]
        lines += [_field(change) for change in self.fields]
        signs = {"added": "+", "withdrawn": "-", "changed": "~", "is new": "+", "is gone": "-"}
        for task in self.tasks:
            lines.append((signs[task.what], f"task {task.task.rpartition('.')[2]}", _because(task)))
            lines += [_field(change, "  ") for change in task.fields]
        lines += [(signs[change.what], change.name, change.what) for change in self.names]
        if len(lines) == 1:
            lines.append(("!", "files", "what it includes or imports from files differs"))
        return Diff(lines)


def _field(change: FieldChange, indent: str = "") -> tuple[str, str, str]:
    if change.sign == "~":
        return "~", f"{indent}{change.field}", f"{change.before} → {change.after}"
    return change.sign, f"{indent}{change.field}", change.before or change.after


def _because(task: TaskChange) -> str:
    return f"{task.what}: {', '.join(map(str, task.names))}" if task.names else task.what


def compare(one: str, other: str, session: Session) -> Compared:
    """Compare two environments.

    Parameters
    ----------
    one, other : str
        ``NAME@VERSION`` for a deployed version, ``NAME@current`` for the current one, ``NAME`` for what is declared.

    Raises
    ------
    UnknownNameError
        For an environment or a version that there is not; the nearest are suggested.
    UsageError
        For a text of another form.
    """
    before, after = _row(one, session), _row(other, session)
    mine, theirs = before["environment"], after["environment"]
    after_tasks, after_reads = after["tasks"], after.get("reads") or {}
    after_declared = dict(after["declaration"])
    if mine != theirs:  # told in the names of the first, so that tasks and settings of the same name meet
        after_tasks = {_renamed(name, theirs, mine): _renamed_row(row, theirs, mine)
                       for name, row in after_tasks.items()}  # fmt: skip
        after_reads = {_renamed(name, theirs, mine): digest for name, digest in after_reads.items()}
        after_declared["name"] = before["declaration"].get("name", mine)
    fields = fields_changed(before["declaration"], after_declared)
    tasks = tasks_changed(before["tasks"], after_tasks, [change.field for change in fields])
    known = {name for task in (*before["tasks"], *after_tasks) for name in (task, task.rpartition(".")[2])}
    own = f"{ENVIRONMENT}{mine}"  # its fields tell more, where they do
    names = [NameChange("its declaration", change.what) if change.name == own else change
             for change in names_changed(before.get("reads") or {}, after_reads)
             if change.name not in known and not (change.name == own and fields)]  # fmt: skip
    same = bool(before["digest"]) and before["digest"] == after["digest"]
    if mine != theirs:
        same = not (fields or tasks or names)
    return Compared(_told(one, before), _told(other, after), tuple(fields), tuple(tasks), tuple(names), same)


def _row(text: str, session: Session) -> dict[str, Any]:
    name, at, version = text.partition("@")
    if not name or (at and not version):
        raise UsageError(f"given {text!r}; accepted: NAME@VERSION, NAME@{CURRENT}, or NAME for what is declared now")
    if at:
        return session.store.deployed(name, None if version == CURRENT else version)
    env = session.registry.find(name)
    return next(row for row in session.shipping.bundle([env]).environments if row["environment"] == name)


def _told(text: str, row: Mapping[str, Any]) -> str:
    return f"{row['environment']}@{row['version']}" if "@" in text else f"{text} (as declared)"


def _renamed(name: str, theirs: str, mine: str) -> str:
    if name == f"environment {theirs}":
        return f"environment {mine}"
    return f"{mine}.{name.removeprefix(f'{theirs}.')}" if name.startswith(f"{theirs}.") else name


def _renamed_row(row: Mapping[str, Any], theirs: str, mine: str) -> dict[str, Any]:
    reads = {_renamed(name, theirs, mine): digest for name, digest in (row.get("reads") or {}).items()}
    return {**row, "reads": reads}
