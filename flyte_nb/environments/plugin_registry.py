"""TaskPluginRegistry: which class makes the tasks of an environment, by the type of its ``plugin_config``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate

__all__ = ["TaskPluginRegistry"]


class TaskPluginRegistry:
    """The task plugins known to this process.

    A plugin is a ``@dataclass(kw_only=True)`` subclass of `AsyncFunctionTaskTemplate` with a ``plugin_config``. It may
    set the class variable ``supports_reuse_policy``.
    """

    _plugins: dict[type, type[AsyncFunctionTaskTemplate]] = {}

    @staticmethod
    def register(config_type: type, plugin: type[AsyncFunctionTaskTemplate]) -> None:
        """Make ``plugin`` the class of the tasks whose environment has a ``plugin_config`` of ``config_type``."""
        known = TaskPluginRegistry._plugins.get(config_type)
        if known is not None and (known.__module__, known.__qualname__) != (plugin.__module__, plugin.__qualname__):
            logging.getLogger("flyte").warning(
                "the plugin of %s was %s and is now %s", config_type.__name__, known.__name__, plugin.__name__
            )
        TaskPluginRegistry._plugins[config_type] = plugin

    @staticmethod
    def find(config_type: type) -> type[AsyncFunctionTaskTemplate] | None:
        """Give the plugin of a type, or of the nearest of its bases that has one."""
        return next(
            (TaskPluginRegistry._plugins[t] for t in config_type.__mro__ if t in TaskPluginRegistry._plugins), None
        )

    @staticmethod
    def list_plugins() -> list[type]:
        """List the types of configuration that have a plugin."""
        return list(TaskPluginRegistry._plugins)


def plugin_for(config: Any) -> type[AsyncFunctionTaskTemplate]:
    """Give the plugin for a configuration.

    Raises
    ------
    LookupError
        When there is none; the message names those there are.
    """
    plugin = TaskPluginRegistry.find(type(config))
    if plugin is None:
        known = ", ".join(sorted(t.__name__ for t in TaskPluginRegistry.list_plugins())) or "none"
        raise LookupError(f"no plugin is registered for {type(config).__name__}; registered: {known}")
    return plugin
