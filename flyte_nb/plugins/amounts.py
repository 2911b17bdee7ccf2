"""Amounts: what resources say in cores and bytes, and a share of the machine bounded by them."""

from __future__ import annotations

import dataclasses
import math

from flyte_nb.environments.quantity import Quantity
from flyte_nb.environments.resources import Resources
from flyte_nb.plugins.share import Share

__all__ = ["bounded", "cores_of", "memory_of", "size"]


def bounded(share: Share, resources: Resources | None) -> Share:
    """Give a share that is no more than what resources say, as where nobody shares out the machine."""
    cores, memory = cores_of(resources), memory_of(resources)
    return dataclasses.replace(
        share, cores=min(share.cores, math.ceil(cores or share.cores)), memory=min(share.memory, memory or share.memory)
    )


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
