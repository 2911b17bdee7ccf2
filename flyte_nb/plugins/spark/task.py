"""The tasks of an environment with a `Spark` configuration."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.plugin_registry import TaskPluginRegistry
from flyte_nb.plugins.spark.config import Spark

__all__ = ["PysparkFunctionTask"]

OF_SESSION = 1024  # processes and threads, above what was seen


@dataclass(kw_only=True, repr=False)
class PysparkFunctionTask(AsyncFunctionTaskTemplate):
    """A task with a Spark session around it; the task itself is the driver."""

    plugin_config: Spark
    task_type: str = "spark"

    def local_processes(self) -> int:
        """Give how many processes and threads Java may have, and the Pythons of the executors."""
        return OF_SESSION

    def around(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Give the session, which is ended however the task ends."""
        from flyte_nb.plugins.spark.session import session  # what a kernel that only declares never needs

        return session(self.plugin_config, self.resources, self.name)


TaskPluginRegistry.register(Spark, PysparkFunctionTask)
