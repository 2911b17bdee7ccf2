"""A Dask cluster around a task: its scheduler in the task's process, its workers in processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from flyte_nb.context.notices import notice
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import RuntimeUserError
from flyte_nb.plugins.amounts import size
from flyte_nb.plugins.dask.config import Dask
from flyte_nb.plugins.dask.shape import Shape, shape_of
from flyte_nb.plugins.missing import insist_on
from flyte_nb.plugins.scratch import scratch
from flyte_nb.plugins.share import Share

__all__ = ["cluster"]

PATIENCE = 60.0  # seconds for workers to start, and to end


@contextmanager
def cluster(config: Dask, resources: Resources | None, name: str) -> Iterator[Mapping[str, Any]]:
    """Have a Dask cluster; a client of it is the default of this process meanwhile.

    Parameters
    ----------
    config : Dask
        What is declared.
    resources : Resources, optional
        What the task may have of this machine beside the workers.
    name : str
        The task.

    Raises
    ------
    RuntimeUserError
        When distributed is not installed, the cluster cannot be started, or workers end while they compute one thing.
    """
    insist_on("distributed", "dask", "Dask")
    import dask
    from distributed import Client, KilledWorker, LocalCluster

    shape = shape_of(config, resources, Share.here())
    with contextlib.ExitStack() as held:
        settings = _settings(shape, str(held.enter_context(scratch("dask"))))
        try:
            local = LocalCluster(**settings)
            held.callback(_close, local)
            client = Client(local)
            held.callback(_close_clients, Client, local.scheduler_address)
            client.wait_for_workers(shape.workers, PATIENCE)
        except (OSError, RuntimeError, TimeoutError) as error:
            told = f"the Dask cluster of {name} did not start: {str(error) or type(error).__name__:.500}"
            raise RuntimeUserError("DaskNotStarted", told) from error
        held.enter_context(dask.config.set({"scheduler-address": local.scheduler_address}))
        _tell(shape, local)
        try:
            yield {}
        except KilledWorker as error:
            raise _killed(error, name, shape).with_traceback(error.__traceback__) from None


def _settings(shape: Shape, folder: str) -> dict[str, Any]:
    """Give what a cluster on this machine is made with; nobody else's machine reaches it."""
    page = "127.0.0.1:0" if find_spec("bokeh") is not None else None
    return {
        "n_workers": shape.workers, "threads_per_worker": shape.threads, "memory_limit": shape.memory,
        "host": "127.0.0.1", "dashboard_address": page, "local_directory": folder,
    }  # fmt: skip


def _close_clients(kind: Any, address: str) -> None:
    """Close the clients of a cluster, those that the task has made and left open, too: else they look for it."""
    for client in list(getattr(kind, "_instances", ())):
        if not client.asynchronous and client.scheduler is not None and client.scheduler.address == address:
            client.close()


def _close(local: Any) -> None:
    """End a cluster; where Dask does not, as when a worker is just being started again, its processes are killed."""
    workers = list(local.workers.values())
    try:
        local.close(PATIENCE)
    except Exception:  # an assertion of its own, or no time left
        for pid in filter(None, (getattr(worker, "pid", None) for worker in workers)):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _tell(shape: Shape, local: Any) -> None:
    """Tell what the cluster is, and where its pages are."""
    for text in shape.notices:
        notice(text)
    page = f"; its dashboard: {local.dashboard_link}" if find_spec("bokeh") is not None else ""
    notice(f"Dask {version('distributed')}: {shape} on this machine{page}")


def _killed(error: Any, name: str, shape: Shape) -> RuntimeUserError:
    """Word the end of workers that computed one thing, one after the other."""
    return RuntimeUserError(
        "KilledWorker",
        f"{name}: the workers of its Dask cluster ended one after the other while they computed {error.task}; perhaps "
        f"{size(shape.memory)} of memory is too little for one; ask for more: "
        "WorkerGroup(resources=Resources(memory=…))",
    )
