"""Plugins for the Flyte SDK: one whose package is missing there is refused with what to install."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts import ROOT, surroundings
from sdk_process import SDK, WHY, has_sdk

SCRIPT = """
import sys
sys.modules["flyteplugins"] = None  # as where it is not installed
import flyte_nb as flyte
from flyte_nb.plugins.ray import RayJobConfig, WorkerNodeConfig
env = flyte.TaskEnvironment("env", plugin_config=RayJobConfig([WorkerNodeConfig("a", 1)]))

@env.task
def task() -> int:
    return 1

if __name__ == "__main__":
    try:
        flyte.to_flyte(env)
    except flyte.errors.DeploymentError as error:
        print(error)
"""


@pytest.mark.skipif(not has_sdk(), reason=WHY)
def test_a_plugin_that_is_not_installed_is_told_with_its_package(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([SDK, str(script)], capture_output=True, text=True, cwd=ROOT, env=surroundings(tmp_path))
    told = "RayJobConfig: the Flyte SDK's plugin for it is not installed; pip install flyteplugins-ray"
    assert done.stdout.strip() == told, done.stderr


SENT = """
import json
import flyte_nb as flyte
from flyte_nb.engine.cluster.environments import environments_as_sdk
from flyte_nb.plugins.dask import Dask, Scheduler, WorkerGroup
from flyte_nb.plugins.spark import Spark
import flyte as sdk
from flyte.models import SerializationContext

small = flyte.Resources(cpu=1, memory="1Gi")
config = Spark({"spark.executor.memory": "1g"}, {"a.b": "c"}, "/opt/python")
spark = flyte.TaskEnvironment("spark", plugin_config=config)
dask = flyte.TaskEnvironment("dask", plugin_config=Dask(Scheduler("a:1", small), WorkerGroup(3, "b:2", small)))

for env in spark, dask:
    @env.task
    def task() -> int:
        return 1

told = {}
for env in environments_as_sdk([spark, dask]).values():
    task = env.tasks[f"{env.name}.task"]
    told[env.name] = [task.task_type, task.custom_config(SerializationContext(version="1"))]
print(json.dumps(told))
"""
PLUGINS = "flyteplugins.spark", "flyteplugins.dask", "pyspark", "distributed"
FIND = f"from importlib.util import find_spec; print(find_spec('flyteplugins') and all(map(find_spec, {PLUGINS})))"


@pytest.mark.skipif(not has_sdk(), reason=WHY)
def test_what_a_cluster_is_sent_of_spark_and_dask_is_made_by_the_sdks_own_plugins(tmp_path: Path) -> None:
    if subprocess.run([SDK, "-c", FIND], capture_output=True, text=True).stdout.strip() != "True":
        pytest.skip("needs flyteplugins-spark and flyteplugins-dask beside the Flyte SDK")
    done = subprocess.run([SDK, "-c", SENT], capture_output=True, text=True, cwd=ROOT, env=surroundings(tmp_path))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    kind, spark = told["spark"]
    assert (kind, spark["sparkConf"], spark["hadoopConf"]) == ("spark", {"spark.executor.memory": "1g"}, {"a.b": "c"})
    assert spark["executorPath"] == "/opt/python"
    kind, dask = told["dask"]
    asked = {"requests": [{"name": "CPU", "value": "1"}, {"name": "MEMORY", "value": "1Gi"}]}
    assert kind == "dask"
    assert dask == {
        "scheduler": {"image": "a:1", "resources": asked},
        "workers": {"numberOfWorkers": 3, "image": "b:2", "resources": asked},
    }
