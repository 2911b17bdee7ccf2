"""Flyte's execution environments, at home in a Jupyter notebook.

::

    import flyte_nb as flyte

    env = flyte.TaskEnvironment(name="my-env", resources=flyte.Resources(cpu=1, memory="1Gi"))

    @env.task
    def double(x: int) -> int:
        return 2 * x

    flyte.run(double, x=21).outputs()

The vocabulary is there at once; the verbs are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flyte_nb import errors
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.cache import Cache, CachePolicy, CacheRequest
from flyte_nb.environments.devices import AMD_GPU, APPLE_SILICON, GPU, HABANA_GAUDI, TPU, Device, DeviceClass, Neuron
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.image import Image
from flyte_nb.environments.links import Link
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.policies import Backoff, Documentation, RetryStrategy, ReusePolicy, Timeout, TimeoutType
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret, SecretRequest
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.environments.triggers import (
    Cron,
    FixedRate,
    OnArtifact,
    Trigger,
    TriggeredArtifact,
    TriggeredPartition,
    TriggerTime,
)
from flyte_nb.registry import process_registry

if TYPE_CHECKING:
    from flyte_nb import app
    from flyte_nb.session import current_registry
    from flyte_nb.verbs import deploy, deployed, run

__version__ = "0.1.0"

__all__ = [
    "AMD_GPU",
    "APPLE_SILICON",
    "GPU",
    "HABANA_GAUDI",
    "TPU",
    "AsyncFunctionTaskTemplate",
    "Backoff",
    "Cache",
    "CachePolicy",
    "CacheRequest",
    "Cron",
    "Device",
    "DeviceClass",
    "Documentation",
    "Environment",
    "FixedRate",
    "Image",
    "Link",
    "Neuron",
    "OnArtifact",
    "PodTemplate",
    "Resources",
    "RetryStrategy",
    "ReusePolicy",
    "Secret",
    "SecretRequest",
    "TaskEnvironment",
    "TaskTemplate",
    "Timeout",
    "TimeoutType",
    "Trigger",
    "TriggerTime",
    "TriggeredArtifact",
    "TriggeredPartition",
    "__version__",
    "app",
    "current_registry",
    "deploy",
    "deployed",
    "errors",
    "run",
    "version",
]

_LATER = {
    "app": "flyte_nb.app",
    "current_registry": "flyte_nb.session",
    "deploy": "flyte_nb.verbs",
    "deployed": "flyte_nb.verbs",
    "run": "flyte_nb.verbs",
}

listen(process_registry)


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; {errors.suggestion(name, __all__)}")
    module = import_module(_LATER[name])
    value = globals()[name] = module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def version() -> str:
    """Give the version of flyte_nb."""
    return __version__


def load_ipython_extension(shell: Any) -> None:
    """Add ``%%flyte`` and ``%flyte`` to a shell; IPython calls this for ``%load_ext flyte_nb``."""
    import_module("flyte_nb.magics").load(shell)
