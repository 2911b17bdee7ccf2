"""Resources as the protobuf messages that a Flyte cluster reads; needs the package flyteidl2."""

from __future__ import annotations

from typing import Any

from flyte_nb.environments.accelerators import SELECTORS
from flyte_nb.environments.devices import Device
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import DeclarationTypeError

__all__ = ["get_proto_extended_resources", "get_proto_resources"]

#: the names of the messages' classes of devices
_CLASSES = {
    "GPU": "NVIDIA_GPU",
    "TPU": "GOOGLE_TPU",
    "NEURON": "AMAZON_NEURON",
    "AMD_GPU": "AMD_GPU",
    "HABANA_GAUDI": "HABANA_GAUDI",
    "APPLE_SILICON": "APPLE_SILICON",
}
_APPLE_SILICON = 5  # its number, for releases of flyteidl2 that have no name for it
_SHARED_MEMORY = {"mount_path": "/dev/shm", "mount_name": "flyte-shm"}


def get_proto_resources(resources: Resources | None) -> Any:
    """Give requests and limits as a ``flyteidl2.core.tasks_pb2.Resources``.

    Parameters
    ----------
    resources : Resources or None
        What is asked for. A single value is a request; a pair is a request and a limit.

    Returns
    -------
    flyteidl2.core.tasks_pb2.Resources or None
        None when nothing of it is a request or a limit.

    Raises
    ------
    ModuleNotFoundError
        When the package flyteidl2 is not installed.
    DeclarationTypeError
        When ``resources`` is something else.
    """
    messages = _messages("get_proto_resources", resources)
    if resources is None:
        return None
    asked = {"CPU": resources.cpu, "MEMORY": resources.memory, "EPHEMERAL_STORAGE": resources.disk}
    device = resources.get_device()
    if device is not None:
        asked["GPU"] = device.quantity
    pairs = {name: amount if isinstance(amount, tuple) else (amount, None) for name, amount in asked.items()}
    order = [name for name in ("CPU", "MEMORY", "GPU", "EPHEMERAL_STORAGE") if name in pairs]
    requests = [_entry(messages, name, pairs[name][0]) for name in order if pairs[name][0] is not None]
    limits = [_entry(messages, name, pairs[name][1]) for name in order if pairs[name][1] is not None]
    return messages.Resources(requests=requests, limits=limits) if requests or limits else None


def get_proto_extended_resources(resources: Resources | None) -> Any:
    """Give the accelerator and the shared memory as a ``flyteidl2.core.tasks_pb2.ExtendedResources``.

    Parameters
    ----------
    resources : Resources or None
        What is asked for. A number of devices without a name is a request alone, so it is not in here.

    Returns
    -------
    flyteidl2.core.tasks_pb2.ExtendedResources or None
        None when there is neither a named device nor shared memory.

    Raises
    ------
    ModuleNotFoundError
        When the package flyteidl2 is not installed.
    DeclarationTypeError
        When ``resources`` is something else.
    """
    messages = _messages("get_proto_extended_resources", resources)
    if resources is None:
        return None
    device, size = resources.get_device(), resources.get_shared_memory()
    accelerator = _accelerator(messages, device) if device is not None and device.device is not None else None
    if accelerator is None and size is None:
        return None
    shared = None if size is None else messages.SharedMemory(**_SHARED_MEMORY, size_limit=size)
    return messages.ExtendedResources(gpu_accelerator=accelerator, shared_memory=shared)


def _accelerator(messages: Any, device: Device) -> Any:
    return messages.GPUAccelerator(
        device=SELECTORS[str(device.device)],
        partition_size=device.partition,
        device_class=getattr(messages.GPUAccelerator, _CLASSES[device.device_class], _APPLE_SILICON),
    )


def _entry(messages: Any, name: str, amount: Any) -> Any:
    kind = getattr(messages.Resources.ResourceName, name)
    return messages.Resources.ResourceEntry(name=kind, value=str(amount))


def _messages(function: str, resources: Any) -> Any:
    """Import the messages, once it is clear that they are wanted for resources."""
    if resources is not None and not isinstance(resources, Resources):
        raise DeclarationTypeError(f"{function}.resources", repr(resources), "Resources or None")
    try:
        from flyteidl2.core import tasks_pb2
    except ModuleNotFoundError as error:
        text = f"{function}() needs the package 'flyteidl2': pip install flyteidl2"
        raise ModuleNotFoundError(text, name=error.name) from error
    return tasks_pb2
