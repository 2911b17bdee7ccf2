"""Pod specs out of `Resources`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flyte_nb.environments.pod_containers import kubernetes
from flyte_nb.environments.quantity import Quantity
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError

if TYPE_CHECKING:
    from kubernetes.client import V1PodSpec

__all__ = ["pod_spec_from_resources"]

_NVIDIA = "nvidia.com/gpu"
#: the name under which each vendor's device plugin offers its devices; there is none for Apple silicon
RESOURCE_KEYS: Mapping[str, str] = {
    "GPU": _NVIDIA,
    "TPU": "google.com/tpu",
    "NEURON": "aws.amazon.com/neuron",
    "AMD_GPU": "amd.com/gpu",
    "HABANA_GAUDI": "habana.ai/gaudi",
}


def pod_spec_from_resources(
    primary_container_name: str = "primary",
    requests: Resources | None = None,
    limits: Resources | None = None,
    k8s_gpu_resource_key: str = _NVIDIA,
) -> V1PodSpec:
    """Give the Kubernetes pod spec with one container that has these requests and limits.

    Shared memory is left out: in Kubernetes it is a volume, not a resource of the container.

    Parameters
    ----------
    primary_container_name : str
        The name of the container.
    requests : Resources, optional
        What it is given at least; like the limits when None.
    limits : Resources, optional
        What it gets at most; like the requests when None.
    k8s_gpu_resource_key : str
        The resource that a GPU counts as. Devices of other vendors count as their own vendor's resource,
        unless another key than the default is given.

    Returns
    -------
    kubernetes.client.V1PodSpec
        The pod spec; every amount in it is a str.

    Raises
    ------
    DeclarationError
        When a value is a (request, limit) pair, a request is more than its limit, or the accelerator is Apple
        silicon, which Kubernetes does not have.
    ModuleNotFoundError
        When the package ``kubernetes`` is not installed.
    """
    client = kubernetes()
    asked = None if requests is None else _amounts("requests", requests, k8s_gpu_resource_key)
    allowed = None if limits is None else _amounts("limits", limits, k8s_gpu_resource_key)
    least = asked if asked is not None else allowed or {}
    most = allowed if allowed is not None else least
    _check_order(least, most)
    required = client.V1ResourceRequirements(requests=dict(least), limits=dict(most))
    container = client.V1Container(name=primary_container_name, resources=required)
    spec: V1PodSpec = client.V1PodSpec(containers=[container])
    return spec


def _amounts(side: str, resources: Resources, gpu_key: str) -> dict[str, str]:
    """Give what one side asks for, by the names that Kubernetes has for it."""
    if not isinstance(resources, Resources):
        raise DeclarationTypeError(f"pod_spec_from_resources.{side}", repr(resources), "Resources or None")
    given = {"cpu": resources.cpu, "memory": resources.memory, "ephemeral-storage": resources.disk}
    for name, amount in given.items():
        if isinstance(amount, tuple | list):
            reason = f"the {name} is a pair; the two sides are given as requests= and limits="
            raise DeclarationValueError(f"pod_spec_from_resources.{side}", repr(amount), "single values", reason)
    amounts = {name: str(amount) for name, amount in given.items() if amount is not None}
    return {**amounts, **_accelerators(side, resources, gpu_key)}


def _accelerators(side: str, resources: Resources, gpu_key: str) -> dict[str, str]:
    device = resources.get_device()
    if device is None:
        return {}
    key = gpu_key if gpu_key != _NVIDIA else RESOURCE_KEYS.get(device.device_class)
    if key is None:
        accepted = f"a device of class {', '.join(RESOURCE_KEYS)}"
        raise DeclarationValueError(f"pod_spec_from_resources.{side}", repr(device), accepted)
    return {key: str(device.quantity)}


def _check_order(least: Mapping[str, str], most: Mapping[str, str]) -> None:
    for name in [name for name in least if name in most]:
        if Quantity.parse(least[name]) > Quantity.parse(most[name]):
            reason = f"the request of {name} is more than its limit {most[name]}"
            field = "pod_spec_from_resources.requests"
            raise DeclarationValueError(field, repr(least[name]), "requests up to the limits", reason)
