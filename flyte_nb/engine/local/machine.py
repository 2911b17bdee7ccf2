"""Machine: what there is here to run tasks with: cores, memory, GPUs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_nb.engine.local.cgroups import ancestry

__all__ = ["Gpu", "Machine"]

_ROOT = Path("/")
_NO_PACKAGE = "how many NVIDIA GPUs there are cannot be seen: pip install 'flyte_nb[gpu]'"


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU.

    Parameters
    ----------
    index : int
        Its number, in the order of the bus.
    uuid : str
        Its identity, such as ``GPU-8a3f…``.
    name : str
        Its model, such as ``NVIDIA A100-SXM4-40GB``.
    memory : int
        Its memory in bytes.
    """

    index: int
    uuid: str
    name: str
    memory: int


@dataclass(frozen=True)
class Machine:
    """What there is to run tasks with.

    Parameters
    ----------
    cores : float
        How many cores this process may use at a time.
    memory : int
        How many bytes of memory it may use.
    gpus : tuple of Gpu
        The NVIDIA GPUs it may use.
    core_numbers : frozenset of int
        Which cores it may run on; empty where a process cannot be bound to cores, as on macOS.
    no_gpus : str
        Why there are no ``gpus``.
    apple_silicon : bool
        Whether the processor has Apple's GPU, which every process can use.
    """

    cores: float
    memory: int
    gpus: tuple[Gpu, ...] = ()
    core_numbers: frozenset[int] = frozenset()
    no_gpus: str = ""
    apple_silicon: bool = False

    @classmethod
    def here(cls, root: Path = _ROOT) -> Machine:
        """Look at this machine: its processor, what the control groups and the affinity of this process leave of it.

        Parameters
        ----------
        root : Path
            Where ``proc`` and the mounted control groups are found.
        """
        bound = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
        cores = float(len(bound) or os.cpu_count() or 1)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        gpus, reason = _gpus()
        apple = sys.platform == "darwin" and platform.machine() == "arm64"
        return cls(min([cores, *_quotas(root)]), min([memory, *_limits(root)]), gpus, bound, reason, apple)


def _quotas(root: Path) -> Iterator[float]:
    """Give the cores that control groups allow."""
    for place in ancestry("cpu", root):
        if place.version == 2:
            quota, _, period = place.read("cpu.max").partition(" ")
        else:
            quota, period = place.read("cpu.cfs_quota_us"), place.read("cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):
            yield int(quota) / int(period)


def _limits(root: Path) -> Iterator[int]:
    """Give the bytes that control groups allow."""
    for place in ancestry("memory", root):
        limit = place.number("memory.max" if place.version == 2 else "memory.limit_in_bytes")
        if limit:
            yield limit


def _gpus() -> tuple[tuple[Gpu, ...], str]:
    """Give the GPUs that this process may use, or why there are none."""
    try:
        import pynvml
    except ImportError:
        return (), _NO_PACKAGE
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), f"NVIDIA's management library: {error}"
    try:
        found = tuple(_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        return (), f"NVIDIA's management library: {error}"
    finally:
        pynvml.nvmlShutdown()
    allowed = tuple(_visible(found, os.environ.get("CUDA_VISIBLE_DEVICES")))
    return allowed, "" if allowed else "there is no GPU" + (" in CUDA_VISIBLE_DEVICES" if found else "")


def _gpu(pynvml: Any, index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    return Gpu(index, _text(pynvml.nvmlDeviceGetUUID(handle)), _text(pynvml.nvmlDeviceGetName(handle)), memory)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


def _visible(gpus: tuple[Gpu, ...], setting: str | None) -> Iterator[Gpu]:
    """Give those of the GPUs that ``CUDA_VISIBLE_DEVICES`` leaves; as in CUDA, the list ends at the first unknown."""
    if setting is None:
        yield from gpus
        return
    for word in map(str.strip, setting.split(",")):
        match = [gpu for gpu in gpus if word == str(gpu.index) or (len(word) > 4 and gpu.uuid.startswith(word))]
        if len(match) != 1:
            return
        yield match[0]
