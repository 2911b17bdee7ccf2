"""Demand: what a task asks of this machine, after its declaration met what is here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from flyte_nb.engine.local.machine import Gpu, Machine
from flyte_nb.environments.devices import Device
from flyte_nb.environments.quantity import Quantity
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import ResourceError, UsageError, suggestion

__all__ = ["Demand", "Fit", "cores", "demand_of", "size"]

Fit = Literal["clamp", "strict", "ignore"]
_UNITS = {"Gi": 1 << 30, "Mi": 1 << 20, "Ki": 1 << 10}


@dataclass(frozen=True)
class Demand:
    """What one execution takes of the machine while it runs.

    Parameters
    ----------
    cpu : int
        Thousandths of a core; 0 asks for none.
    memory : int, optional
        Bytes to set aside; None asks for none.
    gpus : int
        How many.
    shm, disk : int, optional
        Bytes of shared memory and of disk: told, not enforced. ``shm="auto"`` is None, as all there is.
    notices : tuple of str
        What is not as it was asked for, to be shown.
    cpu_limit : int
        Thousandths of a core that it may use: the second of a pair, else ``cpu``.
    memory_limit : int, optional
        Bytes at which it is ended: the second of a pair, else ``memory``.
    no_gpu : bool
        Whether it said ``gpu=0``: it shall see none.
    """

    cpu: int = 0
    memory: int | None = None
    gpus: int = 0
    shm: int | None = None
    disk: int | None = None
    notices: tuple[str, ...] = ()
    cpu_limit: int = 0
    memory_limit: int | None = None
    no_gpu: bool = False

    @property
    def kinds(self) -> frozenset[str]:
        """Which kinds of thing it takes; without any it waits for nothing."""
        taken = {"cpu": self.cpu, "memory": self.memory, "gpu": self.gpus}
        return frozenset(kind for kind, amount in taken.items() if amount)


def demand_of(machine: Machine, resources: Resources | None, fit: Fit = "clamp") -> Demand:
    """Give what resources ask of a machine.

    Parameters
    ----------
    machine : Machine
        What there is.
    resources : Resources, optional
        What was declared.
    fit : {"clamp", "strict", "ignore"}
        What becomes of a request that is more than the machine has. ``"clamp"``: it gets what there is, with a notice;
        a GPU where there is none is an error all the same. ``"strict"``: an error. ``"ignore"``: as ``"clamp"``,
        and a GPU that is not here is left out.

    Raises
    ------
    ResourceError
        When the machine does not have it; the message has what was asked and what is here.
    UsageError
        When ``fit`` is none of these.
    """
    if fit not in get_args(Fit):
        raise UsageError(f"fit: given {fit!r}; accepted: 'clamp', 'strict', 'ignore'; {suggestion(fit, get_args(Fit))}")
    if resources is None:
        return Demand()
    cpu, cpu_limit = _pair(resources.cpu, 1000)
    memory, memory_limit = _pair(resources.memory, 1)
    over = [
        *_over("cpu", cpu_limit, int(machine.cores * 1000), cores),
        *_over("memory", memory_limit, machine.memory, size),
    ]
    gpus, told = _gpus(machine, resources.get_device(), fit)
    if fit == "strict" and (over or told):
        raise ResourceError(f"{'; '.join([*over, *told])} (fit='strict')")
    return Demand(
        cpu=min(cpu, int(machine.cores * 1000)),
        memory=min(memory, machine.memory) or None,
        gpus=gpus,
        shm=_pair(resources.get_shared_memory() or None, 1)[0] or None,
        disk=_pair(resources.disk, 1)[0] or None,
        notices=(*(f"{text}: clamped" for text in over), *told, *_unenforced(resources)),
        cpu_limit=min(cpu_limit, int(machine.cores * 1000)),
        memory_limit=min(memory_limit, machine.memory) or None,
        no_gpu=resources.gpu is not None and resources.get_device() is None,
    )


def _pair(given: object, unit: int) -> tuple[int, int]:
    """Give a request and its limit in whole units, rounded up."""
    if given is None:
        return 0, 0
    request, limit = given if isinstance(given, tuple) else (given, given)
    return math.ceil(Quantity.parse(request).value * unit), math.ceil(Quantity.parse(limit).value * unit)


def _over(kind: str, asked: int, here: int, words: Callable[[int], str]) -> list[str]:
    return [f"{kind} {words(asked)} asked, {words(here)} here"] if asked > here else []


def _gpus(machine: Machine, device: Device | None, fit: Fit) -> tuple[int, list[str]]:
    """Give how many GPUs a task gets, and what there is to tell."""
    if device is None or (device.device_class == "APPLE_SILICON" and machine.apple_silicon):
        return 0, []
    asked = f"gpu {device.quantity}" if device.device is None else f"gpu {device.device}:{device.quantity}"
    here = len(machine.gpus) if device.device_class == "GPU" else 0
    if here == 0:
        return 0, _no_gpu(machine, device, asked, fit)
    told = [f"{asked} asked, {here} here: clamped"] if device.quantity > here else []
    if not any(_is(gpu, device) for gpu in machine.gpus):
        told.append(f"{asked} asked, {_models(machine.gpus)} here: taken instead")
    if device.partition:
        told.append(f"{asked} cut as {device.partition} asked: it gets whole ones")
    return min(device.quantity, here), told


def _no_gpu(machine: Machine, device: Device, asked: str, fit: Fit) -> list[str]:
    if fit == "ignore":
        return [f"{asked} asked, none here: left out"]
    why = machine.no_gpus if device.device_class == "GPU" else f"a {device.device_class} is not looked for here"
    raise ResourceError(f"{asked} asked, none here{f' ({why})' if why else ''}; with fit='ignore' it runs without")


def _is(gpu: Gpu, device: Device) -> bool:
    """Tell whether a GPU is of a device's model; a size in its name is that of the memory."""
    name = device.device or ""
    words = re.escape(name.removesuffix(" shared").removesuffix("_80G").replace("_", " "))
    large = gpu.memory > 60 << 30 or not name.endswith("_80G")
    return large and bool(re.search(rf"(?i)\b{words}\b", gpu.name))


def _models(gpus: Iterable[Gpu]) -> str:
    return ", ".join(dict.fromkeys(gpu.name for gpu in gpus))


def _unenforced(resources: Resources) -> list[str]:
    asked = [("disk", resources.disk), ("shm", resources.shm)]
    return [f"{kind} {value} is not enforced on this machine" for kind, value in asked if value and value != "auto"]


def cores(millicores: int) -> str:
    """Word a number of cores: ``2``, ``0.5``."""
    return f"{millicores / 1000:g}"


def size(number: int) -> str:
    """Word a number of bytes: ``256Mi``, ``23.5Gi``."""
    suffix, unit = next(((s, u) for s, u in _UNITS.items() if number >= u), ("", 1))
    return f"{number / unit:.4g}{suffix}"
