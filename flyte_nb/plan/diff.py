"""Diff: how a deployed environment and the declared one differ, field by field and name by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_nb.environments.declaration import HIDDEN, looks_secret, mask

__all__ = ["FieldChange", "NameChange", "TaskChange", "fields_changed", "names_changed", "tasks_changed"]

_MISSING: Any = object()


@dataclass(frozen=True)
class FieldChange:
    """One field that differs.

    Parameters
    ----------
    field : str
        Where it is, dots between the parts: ``resources.cpu``.
    before, after : str
        Its values as text, what looks like a secret hidden; empty where the field is at its default.
    """

    field: str
    before: str
    after: str

    @property
    def sign(self) -> str:
        """``+`` for one that was set, ``-`` for one that was taken away, ``~`` for one that was changed."""
        return "+" if not self.before else "-" if not self.after else "~"


@dataclass(frozen=True)
class NameChange:
    """One name, or file, that differs.

    Parameters
    ----------
    name : str
        The variable, function, class, ``environment NAME`` or file.
    what : {"changed", "is new", "is gone"}
        How it differs.
    """

    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.name} {self.what}"


@dataclass(frozen=True)
class TaskChange:
    """One task that differs.

    Parameters
    ----------
    task : str
        Its name, with its environment's.
    what : {"added", "changed", "withdrawn"}
        How it differs.
    names : tuple of NameChange
        What of its code does: its own function, and the names that this reads.
    fields : tuple of FieldChange
        What of its inputs, outputs, description and settings does.
    """

    task: str
    what: str
    names: tuple[NameChange, ...] = ()
    fields: tuple[FieldChange, ...] = ()


def fields_changed(before: Mapping[str, Any], after: Mapping[str, Any], within: str = "") -> list[FieldChange]:
    """Compare JSON data field by field; objects are gone into, all else is compared as a whole.

    Parameters
    ----------
    before, after : mapping
        What was and what is.
    within : str
        The name of the field that holds them.
    """
    found: list[FieldChange] = []
    for key in dict.fromkeys([*before, *after]):
        one, other = before.get(key, _MISSING), after.get(key, _MISSING)
        name = f"{within}.{key}" if within else str(key)
        if _is_object(one) and _is_object(other) and one.get("type") == other.get("type"):
            found += fields_changed(one, other, name)
        elif one is _MISSING or other is _MISSING or not _same(one, other):
            found.append(FieldChange(name, _told(name, one), _told(name, other)))
    return found


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _same(one: Any, other: Any) -> bool:
    """Compare JSON data, in which 1, 1.0 and true are three things."""
    if isinstance(one, str):
        return bool(one == other)
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _told(name: str, value: Any) -> str:
    if value is _MISSING:
        return ""
    parts = name.split(".")
    if "secrets" not in parts and not isinstance(value, dict) and looks_secret(parts[-1], value):
        return HIDDEN  # in secrets themselves there are names only
    if isinstance(value, dict) and "type" in value:
        inner = ", ".join(f"{key}={_told(f'{name}.{key}', item)}" for key, item in value.items() if key != "type")
        return f"{value['type']}({inner})"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[" + ", ".join(_told(name, item) for item in value) + "]"
    return mask(parts[-1], value)


def names_changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[NameChange]:
    """Compare digests by name."""
    words = {name: "changed" if name in before else "is new" for name in after if before.get(name) != after[name]}
    words |= {name: "is gone" for name in before if name not in after}
    return [NameChange("names further away" if name == "…" else name, word) for name, word in sorted(words.items())]


def tasks_changed(before: Mapping[str, Any], after: Mapping[str, Any], fields: Iterable[str] = ()) -> list[TaskChange]:
    """Compare the tasks of an environment.

    Parameters
    ----------
    before, after : mapping
        The rows of the tasks, by name.
    fields : iterable of str
        Fields of their environment that are told already: a task's settings have them from there.
    """
    told = {name.partition(".")[0] for name in fields}
    changed = (_task(name, before[name], after[name], told) for name in after if name in before)
    return [
        *(TaskChange(name, "added") for name in after if name not in before),
        *(task for task in changed if task is not None),
        *(TaskChange(name, "withdrawn") for name in before if name not in after),
    ]


def _task(name: str, before: Mapping[str, Any], after: Mapping[str, Any], told: set[str]) -> TaskChange | None:
    if before == after:
        return None
    is_told = "reads" in before  # an older flyte_nb did not tell
    names = _own_first(name, names_changed(before["reads"], after.get("reads") or {})) if is_told else []
    fields = [*_shape(before, after), *_settings(before, after, told)]
    return TaskChange(name, "changed", tuple(names), tuple(fields)) if names or fields else None


def _own_first(task: str, names: list[NameChange]) -> list[NameChange]:
    """Put a task's own function first, by the name that it has in its cell."""
    own, short = {task, task.rpartition(".")[2]}, task.rpartition(".")[2]
    first = [NameChange(short, one.what) for one in names if one.name in own]
    return [*first, *(one for one in names if one.name not in own)]


def _shape(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    if before.get("interface") != after.get("interface"):
        yield FieldChange("interface", str(before.get("interface", "")), str(after.get("interface", "")))
    if before.get("description") != after.get("description"):
        yield FieldChange(
            "description", mask("", before.get("description", "")), mask("", after.get("description", ""))
        )


def _settings(before: Mapping[str, Any], after: Mapping[str, Any], told: set[str]) -> list[FieldChange]:
    if before.get("policy") == after.get("policy"):
        return []
    one, other = (json.loads(row.get("policy") or "{}") for row in (before, after))
    return [change for change in fields_changed(one, other) if change.field.partition(".")[0] not in told]
