"""Ray: tasks that have a Ray cluster around them (extra ``ray``)."""

from flyte_nb.plugins.ray.config import AutoscalerOptionsConfig, HeadNodeConfig, RayJobConfig, WorkerNodeConfig
from flyte_nb.plugins.ray.task import RayFunctionTask

__all__ = ["AutoscalerOptionsConfig", "HeadNodeConfig", "RayFunctionTask", "RayJobConfig", "WorkerNodeConfig"]
