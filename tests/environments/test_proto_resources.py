"""Resources as protobuf messages: the real ones where flyteidl2 is installed, else classes that stand in for them."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from flyte_nb.environments.devices import AMD_GPU, APPLE_SILICON, GPU, TPU, Neuron
from flyte_nb.environments.proto_resources import get_proto_extended_resources, get_proto_resources
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import DeclarationTypeError

CLASSES = ["NVIDIA_GPU", "GOOGLE_TPU", "AMAZON_NEURON", "AMD_GPU", "HABANA_GAUDI", "APPLE_SILICON"]
NAMES = ["UNKNOWN", "CPU", "GPU", "MEMORY", "STORAGE", "EPHEMERAL_STORAGE"]


class Message:
    """Stands in for a generated message: the package is no dependency of the tests."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def HasField(self, name: str) -> bool:
        return getattr(self, name) is not None


@pytest.fixture(autouse=True)
def messages(monkeypatch: pytest.MonkeyPatch) -> Any:
    if importlib.util.find_spec("flyteidl2") is None:
        for name in ("flyteidl2", "flyteidl2.core", "flyteidl2.core.tasks_pb2"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setattr(sys.modules["flyteidl2.core"], "tasks_pb2", stand_in(), raising=False)
    from flyteidl2.core import tasks_pb2  # type: ignore[import-not-found]

    return tasks_pb2


def stand_in() -> Any:
    names = SimpleNamespace(**{name: number for number, name in enumerate(NAMES)})
    accelerator = type("GPUAccelerator", (Message,), {name: number for number, name in enumerate(CLASSES)})
    resources = type("Resources", (Message,), {"ResourceName": names, "ResourceEntry": Message})
    return SimpleNamespace(
        Resources=resources, GPUAccelerator=accelerator, SharedMemory=Message, ExtendedResources=Message
    )


def amounts(messages: Any, entries: Any) -> list[tuple[str, str]]:
    numbers = {getattr(messages.Resources.ResourceName, name): name for name in NAMES}
    return [(numbers[entry.name], entry.value) for entry in entries]


def test_requests_and_limits(messages: Any) -> None:
    made = get_proto_resources(Resources(cpu=(1, "2"), memory="4Gi", gpu="A100:2", disk="10Gi", shm="auto"))
    assert amounts(messages, made.requests) == [
        ("CPU", "1"), ("MEMORY", "4Gi"), ("GPU", "2"), ("EPHEMERAL_STORAGE", "10Gi"),
    ]  # fmt: skip
    assert amounts(messages, made.limits) == [("CPU", "2")]
    pairs = get_proto_resources(Resources(cpu=0.5, memory=("1Gi", "2Gi"), gpu=3))
    assert amounts(messages, pairs.requests) == [("CPU", "0.5"), ("MEMORY", "1Gi"), ("GPU", "3")]
    assert amounts(messages, pairs.limits) == [("MEMORY", "2Gi")]


def test_nothing_is_asked_for() -> None:
    for nothing in (None, Resources(), Resources(gpu=0), Resources(shm="1Gi")):
        assert get_proto_resources(nothing) is None
    for nothing in (None, Resources(), Resources(cpu=1), Resources(gpu=2), Resources(gpu=0)):
        assert get_proto_extended_resources(nothing) is None


@pytest.mark.parametrize(
    ("device", "selector", "kind", "partition"),
    [
        (GPU("A100", 1, "1g.5gb"), "nvidia-tesla-a100", "NVIDIA_GPU", "1g.5gb"),
        ("T4:1", "nvidia-tesla-t4", "NVIDIA_GPU", ""),
        ("T4 shared:1", "T4 shared", "NVIDIA_GPU", ""),
        (TPU("V5E", "2x2"), "tpu-v5-lite-podslice", "GOOGLE_TPU", "2x2"),
        (Neuron("Trn1"), "Trn1", "AMAZON_NEURON", ""),
        (AMD_GPU("MI300X"), "MI300X", "AMD_GPU", ""),
        ("Gaudi1:1", "Gaudi1", "HABANA_GAUDI", ""),
    ],
)
def test_accelerators(messages: Any, device: Any, selector: str, kind: str, partition: str) -> None:
    made = get_proto_extended_resources(Resources(gpu=device))
    accelerator = made.gpu_accelerator
    assert accelerator.device == selector
    assert accelerator.device_class == getattr(messages.GPUAccelerator, kind)
    assert (accelerator.partition_size or "") == partition
    assert not made.HasField("shared_memory")


def test_apple_silicon_by_its_number() -> None:
    assert get_proto_extended_resources(Resources(gpu=APPLE_SILICON())).gpu_accelerator.device_class == 5


@pytest.mark.parametrize(("shm", "size"), [("auto", ""), ("2Gi", "2Gi")])
def test_shared_memory(shm: str, size: str) -> None:
    made = get_proto_extended_resources(Resources(cpu=1, shm=shm))
    shared = made.shared_memory
    assert (shared.mount_path, shared.mount_name, shared.size_limit) == ("/dev/shm", "flyte-shm", size)
    assert not made.HasField("gpu_accelerator")


@pytest.mark.parametrize("function", [get_proto_resources, get_proto_extended_resources])
def test_refusals(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeclarationTypeError, match=rf"^{function.__name__}\.resources: given 3"):
        function(3)
    monkeypatch.setitem(sys.modules, "flyteidl2", None)
    monkeypatch.delitem(sys.modules, "flyteidl2.core", raising=False)
    with pytest.raises(ModuleNotFoundError, match=rf"{function.__name__}\(\) needs .*pip install flyteidl2"):
        function(Resources(cpu=1))
