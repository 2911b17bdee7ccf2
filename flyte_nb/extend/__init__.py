"""What plugins build on."""

from __future__ import annotations

import importlib.util as _importing
import sys as _sys
from types import ModuleType as _Module
from typing import Any as _Any

from flyte_nb.context.settings import is_initialized
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.image import Architecture
from flyte_nb.environments.plugin_registry import TaskPluginRegistry
from flyte_nb.environments.pod_spec import pod_spec_from_resources
from flyte_nb.environments.proto_resources import get_proto_extended_resources, get_proto_resources
from flyte_nb.environments.runtime_task import RuntimeTaskTemplate
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.extend.code_bundles import download_code_bundle
from flyte_nb.extend.deployers import (
    DeployedEnvironment,
    Deployer,
    DeploymentContext,
    get_deployer,
    register_deployer,
)
from flyte_nb.extend.image_builders import ImageBuildEngine, ImageBuilder, ImageChecker

__all__ = [
    "PRIMARY_CONTAINER_DEFAULT_NAME",
    "Architecture",
    "AsyncFunctionTaskTemplate",
    "DeployedEnvironment",
    "Deployer",
    "DeploymentContext",
    "ImageBuildEngine",
    "ImageBuilder",
    "ImageChecker",
    "RuntimeTaskTemplate",
    "TaskPluginRegistry",
    "TaskTemplate",
    "download_code_bundle",
    "get_deployer",
    "get_proto_extended_resources",
    "get_proto_resources",
    "is_initialized",
    "lazy_module",
    "pod_spec_from_resources",
    "register_deployer",
]

PRIMARY_CONTAINER_DEFAULT_NAME = "primary"


class _MissingModule(_Module):
    """Stands for a module that is not installed, until something of it is used."""

    def __getattr__(self, name: str) -> _Any:
        raise ModuleNotFoundError(f"No module named {self.__name__!r}, which {name!r} is asked of", name=self.__name__)


def lazy_module(fullname: str) -> _Module:
    """Give a module that is imported when an attribute of it is first asked for.

    A module that is not installed is given too; asking it for anything raises a ``ModuleNotFoundError``.
    """
    if fullname in _sys.modules:
        return _sys.modules[fullname]
    spec = _importing.find_spec(fullname)
    if spec is None or spec.loader is None:
        return _MissingModule(fullname)
    spec.loader = _importing.LazyLoader(spec.loader)
    module = _sys.modules[fullname] = _importing.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
