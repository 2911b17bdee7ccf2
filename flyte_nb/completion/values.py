"""What the values of options may be: amounts with their units, accelerators, warm processes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flyte_nb.environments.accelerators import COUNTS
from flyte_nb.environments.cache import BEHAVIORS

__all__ = ["CACHES", "accelerators", "amounts", "cores", "replicas"]

CACHES = BEHAVIORS
_NUMBER = re.compile(r"\d+\.?\d*")
_UNITS = ("Gi", "Mi", "Ti", "Ki", "G", "M", "T", "k")


def amounts(typed: str) -> Iterator[str]:
    """Give amounts of memory: of the number that is typed in each unit, or usual ones."""
    number = match[0] if (match := _NUMBER.match(typed)) else ""
    if number:
        yield from (f"{number}{unit}" for unit in _UNITS)
    else:
        yield from ("512Mi", "1Gi", "2Gi", "4Gi", "8Gi", "16Gi", "32Gi")


def cores(typed: str) -> Iterator[str]:
    """Give numbers of cores: the one that is typed as cores and as thousandths, or usual ones."""
    if typed.isdigit():
        yield from (typed, f"{typed}m")
    else:
        yield from ("500m", "1", "2", "4", "8", "16")


def accelerators(typed: str) -> Iterator[str]:
    """Give accelerators: one of each device, all counts of the one that is typed, and plain counts."""
    device = typed.partition(":")[0].lower()
    if not typed:
        yield from ("1", "2", "4", "8")
    for name, counts in COUNTS.items():
        if name.lower() == device:
            yield from (f"{name}:{count}" for count in counts)
        elif counts:
            yield f"{name}:{counts[0]}"


def replicas(typed: str) -> Iterator[str]:
    """Give numbers of warm processes: so many, or from MIN to MAX."""
    low = typed.partition(":")[0]
    if low.isdigit():
        yield from (low, *(f"{low}:{int(low) + more}" for more in (1, 2, 3)))
    else:
        yield from ("1", "1:2", "1:4", "0:2")
