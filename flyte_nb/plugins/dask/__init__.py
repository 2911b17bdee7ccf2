"""Dask: tasks that have a Dask cluster around them (extra ``dask``)."""

from flyte_nb.plugins.dask.config import Dask, Scheduler, WorkerGroup
from flyte_nb.plugins.dask.task import DaskTask

__all__ = ["Dask", "DaskTask", "Scheduler", "WorkerGroup"]
