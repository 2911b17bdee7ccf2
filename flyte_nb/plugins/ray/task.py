"""The tasks of an environment with a `RayJobConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from flyte_nb.environments.declaration import refuse
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.plugin_registry import TaskPluginRegistry
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.resources import Resources
from flyte_nb.plugins.ray.config import RayJobConfig
from flyte_nb.plugins.ray.connecting import connected, is_elsewhere
from flyte_nb.plugins.ray.shape import declared, total

__all__ = ["RayFunctionTask"]

OF_NODE, OF_CORE = 1024, 256  # processes and threads, above what was seen


@dataclass(kw_only=True, repr=False)
class RayFunctionTask(AsyncFunctionTaskTemplate):
    """A task with a Ray cluster around it; the task itself is the driver, which ``ray.get`` and its like work in."""

    plugin_config: RayJobConfig
    task_type: str = "ray"
    supports_reuse_policy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reusable is not None and (why := self.refused_reuse(self.plugin_config, self.reusable)):
            raise refuse(self, "reusable", self.reusable, "ReusePolicy(1), or None", why)

    @classmethod
    def refused_reuse(cls, config: Any, policy: ReusePolicy) -> str:
        """Say why a policy cannot be had: there is one cluster, which one task at a time has, and which stays."""
        if policy.max_replicas != 1:
            return f"there is one Ray cluster to share, not {policy.max_replicas}: write ReusePolicy(1)"
        if policy.concurrency != 1:
            return f"one task at a time has the Ray cluster, not {policy.concurrency}: leave concurrency at 1"
        if config.shutdown_after_job_finishes:
            return "a Ray cluster that is shared outlives its tasks: leave out shutdown_after_job_finishes"
        if config.ttl_seconds_after_finished is not None:
            return "idle_ttl of the policy says when it goes: leave out ttl_seconds_after_finished"
        return ""

    def local_resources(self) -> Resources | None:
        """Give what all nodes of the cluster ask for together; the task's own where it joins another cluster."""
        if is_elsewhere(self.plugin_config):
            return self.resources
        return total(declared(self.plugin_config, self.resources))

    def local_processes(self) -> int:
        """Give what the nodes start: of each its own processes, and of each core Ray's workers, with their threads."""
        if is_elsewhere(self.plugin_config):
            return 0
        nodes = declared(self.plugin_config, self.resources)
        return OF_NODE * len(nodes) + OF_CORE * sum(node.cpus for node in nodes)

    def around(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Give the connection to the Ray cluster, which is started for it unless it runs already."""
        return connected(self.plugin_config, self.resources, warm=self.reusable is not None)


TaskPluginRegistry.register(RayJobConfig, RayFunctionTask)
