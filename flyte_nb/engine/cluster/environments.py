"""Environments and their tasks as the Flyte SDK has them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flyte_nb.engine.cluster import apps, images, plugins, sdk, settings
from flyte_nb.engine.cluster.images import image_of
from flyte_nb.engine.cluster.kinds import KINDS, VALUES, Kind, lacks, made, same_value, translate
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.base import Environment
from flyte_nb.environments.clustered import ClusteredSettings, ClusteredTaskEnvironment
from flyte_nb.environments.container_task import ContainerTask
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeploymentError

__all__ = ["KINDS", "VALUES", "environments_as_sdk", "task_as_sdk"]

_KEPT = {
    "place": "the SDK finds the place of a declaration itself",
    "own_settings": "which level a setting comes from: the SDK keeps the setting alone",
    "override_settings": "which level a setting comes from: the SDK keeps the setting alone",
}


def environments_as_sdk(ordered: Iterable[Environment]) -> dict[str, Any]:
    """Give environments, with their tasks, as the SDK's objects by name.

    Parameters
    ----------
    ordered : iterable of Environment
        Each after those that it depends on, which have to be among them.

    Raises
    ------
    DeploymentError
        When the installed version cannot express one of them; the message names the field.
    """
    images.forget()
    done: dict[str, Any] = {}
    for env in ordered:
        done[env.name] = _environment(env, done)
    return done


def _environment(env: Environment, done: Mapping[str, Any]) -> Any:
    needed = [done[other.name] for other in env.depends_on]
    result = _unregistered(lambda: made(env, depends_on=needed))
    result._declaring_file = env.place.file
    if isinstance(env, TaskEnvironment):
        result._tasks.update({name: task_as_sdk(task, result) for name, task in env.tasks.items()})
    if isinstance(env, AppEnvironment):
        for hook in apps.HOOKS:
            function = getattr(env, hook)
            if getattr(function, "__self__", None) is not env:  # a method of its own class is one of the SDK's, too
                setattr(result, hook, function)
    return result


def _unregistered(make: Callable[[], Any]) -> Any:
    """Make an environment that the SDK does not list among those that were loaded: it is a translation of one."""
    known: list[Any] = sdk.find("flyte._environment.list_loaded_environments")()
    before = len(known)
    result = make()
    del known[before:]
    return result


def task_as_sdk(task: TaskTemplate, env: Any, func: Callable[..., Any] | None = None) -> Any:
    """Give a task as the SDK's object.

    Parameters
    ----------
    task : TaskTemplate
        The task, with its effective settings: those of its environment, the decorator and overrides.
    env : object
        The SDK's environment of it; None for none.
    func : callable, optional
        The function, in the place of the task's own.

    Raises
    ------
    DeploymentError
        When the installed version cannot express it; the message names the field.
    """
    given: dict[str, Any] = {"parent_env": None if env is None else weakref.ref(env)}
    if isinstance(task, AsyncFunctionTaskTemplate):
        given["func"] = func = func or task.func
        given["interface"] = sdk.find("flyte.models.NativeInterface").from_callable(func)
    return made(task, **given)


def _plugin_config(task: AsyncFunctionTaskTemplate) -> Any:
    """Give the configuration of a plugin: this package's own translated, another one as it is."""
    config = task.plugin_config
    return _clustered(config) if isinstance(config, ClusteredSettings) else _own(config)


def _own(config: Any) -> Any:
    return translate(config) if type(config) in KINDS else config


def _clustered(config: ClusteredSettings) -> Any:
    plugin = sdk.find("flyte.clustered._task._ClusteredPlugin")
    return plugin(settings=made(config)) if "settings" in sdk.accepted(plugin) else plugin()


def _function_task(task: AsyncFunctionTaskTemplate, arguments: dict[str, Any]) -> Any:
    """Make a task of a function: of the SDK's own plugin where it has a configuration."""
    config = arguments.get("plugin_config")
    if config is None:
        return sdk.find("flyte._task.AsyncFunctionTaskTemplate")(**arguments)
    plugin = sdk.find("flyte.extend.TaskPluginRegistry").find(type(config))
    if plugin is None:
        raise DeploymentError(
            f"TaskEnvironment.plugin_config of {task.parent_env_name!r}: given {type(config).__name__}; the Flyte SDK "
            f"{sdk.version()} has no plugin for it. Install the SDK's plugin and declare with its class"
        )
    kept = {name: value for name, value in arguments.items() if not _is_class_default(task, name)}
    return plugin(**kept)


def _is_class_default(task: TaskTemplate, name: str) -> bool:
    """Tell whether a field says what kind of task it is, which the SDK's own class says."""
    return name in ("task_type", "task_type_version", "debuggable") and name not in task.own_settings


def _env_plugin_config(env: TaskEnvironment) -> Any:
    config = _own(env.plugin_config)
    if config is not None and sdk.find("flyte.extend.TaskPluginRegistry").find(type(config)) is None:
        raise lacks(env, "plugin_config", f"plugin for {type(config).__name__}")
    return config


_CLUSTERED = "made by the SDK of its replicas, processes, runtime and policy"

_KINDS = (
    Kind(TaskEnvironment, "flyte.TaskEnvironment", values={"image": image_of, "plugin_config": _env_plugin_config}),
    Kind(
        ClusteredTaskEnvironment,
        "flyte.clustered.ClusteredTaskEnvironment",
        instead={"plugin_config": _CLUSTERED},
        values={"image": image_of},
    ),
    Kind(ClusteredSettings, "flyte.clustered._environment.ClusteredSettings"),
    Kind(
        AsyncFunctionTaskTemplate,
        "flyte._task.AsyncFunctionTaskTemplate",
        instead=_KEPT,
        values={"image": image_of, "plugin_config": _plugin_config, "task_resolver": same_value("task_resolver")},
        make=_function_task,
    ),
    Kind(
        ContainerTask,
        "flyte.extras.ContainerTask",
        instead={**_KEPT, "task_type": "the SDK's class says it"},
        values={"image": image_of},
    ),
)
KINDS.update({kind.declared: kind for kind in (*settings.KINDS, *images.KINDS, *apps.KINDS, *plugins.KINDS, *_KINDS)})
VALUES.update(settings.VALUES)
