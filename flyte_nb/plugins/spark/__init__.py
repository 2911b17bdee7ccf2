"""Spark: tasks that have a Spark session around them (extra ``spark``)."""

from flyte_nb.plugins.spark.config import Spark
from flyte_nb.plugins.spark.task import PysparkFunctionTask

__all__ = ["PysparkFunctionTask", "Spark"]
