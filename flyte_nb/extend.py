"""What plugins build on."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from flyte_nb.context.settings import is_initialized
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.image import Architecture
from flyte_nb.environments.plugin_registry import TaskPluginRegistry
from flyte_nb.environments.pod_spec import pod_spec_from_resources
from flyte_nb.environments.template import TaskTemplate

__all__ = [
    "PRIMARY_CONTAINER_DEFAULT_NAME",
    "Architecture",
    "AsyncFunctionTaskTemplate",
    "TaskPluginRegistry",
    "TaskTemplate",
    "is_initialized",
    "lazy_module",
    "pod_spec_from_resources",
]

PRIMARY_CONTAINER_DEFAULT_NAME = "primary"


def lazy_module(module_name: str) -> ModuleType:
    """Give a module that is imported when an attribute of it is first asked for.

    Raises
    ------
    ModuleNotFoundError
        When there is no such module.
    """
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.find_spec(module_name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {module_name!r}", name=module_name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
