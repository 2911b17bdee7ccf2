"""Settings as the Flyte SDK has them: resources, secrets, pods, policies, triggers, notifications, files."""

from __future__ import annotations

from typing import Any

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.kinds import Kind, same_value, translate
from flyte_nb.environments import notifications
from flyte_nb.environments.accelerators import OLD_SPELLINGS
from flyte_nb.environments.cache import Cache
from flyte_nb.environments.clustered import ClusterFailurePolicy, JaxRun, TorchRun
from flyte_nb.environments.devices import Device
from flyte_nb.environments.function_body import FunctionBodyPolicy
from flyte_nb.environments.phases import ActionPhase
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.policies import Backoff, Documentation, RetryStrategy, ReusePolicy, Timeout
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret
from flyte_nb.environments.triggers import (
    Cron,
    FixedRate,
    OnArtifact,
    Trigger,
    TriggeredArtifact,
    TriggeredPartition,
    TriggerTime,
)
from flyte_nb.io import DataFrame, Dir, File

__all__ = ["KINDS", "VALUES", "accelerator"]

_NEW_SPELLINGS = {new: old for old, new in OLD_SPELLINGS.items()}


def accelerator(resources: Resources) -> Any:
    """Give the accelerator: a count as a number, a name as the installed version spells it."""
    gpu = resources.gpu
    if isinstance(gpu, str):
        return int(gpu) if gpu.isdecimal() else _spelled_with_count(gpu)
    return translate(gpu)


def _spelled_with_count(gpu: str) -> str:
    name, colon, count = gpu.partition(":")
    return f"{_spelled(name)}{colon}{count}"


def _device(device: Device) -> str | None:
    return device.device and _spelled(device.device)


def _spelled(name: str) -> str:
    """Give a device's name as the installed version has it: versions before 2.12 know some by a former one."""
    old = _NEW_SPELLINGS.get(name)
    return old if old is not None and name not in _known() else name


def _known() -> frozenset[str]:
    return frozenset(getattr(sdk.find("flyte._resources.GPUType"), "__args__", ()))


def _policies(cache: Cache) -> Any:
    return translate(cache.policies) if cache.is_enabled() else None


KINDS = (
    Kind(Resources, "flyte.Resources", values={"gpu": accelerator}),
    Kind(Device, "flyte.Device", values={"device": _device}),
    Kind(Secret, "flyte.Secret"),
    Kind(PodTemplate, "flyte.PodTemplate", values={"pod_spec": same_value("pod_spec")}),
    Kind(ReusePolicy, "flyte.ReusePolicy"),
    Kind(Cache, "flyte.Cache", values={"policies": _policies}),
    Kind(FunctionBodyPolicy, "flyte._cache.policy_function_body.FunctionBodyPolicy"),
    Kind(RetryStrategy, "flyte.RetryStrategy"),
    Kind(Backoff, "flyte.Backoff"),
    Kind(Timeout, "flyte.Timeout"),
    Kind(Documentation, "flyte._doc.Documentation"),
    Kind(TorchRun, "flyte.clustered.TorchRun"),
    Kind(JaxRun, "flyte.clustered.JaxRun"),
    Kind(ClusterFailurePolicy, "flyte.clustered.ClusterFailurePolicy"),
    Kind(Cron, "flyte.Cron"),
    Kind(FixedRate, "flyte.FixedRate"),
    Kind(OnArtifact, "flyte.OnArtifact"),
    Kind(TriggeredPartition, "flyte.TriggeredPartition"),
    Kind(Trigger, "flyte.Trigger"),
    Kind(notifications.Email, "flyte.notify.Email"),
    Kind(notifications.Slack, "flyte.notify.Slack"),
    Kind(notifications.Teams, "flyte.notify.Teams"),
    Kind(notifications.Webhook, "flyte.notify.Webhook"),
    Kind(notifications.NamedDelivery, "flyte.notify.NamedDelivery"),
    Kind(notifications.NamedRule, "flyte.notify.NamedRule"),
    Kind(File, "flyte.io.File"),
    Kind(Dir, "flyte.io.Dir"),
)
VALUES: dict[Any, str] = {
    TriggerTime: "flyte.TriggerTime",
    TriggeredArtifact: "flyte.TriggeredArtifact",
    File: "flyte.io.File",
    Dir: "flyte.io.Dir",
    DataFrame: "flyte.io.DataFrame",
    **{phase: f"flyte.models.ActionPhase.{phase.name}" for phase in ActionPhase},
}
