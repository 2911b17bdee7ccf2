"""Tasks that run as several processes on several machines of a cluster, together."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flyte_nb.context.task_context import ctx
from flyte_nb.environments.clustered import (
    ClusteredTaskEnvironment,
    ClusteredTaskTemplate,
    ClusterFailurePolicy,
    JaxRun,
    Runtime,
    TorchRun,
)
from flyte_nb.errors import InitializationError

__all__ = [
    "ClusterFailurePolicy",
    "ClusteredTaskEnvironment",
    "ClusteredTaskTemplate",
    "JaxRun",
    "Runtime",
    "TorchRun",
    "jax_initialize",
]


def jax_initialize(**overrides: Any) -> None:
    """Connect JAX with the other processes of a clustered task; a second call does nothing.

    Parameters
    ----------
    **overrides
        Arguments of ``jax.distributed.initialize``, in the place of those that the cluster gives.

    Raises
    ------
    InitializationError
        When this process is not one of a task with a `JaxRun` in a cluster.
    """
    here = ctx()
    if None in (here.rank, here.world_size, here.master_addr, here.master_port):
        raise InitializationError(
            "NotClustered",
            "user",
            "jax_initialize() needs the other processes of a clustered task, and this process has none; "
            "it is called in a task of a ClusteredTaskEnvironment(runtime=JaxRun()) in a cluster",
        )
    distributed = import_module("jax").distributed
    if getattr(distributed, "is_initialized", lambda: False)():
        return
    told = {
        "coordinator_address": f"{here.master_addr}:{here.master_port}",
        "num_processes": here.world_size,
        "process_id": here.rank,
        "cluster_detection_method": "deactivate",  # JAX's own detection asks the cluster, which is not allowed to
    }
    distributed.initialize(**{**told, **overrides})
