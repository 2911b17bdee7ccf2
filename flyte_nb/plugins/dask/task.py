"""The tasks of an environment with a `Dask` configuration."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.plugin_registry import TaskPluginRegistry
from flyte_nb.environments.resources import Resources
from flyte_nb.plugins.dask.config import Dask
from flyte_nb.plugins.dask.shape import together

__all__ = ["DaskTask"]

OF_WORKER = 128  # processes and threads, above what was seen


@dataclass(kw_only=True, repr=False)
class DaskTask(AsyncFunctionTaskTemplate):
    """A task with a Dask cluster around it; the task itself is the client."""

    plugin_config: Dask
    task_type: str = "dask"

    def local_resources(self) -> Resources | None:
        """Give what a run takes of this machine: that of the task, and that of each worker."""
        return together(self.plugin_config, self.resources)

    def local_processes(self) -> int:
        """Give how many processes and threads the workers may have."""
        return OF_WORKER * (self.plugin_config.workers.number_of_workers or 1)

    def around(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Give the cluster, which is ended however the task ends."""
        from flyte_nb.plugins.dask.cluster import cluster  # what a kernel that only declares never needs

        return cluster(self.plugin_config, self.resources, self.name)


TaskPluginRegistry.register(Dask, DaskTask)
