"""Resources: what one execution asks of a machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, WrongType
from flyte_nb.environments.devices import Device, check_accelerator, check_count, parse_accelerator
from flyte_nb.environments.quantity import Quantity, has_unit

__all__ = ["Resources"]

_Number = int | float | str
_COUNT = re.compile(r"-?[0-9]{1,9}")


def _cores(value: Any) -> Any:
    return _amount(value, Quantity.parse)


def _memory(value: Any) -> Any:
    return _amount(value, _bytes)


def _disk(value: Any) -> Any:
    if value is not None:
        _bytes(value)
    return value


def _shm(value: Any) -> Any:
    return value if value == "auto" else _disk(value)


def _amount(value: Any, parse: Callable[[Any], Quantity]) -> Any:
    """Check an amount, or a pair of a request and a limit."""
    if value is None:
        return None
    if not isinstance(value, tuple):
        parse(value)
        return value
    if len(value) != 2:
        raise ValueError(f"a pair is (request, limit); it has {len(value)} items")
    request, limit = map(parse, value)
    if request > limit:
        raise ValueError(f"the request {value[0]} is more than the limit {value[1]}")
    return value


def _bytes(value: Any) -> Quantity:
    if not isinstance(value, str):
        raise WrongType(f"it is of type {type(value).__name__}")
    quantity = Quantity.parse(value)
    if not has_unit(value):
        told = f"{value} byte{'s' if value != '1' else ''}"
        raise ValueError(f"it would be {told}; write the unit, such as '{value}Mi' or '{value}Gi'")
    if value[-1] in "num":
        raise ValueError(f"{value[-1]!r} is a part of a byte; did you mean '{value[:-1]}M' or '{value[:-1]}Mi'?")
    return quantity


def _gpu(value: Any) -> Any:
    if isinstance(value, str) and not _COUNT.fullmatch(value):
        return check_accelerator(value)
    if isinstance(value, int | str):
        check_count(int(value))
    return value


_CPU = "cores as a number or a quantity such as '500m', or a pair of these (request, limit)"
_MEMORY = "a quantity with a unit such as '512Mi' or '4Gi', or a pair of these (request, limit)"
_BYTES = "a quantity with a unit such as '512Mi' or '4Gi'"
_ACCELERATOR = "an accelerator such as 'A100:1', a count from 0 to 64, or a Device"


@dataclass(repr=False)
class Resources(Declaration):
    """What one execution asks of a machine: cores, memory, accelerators, disk and shared memory.

    Quantities are those of Kubernetes, and are kept as they were given: ``"2"`` does not become 2.

    Parameters
    ----------
    cpu : int, float, str or pair of these, optional
        Cores: ``2``, ``0.5``, ``"500m"``; or a pair of the request and the limit, ``(1, 2)``.
    memory : str or pair of str, optional
        Bytes, with a unit: ``"4Gi"``; or a pair of the request and the limit, ``("2Gi", "4Gi")``.
    gpu : str, int or Device, optional
        An accelerator with its count, ``"A100:1"``; a count of any GPU, ``1`` or ``"1"`` (0 is none, 64 the
        largest: more than any machine has); or a `Device`. A former spelling is rewritten, with a warning in
        the log.
    disk : str, optional
        Ephemeral storage in bytes, with a unit.
    shm : str, optional
        Shared memory in bytes, with a unit; or ``"auto"``, for as much as the machine gives.

    Raises
    ------
    DeclarationError
        When a quantity cannot be read, is negative or has no unit where bytes are meant, a request is more
        than its limit, or there is no such accelerator.
    """

    cpu: Annotated[int | float | str | tuple[_Number, _Number] | None, Check(_cores, _CPU, before=True)] = None
    memory: Annotated[str | tuple[str, str] | None, Check(_memory, _MEMORY, before=True)] = None
    gpu: Annotated[str | int | Device | None, Check(_gpu, _ACCELERATOR)] = None
    disk: Annotated[str | None, Check(_disk, _BYTES, before=True)] = None
    shm: Annotated[str | None, Check(_shm, f"{_BYTES}, or 'auto'", before=True)] = None

    def get_device(self) -> Device | None:
        """Give the accelerator that is asked for: None without one, and a given `Device` as it is."""
        if self.gpu is None or isinstance(self.gpu, Device):
            return self.gpu
        if isinstance(self.gpu, str) and not _COUNT.fullmatch(self.gpu):
            return parse_accelerator(self.gpu)
        return Device(int(self.gpu), "GPU") if int(self.gpu) else None

    def get_shared_memory(self) -> str | None:
        """Give the size of the shared memory: None for none, ``""`` for as much as the machine gives."""
        return "" if self.shm == "auto" else self.shm
