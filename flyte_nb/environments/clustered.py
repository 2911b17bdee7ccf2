"""ClusteredTaskEnvironment: tasks that run as several processes on several machines of a cluster, together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from flyte_nb.environments.declaration import Check, Declaration, refuse
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.plugin_registry import TaskPluginRegistry
from flyte_nb.environments.task import TaskEnvironment

__all__ = [
    "ClusterFailurePolicy",
    "ClusteredSettings",
    "ClusteredTaskEnvironment",
    "ClusteredTaskTemplate",
    "JaxRun",
    "Runtime",
    "TorchRun",
]


def _at_least(least: int) -> Any:
    def check(value: int | None) -> int | None:
        if value is not None and value < least:
            raise ValueError("it is less than 1" if least else "it is negative")
        return value

    return check


Count = Annotated[int, Check(_at_least(1), "a whole number, at least 1", schema={"minimum": 1})]
Restarts = Annotated[int, Check(_at_least(0), "a whole number, at least 0", schema={"minimum": 0})]


@dataclass(frozen=True, kw_only=True, repr=False)
class TorchRun(Declaration):
    """Start the processes of a machine with ``torchrun``.

    Parameters
    ----------
    rdzv_backend : {"static", "c10d"}
        How the processes find each other: once and for all, or anew after a failure.
    max_restarts : int
        How often ``torchrun`` starts the processes of a machine again.
    """

    rdzv_backend: Literal["static", "c10d"] = "static"
    max_restarts: Restarts = 0


@dataclass(frozen=True, kw_only=True, repr=False)
class JaxRun(Declaration):
    """Start one process on each machine, which owns all of its devices; it calls `flyte.clustered.jax_initialize`."""


Runtime = TorchRun | JaxRun


@dataclass(frozen=True, kw_only=True, repr=False)
class ClusterFailurePolicy(Declaration):
    """What happens to all processes when one of them fails.

    Parameters
    ----------
    max_restarts : int
        How often all of them are started again before the attempt has failed.
    restart_on_host_maintenance : bool
        Start again without counting when a machine is taken away for maintenance.
    """

    max_restarts: Restarts = 0
    restart_on_host_maintenance: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class ClusteredSettings(Declaration):
    """What a clustered task knows of its environment; it travels with the task."""

    replicas: int
    nproc_per_node: int
    runtime: Runtime
    interconnect: str
    failure_policy: ClusterFailurePolicy
    ttl_seconds_after_finished: int | None = None

    def to_custom_dict(self) -> dict[str, Any]:
        """Give the settings in the form in which a cluster reads them; what is at its default is left out."""
        policy, ttl = self.failure_policy, self.ttl_seconds_after_finished
        failures = {
            "maxRestarts": policy.max_restarts,
            "restartOnHostMaintenance": policy.restart_on_host_maintenance,
        }
        return {
            "replicas": self.replicas,
            "nprocPerNode": self.nproc_per_node,
            **({"runtime": {"torchrun": _torchrun(self.runtime)}} if isinstance(self.runtime, TorchRun) else {}),
            "failurePolicy": {name: value for name, value in failures.items() if value},
            **({} if ttl is None else {"ttlSecondsAfterFinished": ttl}),
        }


def _torchrun(runtime: TorchRun) -> dict[str, Any]:
    backend = {} if runtime.rdzv_backend == "static" else {"rdzvBackend": runtime.rdzv_backend.upper()}
    return {**backend, **({"maxRestarts": runtime.max_restarts} if runtime.max_restarts else {})}


@dataclass(kw_only=True, repr=False)
class ClusteredTaskTemplate(AsyncFunctionTaskTemplate):
    """A task of a `ClusteredTaskEnvironment`."""

    plugin_config: ClusteredSettings
    task_type: str = "clustered-task"
    task_type_version: int = 1

    def custom_config(self, sctx: Any) -> dict[str, Any]:
        """Give the environment's settings in the form in which a cluster reads them."""
        return self.plugin_config.to_custom_dict()

    def container_args(self, serialize_context: Any) -> list[str]:
        """Give the words with which the container starts: a launcher, which starts the task's processes."""
        launcher = ["clustered"] if isinstance(self.plugin_config.runtime, TorchRun) else ["clustered", "--runtime=jax"]
        return [*launcher, *super().container_args(serialize_context)[1:]]


TaskPluginRegistry.register(ClusteredSettings, ClusteredTaskTemplate)


@dataclass(kw_only=True, repr=False)
class ClusteredTaskEnvironment(TaskEnvironment):
    """The infrastructure of tasks that run as several processes on several machines of a cluster.

    Parameters
    ----------
    replicas : int
        How many machines; at least 1.
    nproc_per_node : int
        How many processes on each; at least 1, no more than the GPUs that ``resources`` asks for.
    runtime : TorchRun or JaxRun
        What starts the processes. `JaxRun` starts one on each machine.
    interconnect : {"tcp"}
        The network between the machines.
    failure_policy : ClusterFailurePolicy
        What happens when one of the processes fails.
    ttl_seconds_after_finished : int, optional
        How long what ran is kept in the cluster, in seconds.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts, or they do not fit each other; nothing is registered then. Such an
        environment is never reusable.

    Notes
    -----
    On this machine a task of it runs as one process: ``flyte.ctx()`` has no rank there.

    See Also
    --------
    TaskEnvironment : every other setting.
    """

    replicas: Count
    nproc_per_node: Count
    runtime: Runtime = field(default_factory=TorchRun)
    interconnect: Literal["tcp"] = "tcp"
    failure_policy: ClusterFailurePolicy = field(default_factory=ClusterFailurePolicy)
    ttl_seconds_after_finished: Annotated[
        int | None, Check(_at_least(0), "whole seconds, at least 0, or None", schema={"minimum": 0})
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reusable is not None:
            raise refuse(self, "reusable", self.reusable, "None", "its processes are started for each task")
        if self.plugin_config is not None and not isinstance(self.plugin_config, ClusteredSettings):
            raise refuse(self, "plugin_config", self.plugin_config, "None", "its tasks are clustered ones")
        self._check_processes()
        names = ClusteredSettings.__dataclass_fields__
        self.plugin_config = ClusteredSettings(**{name: getattr(self, name) for name in names})

    def _check_processes(self) -> None:
        device = self.resources.get_device() if self.resources is not None else None
        if device is not None and device.quantity < self.nproc_per_node:
            accepted = f"1 to {device.quantity}, as many as there are GPUs on a machine"
            raise refuse(self, "nproc_per_node", self.nproc_per_node, accepted)
        if isinstance(self.runtime, JaxRun) and self.nproc_per_node != 1:
            raise refuse(self, "nproc_per_node", self.nproc_per_node, "1, with JaxRun",
                         "one process owns all devices of a machine")  # fmt: skip

    def to_custom_dict(self) -> dict[str, Any]:
        """Give the settings in the form in which a cluster reads them."""
        settings: Any = self.plugin_config
        return dict(settings.to_custom_dict())
