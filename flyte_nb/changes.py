"""Changes: what a cell, or a declaration outside a cell, did to the environments alive."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import Change
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate

__all__ = ["Changes", "EnvironmentChange", "same_task", "tasks_of"]


@dataclass
class EnvironmentChange:
    """How one environment differs from what it was before."""

    env: Environment
    fields: list[Change] = field(default_factory=list)
    tasks_added: list[str] = field(default_factory=list)
    tasks_changed: list[str] = field(default_factory=list)
    tasks_withdrawn: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.fields or self.tasks_added or self.tasks_changed or self.tasks_withdrawn)


@dataclass
class Changes:
    """What a cell, or a declaration outside a cell, did to the registry."""

    added: list[Environment] = field(default_factory=list)
    changed: list[EnvironmentChange] = field(default_factory=list)
    withdrawn: list[Environment] = field(default_factory=list)
    same: list[Environment] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.withdrawn or self.notices)


def tasks_of(env: Environment) -> dict[str, TaskTemplate]:
    """Give the tasks of an environment of any kind."""
    return env.tasks if isinstance(env, TaskEnvironment) else {}


def same_task(one: TaskTemplate, other: TaskTemplate) -> bool:
    """Tell whether two tasks have the same settings, interface and code."""
    if one is other:
        return True
    code, other_code = (getattr(inspect.unwrap(getattr(t, "func", len)), "__code__", None) for t in (one, other))
    if code is None or other_code is None:
        return one == other
    return (
        str(one.interface) == str(other.interface)
        and _settings(one) == _settings(other)
        and _same_code(code, other_code)
    )


def _settings(task: TaskTemplate) -> list[str]:
    return [repr(setting) for setting in task.settings()]


def _same_code(one: object, other: object) -> bool:
    """Compare code without line numbers, nested functions included."""
    parts = ("co_code", "co_flags", "co_names", "co_varnames", "co_consts")
    for part in parts:
        a, b = getattr(one, part), getattr(other, part)
        if part != "co_consts" and a != b:
            return False
        if part == "co_consts" and (len(a) != len(b) or not all(map(_same_const, a, b))):
            return False
    return True


def _same_const(one: object, other: object) -> bool:
    if hasattr(one, "co_code") and hasattr(other, "co_code"):
        return _same_code(one, other)
    return type(one) is type(other) and repr(one) == repr(other)  # 0.0 is not -0.0, and (1,) is not (True,)
