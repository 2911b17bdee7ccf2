"""The cluster engine, from a real kernel against the stand-in of a control plane: deploying, running, watching."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from kernels import Kernel, new_kernel
from scripts import surroundings

pytest.importorskip("flyte", reason="the Flyte SDK is not installed")
pytest.importorskip("uvicorn", reason="the stand-in of a control plane needs uvicorn")

from plane import Plane

DECLARED = """
from dataclasses import dataclass

up = flyte.TaskEnvironment("up", image="python:3.11")
env = flyte.TaskEnvironment("calc", image="python:3.11", depends_on=[up], env_vars={"A": "b"})

@dataclass
class Point:
    x: int
    y: float = 0.5

class Odd:
    def __init__(self, point):
        self.point = point

@up.task
def base() -> int:
    return 3

@env.task
def double(x: int) -> int:
    print("doubling", x)
    return 2 * x

@env.task
async def moved(point: Point, odd: Odd) -> tuple[Point, Odd]:
    assert type(point) is Point
    assert isinstance(odd.point, Point)
    return Point(point.x + odd.point.x), Odd(point)

@env.task
def total(n: int) -> int:
    return double(n) + base()

@env.task
def fails(x: int) -> int:
    y = x + 1
    raise ValueError(f"bad {y}")

@env.task
def sleeps() -> int:
    import time

    print("asleep", flush=True)
    time.sleep(600)
    return 0
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture(scope="module")
def kernel(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "home").mkdir()
    with new_kernel(folder) as kernel:
        kernel.run(f"import os\nos.environ['HOME'] = {str(folder / 'home')!r}")
        kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        kernel.run(f"flyte.init(endpoint={plane.endpoint!r}, insecure=True, project='shop', domain='development')")
        kernel.run("there = flyte.with_runcontext(engine='cluster')")
        kernel.run(DECLARED)
        yield kernel


def test_deploying_makes_one_bundle_and_one_upload(kernel: Kernel, plane: Plane) -> None:
    plane.calls.clear()
    ran = kernel.run("made = flyte.deploy(env, engine='cluster')\nmade")
    assert "up  deployed at version" in ran.shown
    assert "calc  deployed at version" in ran.shown
    assert [len(plane.of(rpc)) for rpc in ("PUT", "TaskService.DeployTask")] == [1, 6]
    assert {call.request["task_id"]["version"] for call in plane.of("TaskService.DeployTask")} == {
        kernel.value("made[0].version").strip("'")
    }
    with tarfile.open(plane.bundles()[-1]) as bundle:
        (name,) = [name for name in bundle.getnames() if name.endswith(".py")]
    assert name.startswith("notebook_")


def test_what_is_there_already_is_left_as_it_is(kernel: Kernel, plane: Plane) -> None:
    kernel.run("flyte.deploy(env, engine='cluster')")
    plane.calls.clear()
    assert "calc  unchanged at version" in kernel.run("flyte.deploy(env, engine='cluster')").shown
    assert plane.of("PUT") == []
    assert {call.answer for call in plane.of("TaskService.DeployTask")} == {"already_exists"}


def test_a_dry_run_asks_the_cluster_nothing(kernel: Kernel, plane: Plane) -> None:
    plane.calls.clear()
    assert (
        "calc  would deploy at version dry"
        in kernel.run("%flyte deploy calc --engine cluster --dry-run --version dry").shown
    )
    assert list(plane.calls) == []


def test_history_tells_where(kernel: Kernel, plane: Plane) -> None:
    kernel.run("flyte.deploy(up, engine='cluster', version='v1')")
    assert f"current at {plane.endpoint} shop/development" in kernel.run("%flyte history up").shown
    told = kernel.run("flyte.deploy(env, engine='cluster', version='v1')\nflyte.deployments(env)[0].place").shown
    assert told == f"'{plane.endpoint} shop/development'"
    assert "No such" not in kernel.run("flyte.deployments()").shown


