"""Device: an accelerator, how many of it, and how it is cut; and the accelerator strings."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from flyte_nb.environments.accelerators import (
    COUNTS,
    DEVICES,
    OLD_SPELLINGS,
    PARTITIONS,
    QUANTITIES,
    Accelerators,
    AMD_GPUType,
    DeviceClass,
    GPUType,
    HABANA_GAUDIType,
    NeuronType,
    TPUType,
)
from flyte_nb.environments.declaration import Check, Declaration, WrongType, refuse
from flyte_nb.errors import suggestion

__all__ = [
    "AMD_GPU",
    "APPLE_SILICON",
    "GPU",
    "HABANA_GAUDI",
    "TPU",
    "AMD_GPUType",
    "Accelerators",
    "Device",
    "DeviceClass",
    "GPUType",
    "HABANA_GAUDIType",
    "Neuron",
    "NeuronType",
    "TPUType",
]

LARGEST_COUNT = 64  # no table bounds a count without a device; no machine has as many
_CLASSES = get_args(DeviceClass)
_STRINGS = frozenset(get_args(Accelerators))
_OF_CLASS = {name: kind for kind, names in DEVICES.items() for name in names}

logger = logging.getLogger("flyte")


def _class(value: Any) -> Any:
    if not isinstance(value, str):
        raise WrongType(f"it is of type {type(value).__name__}")
    if value not in _CLASSES:
        raise ValueError(_nearest(value, _CLASSES))
    return value


def _device(value: str | None) -> str | None:
    return None if value is None else _current(value)


def check_count(value: int) -> int:
    """Check a number of devices that are not named: 0 to 64.

    Raises
    ------
    ValueError
        When it is outside of this.
    """
    if not 0 <= value <= LARGEST_COUNT:
        raise ValueError("it is negative" if value < 0 else f"it is more than {LARGEST_COUNT}")
    return value


@dataclass(frozen=True, repr=False)
class Device(Declaration):
    """An accelerator: its class, which device of it, how many, and how each is cut.

    `GPU`, `TPU`, `Neuron`, `AMD_GPU`, `HABANA_GAUDI` and `APPLE_SILICON` make one with less to write.

    Parameters
    ----------
    quantity : int
        How many: what the device is offered in, for example 1 to 8 of an A100; 1 to 64 without a device.
    device_class : {"GPU", "TPU", "NEURON", "AMD_GPU", "HABANA_GAUDI", "APPLE_SILICON"}
        The class.
    device : str, optional
        A device of the class, for example ``"A100"``; None for any. A former spelling (``"A100 80G"``) is
        rewritten, with a warning in the log. Apple silicon is always ``"AppleSilicon"``.
    partition : str, optional
        How the device is cut, for example ``"1g.5gb"`` of an A100; None for the whole of it.

    Raises
    ------
    DeclarationError
        When one of them is not that. The partitions are those of the Flyte SDK, and so are the counts of the devices
        whose accelerator strings know more than one.
    """

    quantity: int
    device_class: Annotated[DeviceClass, Check(_class, ", ".join(map(repr, _CLASSES)), before=True)]
    device: Annotated[str | None, Check(_device, "the name of a device of the class, or None")] = None
    partition: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_device()
        self._check_quantity()
        self._check_partition()

    def _check_device(self) -> None:
        names = DEVICES[self.device_class]
        if self.device in names or (self.device is None and self.device_class != "APPLE_SILICON"):
            return
        accepted = f"a device of class {self.device_class}: {', '.join(names)}"
        raise refuse(self, "device", self.device, accepted, _why_not_of(self.device, self.device_class))

    def _check_quantity(self) -> None:
        if self.device is not None and self.quantity not in QUANTITIES[self.device]:
            raise refuse(self, "quantity", self.quantity, f"{_words(QUANTITIES[self.device])}, for {self.device}")
        if not 1 <= self.quantity <= LARGEST_COUNT:
            raise refuse(self, "quantity", self.quantity, f"1 to {LARGEST_COUNT}")

    def _check_partition(self) -> None:
        partitions = PARTITIONS.get(self.device or "", ())
        if self.partition is None or self.partition in partitions:
            return
        what = self.device or "a device without a name"
        accepted = f"None or {', '.join(partitions)}" if partitions else "None"
        reason = _nearest(self.partition, partitions) if partitions else f"{what} cannot be cut"
        raise refuse(self, "partition", self.partition, accepted, f"of {what}: {reason}" if partitions else reason)


def GPU(device: GPUType, quantity: int, partition: str | None = None) -> Device:  # noqa: N802
    """Give NVIDIA GPUs.

    Parameters
    ----------
    device : str
        Which one, for example ``"A100"`` or ``"T4 shared"``.
    quantity : int
        How many: 1 to 8 for most devices.
    partition : str, optional
        How each is cut, for example ``"1g.5gb"`` of an A100.

    Raises
    ------
    DeclarationError
        When there is no such device, count or partition.
    """
    return _named("GPU", device, quantity, partition)


def TPU(device: TPUType, partition: str | None = None) -> Device:  # noqa: N802
    """Give one TPU.

    Parameters
    ----------
    device : {"V5E", "V5P", "V6E"}
        Which one.
    partition : str, optional
        The topology of the slice, for example ``"2x2"``.

    Raises
    ------
    DeclarationError
        When there is no such device or topology.
    """
    return _named("TPU", device, 1, partition)


def Neuron(device: NeuronType, quantity: int = 1) -> Device:  # noqa: N802
    """Give AWS Inferentia or Trainium accelerators.

    Parameters
    ----------
    device : str
        Which one, for example ``"Trn1"``.
    quantity : int
        How many: 1, 4, 8 or 16 of a Trainium, 1 to 16 of an Inf1, 1 to 12 of an Inf2.

    Raises
    ------
    DeclarationError
        When there is no such device or count.
    """
    return _named("NEURON", device, quantity)


def AMD_GPU(device: AMD_GPUType, quantity: int = 1) -> Device:  # noqa: N802
    """Give AMD GPUs.

    Parameters
    ----------
    device : str
        Which one, for example ``"MI300X"``.
    quantity : int
        How many: 1 to 8. (An accelerator string, ``"MI300X:1"``, asks for one only.)

    Raises
    ------
    DeclarationError
        When there is no such device or count.
    """
    return _named("AMD_GPU", device, quantity)


def HABANA_GAUDI(device: HABANA_GAUDIType, quantity: int = 1) -> Device:  # noqa: N802
    """Give Intel Gaudi accelerators.

    Parameters
    ----------
    device : {"Gaudi1"}
        Which one.
    quantity : int
        How many: 1 to 8. (An accelerator string, ``"Gaudi1:1"``, asks for one only.)

    Raises
    ------
    DeclarationError
        When there is no such device or count.
    """
    return _named("HABANA_GAUDI", device, quantity)


def APPLE_SILICON() -> Device:  # noqa: N802
    """Give the GPU of an Apple silicon machine."""
    return Device(1, "APPLE_SILICON", "AppleSilicon")


def check_accelerator(text: str) -> str:
    """Check an accelerator string, ``"<device>:<count>"``, and give it in the current spelling.

    Parameters
    ----------
    text : str
        For example ``"A100:2"``; only ``"AppleSilicon"`` goes without a count.

    Raises
    ------
    ValueError
        When there is no such accelerator; the message says why and names the nearest.
    """
    name, colon, count = text.partition(":")
    current = _current(name) + colon + count
    if current not in _STRINGS:
        raise ValueError(_why_not_accelerator(*current.split(":", 1)))
    return current


def parse_accelerator(text: str) -> Device:
    """Give the device that an accelerator string stands for.

    Parameters
    ----------
    text : str
        As `check_accelerator` accepts it.

    Raises
    ------
    ValueError
        When there is no such accelerator.
    """
    name, _, count = check_accelerator(text).partition(":")
    return Device(int(count or 1), _OF_CLASS[name], name)


def _named(kind: DeviceClass, device: str, quantity: int, partition: str | None = None) -> Device:
    if device is None:
        raise refuse(Device, "device", device, f"a device of class {kind}: {', '.join(DEVICES[kind])}")
    return Device(quantity, kind, device, partition)


def _current(name: str) -> str:
    """Give the current spelling of a device; a former one is told in the log."""
    if name not in OLD_SPELLINGS:
        return name
    logger.warning("device %r is now written %r; it was rewritten", name, OLD_SPELLINGS[name])
    return OLD_SPELLINGS[name]


def _why_not_of(device: str | None, kind: DeviceClass) -> str:
    """Word why a device is not of a class."""
    if device in _OF_CLASS:
        return f"it is of class {_OF_CLASS[device]}"
    return "" if device is None else _nearest(device, DEVICES[kind])


def _why_not_accelerator(name: str, count: str = "") -> str:
    """Word why there is no such accelerator string."""
    if name in DEVICES["TPU"]:
        return f"a TPU is not given as a string; use TPU({name!r})"
    if name not in _OF_CLASS:
        return _nearest(name, _OF_CLASS)
    if not count:
        return f"the count is missing; write '{name}:1'"
    if any(partition in count for partition in PARTITIONS.get(name, ())):
        return f"a partition is not given in a string; use GPU({name!r}, quantity, partition)"
    more = f"; for more use {_OF_CLASS[name]}({name!r}, quantity)" if QUANTITIES[name] != COUNTS[name] else ""
    return f"the count of {name} is {_words(COUNTS[name])}{more}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """Word a hint at the nearest name: the one that differs only in case, else those that look alike."""
    same = [one for one in known if one.casefold() == name.casefold()]
    return f"did you mean {same[0]!r}?" if same else suggestion(name, known)


def _words(counts: tuple[int, ...]) -> str:
    """Word the counts of a device: 1, 1 to 8, or 1, 4, 8 or 16."""
    if len(counts) > 2 and counts == tuple(range(counts[0], counts[-1] + 1)):
        return f"{counts[0]} to {counts[-1]}"
    *most, last = map(str, counts)
    return f"{', '.join(most)} or {last}" if most else last
