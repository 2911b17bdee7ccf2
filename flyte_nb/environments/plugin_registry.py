"""TaskPluginRegistry: which class makes the tasks of an environment, by the type of its ``plugin_config``.

A plugin registers itself when its module is imported. An installed package names such a module, or a function that
registers, as an entry point of the group ``flyte_nb.plugins``; these are loaded when a type is asked for that nobody
knows, so that they cost nothing before.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate

__all__ = ["GROUP", "TaskPluginRegistry", "plugin_for"]

#: the group of entry points in which packages name their plugins
GROUP = "flyte_nb.plugins"
#: the plugins of this package by module: the class of the configuration, and the package and the extra that it needs
BUILT_IN = {"ray": ("RayJobConfig", "ray"), "spark": ("Spark", "pyspark"), "dask": ("Dask", "distributed")}
_logger = logging.getLogger("flyte")


class TaskPluginRegistry:
    """The task plugins known to this process.

    A plugin is a ``@dataclass(kw_only=True)`` subclass of `AsyncFunctionTaskTemplate` with a ``plugin_config``. It may
    set the class variable ``supports_reuse_policy``.
    """

    _plugins: dict[type, type[AsyncFunctionTaskTemplate]] = {}
    _looked = False

    @staticmethod
    def register(config_type: type, plugin: type[AsyncFunctionTaskTemplate]) -> None:
        """Make ``plugin`` the class of the tasks whose environment has a ``plugin_config`` of ``config_type``."""
        known = TaskPluginRegistry._plugins.get(config_type)
        if known is not None and (known.__module__, known.__qualname__) != (plugin.__module__, plugin.__qualname__):
            _logger.warning(
                "the plugin of %s was %s and is now %s", config_type.__name__, known.__name__, plugin.__name__
            )
        TaskPluginRegistry._plugins[config_type] = plugin

    @staticmethod
    def find(config_type: type) -> type[AsyncFunctionTaskTemplate] | None:
        """Give the plugin of a type, or of the nearest of its bases that has one.

        The entry points of installed packages are loaded for the first type that has none.
        """
        found = _known(config_type)
        if found is None and not TaskPluginRegistry._looked:
            TaskPluginRegistry._looked = True
            load_entry_points()
            found = _known(config_type)
        return found

    @staticmethod
    def list_plugins() -> list[type]:
        """List the types of configuration that have a plugin."""
        return list(TaskPluginRegistry._plugins)


def _known(config_type: type) -> type[AsyncFunctionTaskTemplate] | None:
    plugins = TaskPluginRegistry._plugins
    return next((plugins[t] for t in config_type.__mro__ if t in plugins), None)


def load_entry_points() -> None:
    """Load what installed packages name as their plugins; one that cannot be loaded is told of, and left out."""
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP):
        try:
            found = entry.load()
            if callable(found) and not isinstance(found, type):
                found()
        except (Exception, SystemExit) as error:  # a stranger's module
            told = f"{type(error).__name__}: {error}"
            _logger.warning("the plugin %r (%s) cannot be loaded and is skipped: %.300s", entry.name, entry.value, told)


def plugin_for(config: Any) -> type[AsyncFunctionTaskTemplate]:
    """Give the plugin for a configuration.

    Raises
    ------
    LookupError
        When there is none; the message names those there are.
    """
    plugin = TaskPluginRegistry.find(type(config))
    if plugin is None:
        raise LookupError(f"{_twin(type(config)) or _unknown(type(config))}; registered: {_names()}")
    return plugin


def _unknown(kind: type) -> str:
    return f"no plugin is registered for {kind.__name__}"


def _twin(kind: type) -> str:
    """Say what stands here for a class of the Flyte SDK's plugins; empty for any other class."""
    package, _, rest = kind.__module__.partition(".")
    name = rest.partition(".")[0]
    if package != "flyteplugins" or name not in BUILT_IN:
        return ""
    needed = BUILT_IN[name][1]
    extra = "" if find_spec(needed) else f", after: pip install 'flyte_nb[{name}]'"
    return (
        f"{kind.__name__} is the Flyte SDK's own; write  from flyte_nb.plugins.{name} import {kind.__name__}{extra}  "
        "in its place, and it is given to the SDK's on a cluster"
    )


def _names() -> str:
    """Name the types of configuration: those that are registered, and those of this package that can be imported."""
    known = {kind.__name__ for kind in TaskPluginRegistry.list_plugins()}
    own = [f"{config} (from flyte_nb.plugins.{module})" for module, (config, _) in BUILT_IN.items()]
    return ", ".join([*sorted(known - {config for config, _ in BUILT_IN.values()}), *own])