def test_a_version_is_of_one_content(kernel: Kernel) -> None:
    kernel.run("other = flyte.TaskEnvironment('other', image='python:3.11')\n@other.task\ndef one() -> int: return 1")
    kernel.run("flyte.deploy(other, engine='cluster', version='v1')")
    kernel.run("other = flyte.TaskEnvironment('other', image='python:3.12')\n@other.task\ndef one() -> int: return 2")
    told = kernel.run("flyte.deploy(other, engine='cluster', version='v1')", fails=True).error
    assert "'v1' of 'other' is deployed already, with other content" in told


def test_a_task_runs_as_it_is_declared(kernel: Kernel, plane: Plane) -> None:
    plane.calls.clear()
    ran = kernel.run("run = there.run(double, x=4)\nprint(run.outputs(), run.engine, run.phase.value, run.url)")
    told = f"doubling 4\n(8,) cluster succeeded {plane.endpoint}/v2/domain/development/project/shop/runs/"
    assert ran.printed.startswith(told)
    assert kernel.run("print(run.logs())").printed == "doubling 4\n\n"
    (asked,) = plane.of("RunService.CreateRun")
    assert asked.request["task_spec"]["task_template"]["id"]["name"] == "calc.double"
    assert "cluster" in kernel.run("%flyte runs").shown


def test_classes_of_cells_go_there_and_come_back(kernel: Kernel) -> None:
    kernel.run("point, odd = there.run(moved, Point(1), odd=Odd(Point(2))).outputs()")
    assert kernel.value("type(point) is Point, point, type(odd) is Odd, odd.point") == (
        "(True, Point(x=3, y=0.5), True, Point(x=1, y=0.5))"
    )


def test_tasks_that_a_task_calls_are_actions(kernel: Kernel) -> None:
    ran = kernel.run("run = flyte.with_runcontext(mode='remote').run(total, n=2)\nrun.outputs()")
    assert ran.shown.endswith("(7,)")
    assert "doubling 2\n" in ran.printed
    told = kernel.value("[(a.task, a.parent, a.phase.value) for a in run.actions]")
    assert told.replace("\n", "") == (
        "[('calc.total', None, 'succeeded'), ('calc.double', 'a0', 'succeeded'), ('up.base', 'a0', 'succeeded')]"
    )
    assert "calc.double" in kernel.run("print(flyte.current_registry())\n%flyte watch --text").shown


def test_a_task_that_fails_names_its_cell_and_line(kernel: Kernel) -> None:
    told = kernel.run("there.run(fails, 2)", fails=True).error
    assert "RuntimeUserError (ValueError): bad 3" in told
    assert 'raise ValueError(f"bad {y}")' in told
    assert "In [5], line 37, in fails" in told
    assert kernel.value("1 + 1") == "2"


def test_what_is_said_of_a_run_goes_there(kernel: Kernel, plane: Plane) -> None:
    plane.calls.clear()
    kernel.run(
        "flyte.with_runcontext(engine='cluster', name='mine-1', env_vars={'B': 'c'}, labels={'l': 'm'}, queue='fast',\n"
        "    interruptible=False, overwrite_cache=True).run(double, 1)"
    )
    (asked,) = plane.of("RunService.CreateRun")
    assert asked.request["run_id"]["name"] == "mine-1"
    told = asked.request["run_spec"]
    assert {"key": "B", "value": "c"} in told["envs"]["values"]
    assert (told["labels"], told["overwrite_cache"]) == ({"values": {"l": "m"}}, True)
    assert told["interruptible"] is False
    again = kernel.run("flyte.with_runcontext(engine='cluster', name='mine-1').run(double, 1)", fails=True).error
    assert "(AlreadyExists)" in again


def test_a_run_can_be_cancelled(kernel: Kernel, plane: Plane) -> None:
    plane.calls.clear()
    kernel.run("run = flyte.with_runcontext(engine='cluster', wait=False).run(sleeps)")
    kernel.run("import time\nwhile 'asleep' not in run.logs(): time.sleep(0.05)\nrun.cancel()")
    assert kernel.value("run.phase.value, run.root.error") == "('aborted', 'ABORTED: the run was cancelled')"
    assert len(plane.of("RunService.AbortRun")) == 1
    assert "was cancelled" in kernel.run("run.outputs()", fails=True).error


def test_what_only_this_machine_has_is_refused(kernel: Kernel) -> None:
    told = kernel.run("flyte.with_runcontext(engine='cluster', keep='always')", fails=True).error
    assert "accepted  nothing, with engine='cluster'" in told
    assert "the cluster keeps inputs and outputs itself" in told


