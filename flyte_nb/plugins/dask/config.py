"""What a Dask cluster is: its scheduler and its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration
from flyte_nb.environments.resources import Resources

__all__ = ["Dask", "Scheduler", "WorkerGroup"]


def _count(value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ValueError("it is less than 1")
    return value


def _image(value: Any) -> Any:
    if isinstance(value, str) and (not value or value.split() != [value]):
        raise ValueError("it is empty, or has a space")
    return value


Image = Annotated[str | None, Check(_image, "the name of an image, such as 'ghcr.io/dask/dask:latest', or None")]


@dataclass(frozen=True, repr=False)
class Scheduler(Declaration):
    """The scheduler of a Dask cluster.

    Parameters
    ----------
    image : str, optional
        What it runs in; that of the task by default.
    resources : Resources, optional
        What it asks for.
    """

    image: Image = None
    resources: Resources | None = None


@dataclass(frozen=True, repr=False)
class WorkerGroup(Declaration):
    """The workers of a Dask cluster, all equal.

    Parameters
    ----------
    number_of_workers : int
        How many; at least 1.
    image : str, optional
        What they run in; that of the task by default.
    resources : Resources, optional
        What each asks for; as the environment by default.
    """

    number_of_workers: Annotated[
        int | None, Check(_count, "a whole number, at least 1", schema={"minimum": 1})
    ] = 1  # fmt: skip
    image: Image = None
    resources: Resources | None = None


@dataclass(frozen=True, repr=False)
class Dask(Declaration):
    """The Dask cluster of a task; as ``plugin_config`` of its environment.

    In the task ``distributed.Client()`` and ``distributed.get_client()`` are clients of it. On this machine the workers
    are processes that are started for the task, as far as the machine has room for them, and ended after it.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler.
    workers : WorkerGroup
        The workers.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts.
    """

    scheduler: Scheduler = field(default_factory=Scheduler)
    workers: WorkerGroup = field(default_factory=WorkerGroup)
