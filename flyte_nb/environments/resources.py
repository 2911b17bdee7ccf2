"""Resources: what one execution asks of a machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, WrongType

__all__ = ["Resources"]

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?")


def _quantity(value: Any) -> Any:
    if isinstance(value, bool):
        raise WrongType("it is a bool")
    if isinstance(value, str) and not _QUANTITY.fullmatch(value):
        raise ValueError("not a Kubernetes quantity")
    if isinstance(value, int | float) and value < 0:
        raise ValueError("it is negative")
    return value


_Cpu = Annotated[int | float | str | None, Check(_quantity, "cores as a number or a quantity such as '500m'")]
_Memory = Annotated[str | None, Check(_quantity, "a quantity with a unit, such as '512Mi' or '4Gi'")]


@dataclass(repr=False)
class Resources(Declaration):
    """What one execution asks of a machine: cpu, memory, accelerators, disk and shared memory.

    Parameters
    ----------
    cpu : int, float or str, optional
        Cores.
    memory : str, optional
        Bytes, as a Kubernetes quantity.
    gpu : int or str, optional
        A count, or ``"<device>:<count>"``.
    disk : str, optional
        Ephemeral storage, as a Kubernetes quantity.
    shm : str, optional
        Shared memory, as a Kubernetes quantity, or ``"auto"``.
    """

    cpu: _Cpu = None
    memory: _Memory = None
    gpu: int | str | None = None
    disk: _Memory = None
    shm: str | None = None
