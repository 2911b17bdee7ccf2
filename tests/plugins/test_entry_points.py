"""Entry points: installed packages bring plugins, which are loaded when they are needed; a broken one is left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = """
import dataclasses
from flyte_nb.extend import AsyncFunctionTaskTemplate, TaskPluginRegistry

@dataclasses.dataclass
class Grid:
    size: int = 1

@dataclasses.dataclass(kw_only=True)
class GridTask(AsyncFunctionTaskTemplate):
    plugin_config: Grid
    task_type: str = "grid"

    async def post(self, value):
        return value * self.plugin_config.size

def register():
    TaskPluginRegistry.register(Grid, GridTask)

print("loaded")
"""
USE = """
import flyte_nb as flyte
print("imported")
plain = flyte.TaskEnvironment("plain").task(lambda x: x)
print("declared")
import sys
sys.path.append({beside!r})
{then}
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with two installed packages: one has a plugin, the other names a module that cannot be imported."""
    for name, point in {"grid": "grid_plugin:register", "torn": "torn_plugin"}.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[flyte_nb.plugins]\n{name} = {point}\n")
    (tmp_path / "grid_plugin.py").write_text(PLUGIN)
    (tmp_path / "torn_plugin.py").write_text("raise SystemExit('torn')")
    return tmp_path


def run(installed: Path, then: str) -> tuple[list[str], str]:
    code = USE.format(beside=str(installed), then=then)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr


def test_plugins_of_packages_are_loaded_when_a_type_is_unknown_and_a_broken_one_is_told_once(installed: Path) -> None:
    then = """
for _ in range(2):
    try:
        flyte.TaskEnvironment("env", plugin_config={}).task(lambda: 1)
    except ValueError as error:
        print(error)
"""
    out, err = run(installed, then)
    assert out[:3] == ["imported", "declared", "loaded"]
    assert out[3] == out[4]
    assert "no plugin is registered for dict; registered: Grid, RayJobConfig (from" in out[3]
    assert err.count("the plugin 'torn' (torn_plugin) cannot be loaded and is skipped: SystemExit: torn") == 1


def test_a_task_of_a_packages_plugin_runs_with_its_hooks(installed: Path) -> None:
    then = """
from grid_plugin import Grid
env = flyte.TaskEnvironment("env", plugin_config=Grid(3))
task = env.task(lambda x: x)
import asyncio
print(task.task_type, asyncio.run(task.execute(2)))
"""
    assert run(installed, then)[0] == ["imported", "declared", "loaded", "grid 6"]


def test_a_class_of_the_flyte_sdks_plugin_has_a_twin_here(installed: Path) -> None:
    then = """
RayJobConfig = type("RayJobConfig", (), {"__module__": "flyteplugins.ray.task"})
try:
    flyte.TaskEnvironment("env", plugin_config=RayJobConfig()).task(lambda: 1)
except ValueError as error:
    print(error)
"""
    out, _ = run(installed, then)
    assert "from flyte_nb.plugins.ray import RayJobConfig" in out[-1]
