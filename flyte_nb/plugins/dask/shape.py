"""The shape of a Dask cluster on this machine: how many workers, with how many threads and how much memory."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from flyte_nb.environments.resources import Resources
from flyte_nb.plugins.amounts import bounded, cores_of, memory_of, size
from flyte_nb.plugins.dask.config import Dask
from flyte_nb.plugins.share import Share

__all__ = ["Shape", "shape_of", "together"]

LEAST = 128 << 20  # bytes that a worker has at least: Python and Dask itself


@dataclass(frozen=True)
class Shape:
    """What a cluster is started with.

    Parameters
    ----------
    workers, threads : int
        How many workers, and how many threads of each.
    memory : int
        Bytes of memory of each worker, at which it is ended.
    notices : tuple of str
        What is not as it was declared.
    """

    workers: int
    threads: int
    memory: int
    notices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return _worded(self.workers, self.threads, self.memory)


def shape_of(config: Dask, resources: Resources | None, share: Share) -> Shape:
    """Give the shape of the cluster of a task on this machine.

    Parameters
    ----------
    config : Dask
        What is declared.
    resources : Resources, optional
        What the task asks for, beside its workers.
    share : Share
        What all of them may have of the machine.
    """
    both = together(config, resources)
    share = bounded(share, both)
    each = _each(config, resources)
    asked, threads, memory = _workers(config), math.ceil(cores_of(each) or 1), memory_of(each)
    workers = min(asked, share.cores)
    free = share.memory - (memory_of(resources) or 0) if memory_of(both) is not None else share.memory
    shape = Shape(
        workers,
        max(1, min(threads, share.cores // workers)),
        max(LEAST, min(memory or free, free // workers)),
        tuple(_images(config)),
    )
    if (shape.workers, shape.threads) == (asked, threads) and shape.memory >= (memory or 0):
        return shape
    told = f"Dask: {_worded(asked, threads, memory)} asked, {_here(share)} here: clamped to {shape}"
    return dataclasses.replace(shape, notices=(told, *shape.notices))


def together(config: Dask, resources: Resources | None) -> Resources | None:
    """Give what the task and the workers take together; of a kind that one of them says nothing of, nothing."""
    each, count = _each(config, resources), _workers(config)
    if each is None:
        return resources
    own_cores, own_memory = cores_of(resources), memory_of(resources)
    cores, memory = cores_of(each), memory_of(each)
    return dataclasses.replace(
        resources or Resources(),
        cpu=cores * count if cores is not None else own_cores,
        memory=str_of(own_memory + memory * count) if own_memory is not None and memory is not None else None,
    )


def str_of(number: int) -> str:
    """Write bytes as a quantity."""
    return f"{-(-number // 1024)}Ki"


def _each(config: Dask, resources: Resources | None) -> Resources | None:
    return config.workers.resources or resources


def _workers(config: Dask) -> int:
    return config.workers.number_of_workers or 1


def _images(config: Dask) -> list[str]:
    images = {"scheduler": config.scheduler.image, "workers": config.workers.image}
    return [f"{name}.image {image!r} is not pulled: Dask runs in the Python of the task"
            for name, image in images.items() if image]  # fmt: skip


def _worded(workers: int, threads: int, memory: int | None) -> str:
    count, cores = f"{workers} worker{'s' * (workers != 1)}", f"{threads} thread{'s' * (threads != 1)}"
    return f"{count} of {cores}{f' and {size(memory)}' if memory else ''}"


def _here(share: Share) -> str:
    return f"{share.cores} core{'s' * (share.cores != 1)} and {size(share.memory)}"
