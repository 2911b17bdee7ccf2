"""What a Ray cluster is: its head, its groups of workers, how it grows, how it is joined."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, WrongType, as_list, refuse
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.quantity import Quantity
from flyte_nb.environments.resources import Resources

__all__ = [
    "AMOUNTS",
    "AutoscalerOptionsConfig",
    "HeadNodeConfig",
    "RayJobConfig",
    "WorkerNodeConfig",
    "custom_resources",
]

_LABEL = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_OPTION = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_ADDRESS = re.compile(r"auto|local|(ray://)?(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):([0-9]{1,5})")
#: options of ``ray start`` that are amounts
AMOUNTS = ("num-cpus", "num-gpus", "memory", "object-store-memory")
_MODES = ("UNSPECIFIED", "DEFAULT", "AGGRESSIVE", "CONSERVATIVE")


def _at_least(least: int) -> Any:
    def check(value: int | None) -> int | None:
        if value is not None and value < least:
            raise ValueError(f"it is less than {least}")
        return value

    return check


def _group(value: str) -> str:
    if not _LABEL.fullmatch(value):
        raise ValueError("it is not a Kubernetes label")
    return value


def _options(value: dict[str, str] | None) -> dict[str, str] | None:
    for name in value or ():
        if not _OPTION.fullmatch(name):
            raise ValueError(f"{name!r} is no option of ray start; write it without dashes before it")
        if name.replace("_", "-") in AMOUNTS:
            Quantity.parse((value or {})[name])
    custom_resources(value or {})
    return value


def custom_resources(options: Mapping[str, str]) -> dict[str, float]:
    """Read the resources of one's own names in options; quoted once more, as for a shell, they are the same.

    Raises
    ------
    ValueError
        When they are no JSON object of numbers.
    """
    try:
        found = json.loads(options.get("resources", "{}"))
        found = json.loads(found) if isinstance(found, str) else found
        return {str(name): float(amount) for name, amount in found.items()}
    except (AttributeError, TypeError, ValueError):
        raise ValueError("resources is no JSON object of numbers, such as '{\"fast\": 1}'") from None


def _mode(value: str | None) -> str | None:
    if value is not None and value.removeprefix("UPSCALING_MODE_") not in _MODES:
        raise ValueError("there is no such mode")
    return value


def _runtime_env(value: dict[str, Any] | None) -> dict[str, Any] | None:
    try:
        json.dumps(value)
    except TypeError as error:
        raise WrongType(str(error)) from None
    return value


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    found = _ADDRESS.fullmatch(value)
    if found is None or (found[3] is not None and not 0 < int(found[3]) < 65536):
        raise ValueError("it is no address of a Ray cluster")
    return value


Count = Annotated[int, Check(_at_least(0), "a whole number, at least 0", schema={"minimum": 0})]
Bound = Annotated[int | None, Check(_at_least(0), "a whole number, at least 0, or None", schema={"minimum": 0})]
Seconds = Annotated[int | None, Check(_at_least(0), "whole seconds, at least 0, or None", schema={"minimum": 0})]
Options = Annotated[
    dict[str, str] | None, Check(_options, "options of ray start by name, such as {'num-cpus': '2'}, as texts")
]


@dataclass(frozen=True, repr=False)
class AutoscalerOptionsConfig(Declaration):
    """How a Ray cluster grows and shrinks with what it is asked for.

    Parameters
    ----------
    upscaling_mode : str, optional
        One of `UpscalingMode`: how fast it grows.
    idle_timeout_seconds : int, optional
        Seconds without work after which a node is removed.
    image : str, optional
        The image of the autoscaler's container.
    env : dict of str to str, optional
        Its environment variables.
    resources : Resources, optional
        What it asks for.
    """

    class UpscalingMode:
        """How fast a cluster grows."""

        UNSPECIFIED = "UPSCALING_MODE_UNSPECIFIED"
        DEFAULT = "UPSCALING_MODE_DEFAULT"
        AGGRESSIVE = "UPSCALING_MODE_AGGRESSIVE"
        CONSERVATIVE = "UPSCALING_MODE_CONSERVATIVE"

    upscaling_mode: Annotated[
        str | None, Check(_mode, "AutoscalerOptionsConfig.UpscalingMode.DEFAULT, .AGGRESSIVE or .CONSERVATIVE")
    ] = None
    idle_timeout_seconds: Seconds = None
    image: str | None = None
    env: dict[str, str] | None = None
    resources: Resources | None = None


@dataclass(frozen=True, repr=False)
class HeadNodeConfig(Declaration):
    """The head of a Ray cluster, which knows the others; tasks run on it, too.

    Parameters
    ----------
    ray_start_params : dict of str to str, optional
        Options of ``ray start`` by name, such as ``{"num-cpus": "0"}`` for a head that runs no tasks.
    pod_template : PodTemplate, optional
        Its pod in a cluster of Kubernetes.
    requests, limits : Resources, optional
        What it asks for, and the most that it gets; those of the environment by default.
    """

    ray_start_params: Options = None
    pod_template: PodTemplate | None = None
    requests: Resources | None = None
    limits: Resources | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_limits(self, self.requests, self.limits)


@dataclass(frozen=True, repr=False)
class WorkerNodeConfig(Declaration):
    """A group of equal worker nodes of a Ray cluster.

    Parameters
    ----------
    group_name : str
        The name of the group, a Kubernetes label.
    replicas : int
        How many nodes.
    min_replicas, max_replicas : int, optional
        The bounds of an autoscaler.
    ray_start_params : dict of str to str, optional
        Options of ``ray start`` by name, such as ``{"resources": '{"fast": 1}'}``.
    pod_template : PodTemplate, optional
        The pod of each in a cluster of Kubernetes.
    requests, limits : Resources, optional
        What each asks for, and the most that it gets; those of the environment by default.
    """

    group_name: Annotated[str, Check(_group, "letters, digits, '-', '_' and '.', at most 63, with a letter or digit "
                                             "at both ends")]  # fmt: skip
    replicas: Count
    min_replicas: Bound = None
    max_replicas: Bound = None
    ray_start_params: Options = None
    pod_template: PodTemplate | None = None
    requests: Resources | None = None
    limits: Resources | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_limits(self, self.requests, self.limits)
        if self.min_replicas is not None and self.min_replicas > self.replicas:
            raise refuse(self, "min_replicas", self.min_replicas, f"at most replicas, {self.replicas}")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise refuse(self, "max_replicas", self.max_replicas, f"at least replicas, {self.replicas}")


@dataclass(frozen=True, repr=False)
class RayJobConfig(Declaration):
    """The Ray cluster of a task; as ``plugin_config`` of its environment.

    On this machine the head and the nodes of each group are started for the task, as far as the machine has room for
    them, and stopped after it. With a reuse policy they stay between calls.

    Parameters
    ----------
    worker_node_config : list of WorkerNodeConfig
        The groups of workers; none for a head alone.
    head_node_config : HeadNodeConfig, optional
        The head.
    enable_autoscaling : bool
        Whether groups grow and shrink between their bounds. On this machine they stay as they are.
    autoscaler_options : AutoscalerOptionsConfig, optional
        How.
    runtime_env : dict, optional
        What Ray prepares for its own tasks: ``env_vars``, ``working_dir``, ``pip`` and more, as in ``ray.init``.
    address : str, optional
        A cluster that runs already, to be joined and left running: ``"host:port"``, ``"ray://host:port"``, ``"auto"``.
    shutdown_after_job_finishes : bool
        Whether a cluster of Kubernetes removes the Ray cluster after the task; never with a reuse policy.
    ttl_seconds_after_finished : int, optional
        Seconds until then; never with a reuse policy.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts, or two groups have the same name.
    """

    worker_node_config: Annotated[list[WorkerNodeConfig], Check(as_list, "a list of WorkerNodeConfig", before=True)]
    head_node_config: HeadNodeConfig | None = None
    enable_autoscaling: bool = False
    autoscaler_options: AutoscalerOptionsConfig | None = None
    runtime_env: Annotated[
        dict[str, Any] | None, Check(_runtime_env, "a dict of JSON data, as ray.init(runtime_env=) takes it")
    ] = None
    address: Annotated[str | None, Check(_address, "'host:port', 'ray://host:port', 'auto', 'local', or None")] = None
    shutdown_after_job_finishes: bool = False
    ttl_seconds_after_finished: Seconds = None

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [group.group_name for group in self.worker_node_config]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise refuse(self, "worker_node_config", names, "groups of different names", f"{twice!r} is there twice")


def _check_limits(
    node: HeadNodeConfig | WorkerNodeConfig, requests: Resources | None, limits: Resources | None
) -> None:
    """Refuse a request that is more than its limit."""
    if requests is None or limits is None:
        return
    for name in ("cpu", "memory"):
        least, most = _first(getattr(requests, name)), _last(getattr(limits, name))
        if least is not None and most is not None and Quantity.parse(least) > Quantity.parse(most):
            raise refuse(node, f"requests.{name}", least, f"at most limits.{name}, {most}")


def _first(amount: Any) -> Any:
    return amount[0] if isinstance(amount, tuple) else amount


def _last(amount: Any) -> Any:
    return amount[1] if isinstance(amount, tuple) else amount