def test_a_deployed_task_runs_at_its_version(kernel: Kernel, plane: Plane) -> None:
    kernel.run("far = flyte.TaskEnvironment('far', image='python:3.11')")
    kernel.run("@far.task\ndef adds(x: int, y: int = 5) -> int:\n    return x + y")
    kernel.run("flyte.deploy(far, engine='cluster', version='first')")
    kernel.run("@far.task\ndef adds(x: int, y: int = 5) -> int:\n    return x - y")
    plane.calls.clear()
    assert kernel.value("there.run(flyte.deployed('far.adds'), 1).outputs()").endswith("(6,)")
    assert kernel.value("flyte.deployed('far.adds', version='first')(x=1, y=2)").endswith("3")
    asked = [call.request for call in plane.of("RunService.CreateRun")]  # older versions send the specification
    ids = [one.get("task_id") or one["task_spec"]["task_template"]["id"] for one in asked]
    assert [one["version"] for one in ids] == ["first", "first"]
    assert f"version first at {plane.endpoint}" in kernel.value("flyte.deployed('far.adds')")
    told = kernel.run("flyte.deploy(far)\nthere.run(flyte.deployed('far.adds'), 1)", fails=True).error
    assert "(NotFound)" in told


def test_files_go_there_and_come_back(kernel: Kernel) -> None:
    kernel.run("""
from pathlib import Path
from flyte_nb.io import File

@env.task
async def longer(file: File) -> File:
    text = Path(file.path.removeprefix("file://")).read_text()
    Path("longer.txt").write_text(text + " and more")
    return await File.from_local("longer.txt")
""")
    kernel.run("Path('text.txt').write_text('some')\n(made,) = there.run(longer, File('text.txt')).outputs()")
    told = kernel.value("type(made) is File, Path(made.path.removeprefix('file://')).read_text()")
    assert told == "(True, 'some and more')"


def test_a_kernel_that_is_started_anew_takes_a_run_up(kernel: Kernel, plane: Plane, tmp_path: Path) -> None:
    with new_kernel(kernel.folder) as first:
        first.run(f"import os\nos.environ['HOME'] = {str(tmp_path)!r}\n%load_ext flyte_nb\nimport flyte_nb as flyte")
        first.run(f"flyte.init(endpoint={plane.endpoint!r}, insecure=True, project='shop', domain='development')")
        first.run(
            "env = flyte.TaskEnvironment('late', image='python:3.11')\n@env.task\ndef waits() -> int:\n"
            "    import time\n    print('begins', flush=True)\n    time.sleep(3)\n    print('ends')\n    return 4"
        )
        first.run("run = flyte.with_runcontext(engine='cluster', wait=False).run(waits)\nimport time")
        first.run("while 'begins' not in run.logs(): time.sleep(0.05)")
        name = first.run("print(run.name)").printed.strip()
    assert f"{name}  late.waits" in kernel.run("%flyte runs").shown
    kernel.run("from flyte_nb.session import current_session")
    assert kernel.value(f"again = current_session().find_run({name!r})\nagain.outputs(), again.logs()") == (
        "((4,), 'begins\\nends\\n')"
    )


def test_a_notebook_is_deployed_from_a_shell(plane: Plane, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(
        "import flyte_nb as flyte\nshell = flyte.TaskEnvironment('shell', image='python:3.11')\n"
        "@shell.task\ndef one() -> int:\n    return 1"
    )])  # fmt: skip
    nbformat.write(notebook, tmp_path / "shop.ipynb")
    (tmp_path / "config.yaml").write_text(
        f"admin:\n  endpoint: {plane.endpoint}\n  insecure: true\ntask:\n  project: shop\n  domain: development\n"
    )
    plane.calls.clear()
    words = [sys.executable, "-m", "flyte_nb", "deploy", "shop.ipynb", "--engine", "cluster", "--version", "v7"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=surroundings(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "shell  deployed at version v7: one" in done.stdout
    assert [call.request["task_id"]["name"] for call in plane.of("TaskService.DeployTask")] == ["shell.one"]
