"""Environments as cards and tables, and what a cell changed as a diff."""

from __future__ import annotations

from typing import Any

from flyte_nb.changes import Changes, EnvironmentChange, tasks_of
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import Change, Declaration, mask, set_fields
from flyte_nb.environments.provenance import Setting, settings_of
from flyte_nb.registry import Registry
from flyte_nb.views import Card, Diff, Stack, Table, View, bullet
from flyte_nb.widgets.settings import told_setting

__all__ = ["changes", "data", "environment", "environments", "parts"]


def environment(env: Environment, state: list[str] | None = None, outdated: list[str] | None = None) -> Card:
    """Show one environment: its settings, where it was declared, its tasks with their signatures.

    Parameters
    ----------
    env : Environment
        What is shown; of a clone also what it inherits.
    state : list of str, optional
        Its states, such as ``"deployed at 1f3a"``.
    outdated : list of str, optional
        What makes its runs or its deployment out of date.
    """
    notes = {row.field: f"inherited from {row.source}" for row in _of_a_clone(env) if row.how == "inherited"}
    rows = [
        (name, told_setting(name, value), notes.get(name, ""))
        for name, value in set_fields(env)
        if name not in ("name", "depends_on")
    ]
    if env.depends_on:
        needed = ", ".join(bullet((e.name for e in env.depends_on), 8))
        rows.append(("depends_on", needed, notes.get("depends_on", "")))
    tasks = [f"{task.name.rpartition('.')[2]}{task.interface}" for task in tasks_of(env).values()]
    return Card(
        title=env.name,
        kind=type(env).__name__,
        strip=[f"declared at {env.place}", *(state or []), *(["out of date"] if outdated else [])],
        rows=rows,
        sections=[(title, bullet(lines)) for title, lines in (("tasks", tasks), ("out of date", outdated)) if lines],
    )


def _of_a_clone(env: Environment) -> list[Setting]:
    return settings_of(env) if env._origin is not None else []


def environments(registry: Registry, states: dict[str, list[str]] | None = None) -> View:
    """Show every environment alive, a line each."""
    states = states or {}
    rows = [
        (
            env.name,
            type(env).__name__.removesuffix("Environment").lower() or "environment",
            ", ".join(bullet((name.rpartition(".")[2] for name in tasks_of(env)), 4)) or "none",
            str(env.place),
            ", ".join(states.get(env.name, [])) or "declared",
        )
        for env in registry.values()
    ]
    if not rows:
        return Diff([("!", "no environment is declared yet", "declare one with  %%flyte my-env --cpu 1")])
    return Table(("environment", "kind", "tasks", "declared", "state"), rows)


def data(env: Environment, state: list[str], settings: bool = False) -> dict[str, Any]:
    """Give an environment as JSON data, its values masked and worded as on its card; ``settings`` adds these."""
    told = {name: told_setting(name, value) for name, value in set_fields(env) if name not in ("name", "depends_on")}
    return {
        "environment": env.name,
        "kind": type(env).__name__,
        "declared": str(env.place),
        "state": state,
        "depends_on": [needed.name for needed in env.depends_on],
        "tasks": {task.name: str(task.interface) for task in tasks_of(env).values()},
        **({"settings": told} if settings else {}),
    }


def changes(made: Changes, cards: bool = True) -> View:
    """Show what a cell added, changed field by field, and withdrew.

    Parameters
    ----------
    made : Changes
        What the registry gave for the cell.
    cards : bool
        Whether to add a card for each environment that was added or changed.
    """
    lines = [("!", notice, "") for notice in made.notices]
    lines += [("+", env.name, f"added {type(env).__name__}") for env in made.added]
    for change in made.changed:
        lines += _change(change)
    lines += [("-", env.name, "withdrawn: the cell no longer declares it") for env in made.withdrawn]
    if not lines:
        lines = [("=", env.name, "unchanged") for env in made.same]
    shown = [*made.added, *(change.env for change in made.changed)]
    views: list[View] = [Diff(lines)] if lines else []
    return Stack([*views, *(environment(env) for env in shown[:5])]) if cards else Stack(views)


def parts(change: Change) -> list[Change]:
    """Give the fields that changed within a declaration, such as the memory within resources."""
    before, after = change.before, change.after
    if not (isinstance(before, Declaration) and type(before) is type(after)):
        return [change]
    return [Change(f"{change.field}.{c.field}", c.before, c.after) for c in before.diff(after)] or [change]


def _change(change: EnvironmentChange) -> list[tuple[str, str, str]]:
    env = change.env
    fields = [
        ("~", f"{env.name}.{c.field}", f"changed: {mask(c.field, c.before)} → {mask(c.field, c.after)}")
        for field in change.fields
        for c in parts(field)
    ]
    added = [("+", name, "task added") for name in change.tasks_added]
    edited = [("~", name, "task changed") for name in change.tasks_changed]
    withdrawn = [("-", name, "task withdrawn") for name in change.tasks_withdrawn]
    return [*fields, *added, *edited, *withdrawn]
