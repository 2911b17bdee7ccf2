"""Plugins for the Flyte SDK: one whose package is missing there is refused with what to install."""

from __future__ import annotations

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
