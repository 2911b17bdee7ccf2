"""Flyte's execution environments, at home in a Jupyter notebook.

::

    import flyte_nb as flyte

    env = flyte.TaskEnvironment(name="my-env", resources=flyte.Resources(cpu=1, memory="1Gi"))

    @env.task
    def double(x: int) -> int:
        return 2 * x

    flyte.run(double, x=21).outputs()

The vocabulary is there at once; the verbs and the namespaces (``flyte.app``, ``flyte.io`` …) are loaded when they are
first used.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flyte_nb import errors
from flyte_nb.environments import place
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.cache import Cache, CachePolicy, CacheRequest
from flyte_nb.environments.devices import (
    AMD_GPU,
    APPLE_SILICON,
    GPU,
    HABANA_GAUDI,
    TPU,
    Device,
    DeviceClass,
    Neuron,
)
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.image import Image, ImageBuild
from flyte_nb.environments.links import Link
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.policies import Backoff, Documentation, RetryStrategy, ReusePolicy, Timeout, TimeoutType
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret, SecretRequest
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.registry import process_registry

if TYPE_CHECKING:
    from flyte_nb import (
        app,
        clustered,
        config,
        connectors,
        durable,
        extend,
        extras,
        io,
        models,
        notify,
        report,
        storage,
        syncify,
        types,
    )
    from flyte_nb.app.handle import AppHandle
    from flyte_nb.browsing import browse
    from flyte_nb.cloning import compare_clones, preview_clone
    from flyte_nb.context.scopes import custom_context, get_custom_context, group
    from flyte_nb.context.settings import current_domain, current_project, is_control_plane_available
    from flyte_nb.context.task_context import ctx
    from flyte_nb.context.trace import trace
    from flyte_nb.deployed_tasks import deployed
    from flyte_nb.deploying import deploy, deployments, prune, rollback
    from flyte_nb.drafting import draft
    from flyte_nb.editing import edit
    from flyte_nb.environments.triggers import (
        Cron,
        FixedRate,
        OnArtifact,
        Trigger,
        TriggeredArtifact,
        TriggeredPartition,
        TriggerTime,
    )
    from flyte_nb.initialize import init, init_from_api_key, init_from_config, init_in_cluster, init_passthrough
    from flyte_nb.mapping import map
    from flyte_nb.planning import plan
    from flyte_nb.run_context import with_runcontext
    from flyte_nb.session import current_registry
    from flyte_nb.translating import to_flyte
    from flyte_nb.verbs import export, rerun, run
    from flyte_nb.watching import watch

__version__ = "0.1.0"

#: for the code of tasks and notebooks
logger = logging.getLogger("flyte.user")
#: what flyte_nb itself logs to
system_logger = logging.getLogger("flyte")

__all__ = [  # noqa: RUF022 - in the order of sorted()
    "AMD_GPU",
    "APPLE_SILICON",
    "AppHandle",
    "AsyncFunctionTaskTemplate",
    "Backoff",
    "BaseCheckpoint",
    "Cache",
    "CachePolicy",
    "CacheRequest",
    "Checkpoint",
    "ConditionWebhook",
    "Cron",
    "Device",
    "DeviceClass",
    "Documentation",
    "Environment",
    "FixedRate",
    "GPU",
    "HABANA_GAUDI",
    "Image",
    "ImageBuild",
    "Link",
    "Neuron",
    "OnArtifact",
    "PodTemplate",
    "Resources",
    "RetryStrategy",
    "ReusePolicy",
    "Secret",
    "SecretRequest",
    "TPU",
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
    "browse",
    "build",
    "build_images",
    "clustered",
    "compare_clones",
    "config",
    "connectors",
    "ctx",
    "current_domain",
    "current_project",
    "current_registry",
    "custom_context",
    "deploy",
    "deployed",
    "deployments",
    "draft",
    "durable",
    "edit",
    "errors",
    "export",
    "extend",
    "extras",
    "get_custom_context",
    "group",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
    "io",
    "is_control_plane_available",
    "latest_checkpoint",
    "load_interactive_ctx",
    "load_plugin_config",
    "logger",
    "map",
    "models",
    "new_condition",
    "notify",
    "plan",
    "preview_clone",
    "prune",
    "report",
    "rerun",
    "rollback",
    "run",
    "run_python_script",
    "serve",
    "storage",
    "syncify",
    "system_logger",
    "to_flyte",
    "trace",
    "types",
    "version",
    "watch",
    "with_runcontext",
    "with_servecontext",
]

_NAMESPACES = (
    "app",
    "clustered",
    "config",
    "connectors",
    "durable",
    "extend",
    "extras",
    "io",
    "models",
    "notify",
    "report",
    "storage",
    "syncify",
    "types",
)
_MISSING = ("artifacts", "git", "prefetch", "remote", "sandbox")
_LATER = {
    "AppHandle": "flyte_nb.app.handle",
    "browse": "flyte_nb.browsing",
    "ctx": "flyte_nb.context.task_context",
    "compare_clones": "flyte_nb.cloning",
    "current_domain": "flyte_nb.context.settings",
    "current_project": "flyte_nb.context.settings",
    "Cron": "flyte_nb.environments.triggers",
    "FixedRate": "flyte_nb.environments.triggers",
    "OnArtifact": "flyte_nb.environments.triggers",
    "Trigger": "flyte_nb.environments.triggers",
    "TriggeredArtifact": "flyte_nb.environments.triggers",
    "TriggeredPartition": "flyte_nb.environments.triggers",
    "TriggerTime": "flyte_nb.environments.triggers",
    "current_registry": "flyte_nb.session",
    "custom_context": "flyte_nb.context.scopes",
    "deploy": "flyte_nb.deploying",
    "deployed": "flyte_nb.deployed_tasks",
    "deployments": "flyte_nb.deploying",
    "draft": "flyte_nb.drafting",
    "edit": "flyte_nb.editing",
    "export": "flyte_nb.verbs",
    "get_custom_context": "flyte_nb.context.scopes",
    "group": "flyte_nb.context.scopes",
    "init": "flyte_nb.initialize",
    "init_from_api_key": "flyte_nb.initialize",
    "init_from_config": "flyte_nb.initialize",
    "init_in_cluster": "flyte_nb.initialize",
    "init_passthrough": "flyte_nb.initialize",
    "is_control_plane_available": "flyte_nb.context.settings",
    "map": "flyte_nb.mapping",
    "plan": "flyte_nb.planning",
    "preview_clone": "flyte_nb.cloning",
    "prune": "flyte_nb.deploying",
    "rerun": "flyte_nb.verbs",
    "rollback": "flyte_nb.deploying",
    "run": "flyte_nb.verbs",
    "to_flyte": "flyte_nb.translating",
    "trace": "flyte_nb.context.trace",
    "serve": "flyte_nb.serving",
    "watch": "flyte_nb.watching",
    "with_runcontext": "flyte_nb.run_context",
    "with_servecontext": "flyte_nb.serving",
    **dict.fromkeys(
        (
            "BaseCheckpoint",
            "Checkpoint",
            "ConditionWebhook",
            "build",
            "build_images",
            "latest_checkpoint",
            "load_interactive_ctx",
            "load_plugin_config",
            "new_condition",
            "run_python_script",
        ),
        "flyte_nb.absent",
    ),
}

import_module(f"{__name__}.plan")  # the package: loaded now, so that it does not take the place of the verb later
globals().pop("plan", None)

listen(process_registry)
place.module_file = lambda env: str(import_module("flyte_nb.session").current_session().shipping.module_file(env))


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return import_module(f"{__name__}.{name}")
    if name in _MISSING:
        return import_module(f"{__name__}.absent").namespace(name)
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
