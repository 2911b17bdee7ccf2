"""Share: how much of this machine the engine around a task may take."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["SHARE", "Share"]

#: the variable that tells a process what it was given: thousandths of a core, and bytes; 0 where nothing was asked
SHARE = "FLYTE_NB_SHARE"


@dataclass(frozen=True)
class Share:
    """A share of the machine.

    Parameters
    ----------
    cores : int
        Whole cores, at least 1.
    memory : int
        Bytes.
    gpus : tuple of str
        The GPUs, as ``CUDA_VISIBLE_DEVICES`` names them.
    """

    cores: int
    memory: int
    gpus: tuple[str, ...] = ()

    @classmethod
    def here(cls) -> Share:
        """Give what this process was given; what the machine has where nobody said, as outside a worker."""
        words = os.environ.get(SHARE, "").split()
        millicores, memory = map(int, words) if len(words) == 2 and all(map(str.isdecimal, words)) else (0, 0)
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        cores = -(-millicores // 1000) or _cores()
        return cls(cores, memory or _memory(), tuple(filter(None, map(str.strip, visible.split(",")))))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
