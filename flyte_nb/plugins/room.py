"""Room: how much of this machine the engine of a task's plugin may take."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from flyte_nb.environments.quantity import Quantity
from flyte_nb.environments.resources import Resources

__all__ = ["Room", "cores_of", "memory_of", "size"]


@dataclass(frozen=True)
class Room:
    """What there is for an engine in this process and for all that it starts.

    Parameters
    ----------
    cores : int
        How many it may use at a time.
    memory : int
        Bytes of memory.
    limited : bool
        Whether the memory is what the task's resources say; else it is that of the machine.
    """

    cores: int
    memory: int
    limited: bool = False

    @classmethod
    def here(cls, resources: Resources | None = None) -> Room:
        """Look at this machine, and at what a task asks of it: the cores that this process may run on are its own."""
        here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        cores, limit = cores_of(resources), memory_of(resources)
        return cls(min(here, math.ceil(cores or here)), min(memory, limit or memory), limit is not None)


def cores_of(resources: Resources | None) -> float | None:
    """Give the cores that may be used; None where nothing says it."""
    most = _most(resources.cpu) if resources is not None else None
    return float(most.value) if most is not None else None


def memory_of(resources: Resources | None) -> int | None:
    """Give the bytes of memory that may be used; None where nothing says it."""
    most = _most(resources.memory) if resources is not None else None
    return math.ceil(most.value) if most is not None else None


def _most(amount: int | float | str | tuple[int | float | str, int | float | str] | None) -> Quantity | None:
    """Give the limit of an amount, which is the second of a pair."""
    given = amount[1] if isinstance(amount, tuple) else amount
    return None if given is None else Quantity.parse(given)


def size(number: int) -> str:
    """Word a number of bytes, such as ``512Mi`` or ``1.5Gi``."""
    return f"{number / (1 << 30):.3g}Gi" if number >= 1 << 30 else f"{number >> 20}Mi"
