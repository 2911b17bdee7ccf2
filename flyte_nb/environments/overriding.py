"""Overriding: the third level of a task's settings, given for the calls made of one copy of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from flyte_nb.environments.declaration import refuse
from flyte_nb.environments.plugin_registry import plugin_for

if TYPE_CHECKING:
    from flyte_nb.environments.template import TaskTemplate

_Task = TypeVar("_Task", bound="TaskTemplate")

#: settings that a task takes from its environment when it has none of its own
INHERITED = frozenset(
    [
        "image",
        "resources",
        "cache",
        "interruptible",
        "reusable",
        "env_vars",
        "secrets",
        "service_account",
        "pod_template",
        "queue",
        "plugin_config",
    ]
)
#: everything that people set, for the list of effective settings
SETTINGS = INHERITED | frozenset(
    [
        "short_name",
        "retries",
        "timeout",
        "docs",
        "report",
        "entrypoint",
        "produces_artifacts",
        "max_inline_io_bytes",
        "triggers",
        "links",
    ]
)
_FIXED = ("name", "image", "docs", "interface")
_STARTED_WITH = ("resources", "env_vars", "secrets", "service_account", "pod_template")


def overridden(task: _Task, given: dict[str, Any]) -> _Task:
    """Give a copy of a task with some settings replaced.

    Raises
    ------
    DeclarationError
        For what may not be overridden, or not while the task is reusable.
    TypeError
        For an unknown setting.
    """
    for name in _FIXED:
        if name in given:
            raise refuse(
                task, f"override({name}=)", given[name], "settings of one call", "declare another task for that"
            )
    fields = {f.name for f in dataclasses.fields(task)}
    unknown = sorted(set(given) - fields)
    if unknown:
        raise TypeError(
            f"override() got an unexpected keyword argument {unknown[0]!r}; accepted: {', '.join(sorted(SETTINGS))}"
        )
    changes = {**given, "reusable": None if given.get("reusable") == "off" else given.get("reusable", task.reusable)}
    if changes["reusable"] is not None:
        refuse_started(task, given)
        refuse_sharing(task, changes["reusable"])
    changes["override_settings"] = task.override_settings | (set(given) & SETTINGS)
    if given.get("plugin_config") is not None:
        return _as_plugin(task, changes)
    return dataclasses.replace(task, **changes)


def refuse_started(task: TaskTemplate, given: dict[str, Any]) -> None:
    """Refuse what workers that are kept warm were started with.

    Raises
    ------
    DeclarationValueError
        For the first such setting.
    """
    for name in _STARTED_WITH:
        if name in given:
            raise refuse(task, f"override({name}=)", given[name], 'override(reusable="off", …) beside it',
                         "the workers of a reusable environment are started with it")  # fmt: skip


def refuse_sharing(task: TaskTemplate, reusable: Any) -> None:
    """Refuse concurrency for a sync function, as the decorator does.

    Raises
    ------
    DeclarationValueError
        When the policy lets calls share a worker.
    """
    if task._call_as_synchronous and getattr(reusable, "concurrency", 1) > 1:
        raise refuse(task, "override(reusable=)", reusable, "an async function, or a reuse policy with concurrency 1",
                     "a sync function cannot share its worker with other calls")  # fmt: skip


def _as_plugin(task: _Task, changes: dict[str, Any]) -> _Task:
    """Make the copy an instance of the plugin's class; what is at the old class's default takes the plugin's."""
    try:
        plugin: Any = plugin_for(changes["plugin_config"])
    except LookupError as error:
        raise refuse(
            task, "override(plugin_config=)", changes["plugin_config"], "a registered plugin's", str(error)
        ) from None
    defaults = {f.name: f.default for f in dataclasses.fields(task)}
    values: dict[str, Any] = {}
    for f in dataclasses.fields(plugin):
        if f.init and f.name in defaults:
            value = getattr(task, f.name)
            kept = value is not defaults[f.name] and value != defaults[f.name]
            if kept or f.default is dataclasses.MISSING or f.default == defaults[f.name]:
                values[f.name] = value
    return plugin(**{**values, **changes})  # type: ignore[no-any-return]
