"""Plugins as the Flyte SDK has them: the configurations of the built-in ones."""

from __future__ import annotations

from typing import Any

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.kinds import Kind
from flyte_nb.plugins import dask, ray, spark

__all__ = ["KINDS"]

_AUTOSCALER = "flyteplugins.ray.AutoscalerOptionsConfig"


def _mode(options: ray.AutoscalerOptionsConfig) -> Any:
    if options.upscaling_mode is None:
        return None
    return sdk.find(f"{_AUTOSCALER}.UpscalingMode.{options.upscaling_mode.removeprefix('UPSCALING_MODE_')}")


KINDS = (
    Kind(ray.RayJobConfig, "flyteplugins.ray.RayJobConfig"),
    Kind(ray.HeadNodeConfig, "flyteplugins.ray.HeadNodeConfig"),
    Kind(ray.WorkerNodeConfig, "flyteplugins.ray.WorkerNodeConfig"),
    Kind(ray.AutoscalerOptionsConfig, _AUTOSCALER, values={"upscaling_mode": _mode}),
    Kind(spark.Spark, "flyteplugins.spark.Spark"),
    Kind(dask.Dask, "flyteplugins.dask.Dask"),
    Kind(dask.Scheduler, "flyteplugins.dask.Scheduler"),
    Kind(dask.WorkerGroup, "flyteplugins.dask.WorkerGroup"),
)
