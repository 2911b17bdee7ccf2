"""The stand-in control plane as the SDK sees it: deploy, run, watch, stop and serve; and each of its faults."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from flyte_nb.headless import execute

from scripts import soon, written
from sdk_process import SDK, WHY, has_sdk

pytest.importorskip("connectrpc", reason="the stand-in control plane needs the Flyte SDK")
pytestmark = pytest.mark.skipif(not has_sdk(), reason=WHY)

from plane import Plane  # noqa: E402
from plane.notebook import Notebook  # noqa: E402

TASKS = """
import asyncio, os, sys, time
import flyte

env = flyte.TaskEnvironment("calc", image="python:3.11", env_vars={"LEVEL": "3"})

@env.task
async def double(x: int) -> int:
    return 2 * x

@env.task
async def total(values: list[int]) -> int:
    print("adding", values, flush=True)
    return sum([await double(value) for value in values]) + int(os.environ["LEVEL"])

@env.task(retries=1)
def fail(text: str) -> None:
    raise ValueError(f"cannot {text}")

@env.task
def sleep(seconds: float) -> None:
    print("asleep", flush=True)
    time.sleep(seconds)

web = flyte.app.AppEnvironment("web", image="python:3.11", port=9000, args="serve")
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("plane"), SDK) as plane:
        yield plane


@pytest.fixture(scope="module")
def sdk(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A notebook that uses the SDK alone."""
    folder = tmp_path_factory.mktemp("sdk")
    written(folder / "tasks.py", TASKS)
    notebook = Notebook(folder, plane.settings(folder / "home"))
    notebook.run("from pathlib import Path\nimport flyte, flyte.app, tasks")
    notebook.run("flyte.init_from_config(root_dir=Path.cwd())\nmade = flyte.deploy(tasks.env)")
    yield notebook
    notebook.end()


@pytest.fixture(autouse=True)
def _healed(plane: Plane) -> Iterator[None]:
    yield
    plane.heal()


def test_a_deployment_is_one_upload_and_one_call_for_each_task(plane: Plane, sdk: Notebook) -> None:
    assert [call.request["task_id"]["name"] for call in plane.of("TaskService.DeployTask")] == [
        "calc.double", "calc.total", "calc.fail", "calc.sleep"
    ]  # fmt: skip
    assert len(plane.bundles()) == 1
    assert not [call for call in plane.calls if call.answer not in ("ok",)]


def test_the_log_of_calls_is_a_table(plane: Plane, sdk: Notebook) -> None:
    lines = plane.told().splitlines()
    assert re.fullmatch(r" *1  ClusterService.SelectCluster +OPERATION_CREATE_UPLOAD_LOCATION", lines[0])
    assert re.search(r"DataProxyService.CreateUploadLocation +fast\w+\.tar\.gz$", lines[1])
    assert re.search(r"PUT +.*fast\w+\.tar\.gz, \d+ bytes$", lines[2])
    assert re.search(r"TaskService.DeployTask +calc.double, [0-9a-f]{32}$", lines[3])


def test_a_task_runs_as_a_container_would_and_so_do_those_that_it_calls(plane: Plane, sdk: Notebook) -> None:
    """Though the connection that watches it breaks: the client comes back."""
    plane.cut("RunService.WatchActionDetails", after=1, times=1)
    plane.fail("RunService.WatchActionDetails", "unavailable", skip=1, times=1)
    sdk.run("run = flyte.run(tasks.total, values=[3])\nrun.wait(quiet=True)")
    assert sdk.value("run.outputs()[0], run.phase.value, run.url.startswith('http')") == "9 succeeded True"
    assert "adding [3]" in sdk.value("list(run.get_logs())")
    assert len(plane.of("ActionsService.Enqueue")) == 1
    answers = [call.answer for call in plane.of("RunService.WatchActionDetails")]
    assert answers == ["connection cut", "unavailable", "ok"]


def test_a_failed_task_says_so_after_its_retries(plane: Plane, sdk: Notebook) -> None:
    sdk.run("run = flyte.run(tasks.fail, text='do it')\nrun.wait(quiet=True)")
    told = sdk.value("run.phase.value, run.details().action_details.error_info, run.details().action_details.attempts")
    assert "failed" in told
    assert "cannot do it" in told
    assert told.endswith(" 2")


def test_connections_may_be_refused_while_what_runs_goes_on_until_it_is_stopped(plane: Plane, sdk: Notebook) -> None:
    sdk.run("run = flyte.run(tasks.sleep, seconds=60.0)")
    name = sdk.value("run.name")
    with plane.refusing():
        assert "refused" in sdk.run("run.abort()", fails=True).error
        assert soon(lambda: "asleep" in plane.log(name), 60)
    sdk.run("run.abort()\nrun.wait(quiet=True)")
    assert sdk.value("run.phase.value") == "aborted"


def test_projects_are_listed(plane: Plane, sdk: Notebook) -> None:
    assert sdk.value("[p.pb2.id for p in flyte.remote.Project.listall()]") == "['shop']"


def test_a_secret_is_kept_by_name_and_its_value_is_in_no_log(plane: Plane, sdk: Notebook) -> None:
    sdk.run("from flyte.remote import Secret\nSecret.create('key', value='hidden-value')")
    assert sdk.value("[s.name for s in Secret.listall()]") == "['key']"
    assert plane.secrets.values == {"key": "hidden-value"}
    assert "hidden-value" not in str(list(plane.calls))


SERVE = "app = flyte.with_servecontext(copy_style='all', interactive_mode=False).serve(tasks.web)"


def test_an_app_starts_stops_and_goes(plane: Plane, sdk: Notebook) -> None:
    plane.apps.seconds = 0.2
    sdk.run(SERVE)
    assert sdk.value("app.is_active(), app.endpoint") == f"True {plane.endpoint}/apps/web"
    sdk.run("app = app.deactivate(wait=True)\napp = flyte.remote.App.get('web')")
    assert sdk.value("app.is_deactivated()") == "True"
    assert sdk.value("[app.name for app in flyte.remote.App.listall()]") == "['web']"
    sdk.run("flyte.remote.App.delete('web')")
    assert plane.apps.known == {}


def test_an_app_may_fail_to_start(plane: Plane, sdk: Notebook) -> None:
    plane.apps.failing.add("web")
    assert "has failed" in sdk.run(SERVE, fails=True).error


LESSON = [
    "import flyte, os\nflyte.init_from_config()",
    "env = flyte.TaskEnvironment('lesson', image='python:3.11')\n@env.task\ndef f(x: int) -> int:\n    return x + 1",
    "done = flyte.run(f, x=1)\ndone.wait(quiet=True)\nassert done.outputs()[0] == 2",
]


@pytest.mark.long
@pytest.mark.skipif(sys.executable != SDK, reason="a lesson runs in the tests' own Python")
def test_a_notebook_connects_by_its_environment(
    plane_for_notebook: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in plane_for_notebook.items():
        monkeypatch.setenv(name, value)
    cells = [nbformat.v4.new_code_cell(cell) for cell in LESSON]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "lesson.ipynb")
    executed = execute(tmp_path / "lesson.ipynb", timeout=120)
    assert executed.error is None, executed.error and executed.error.trace


# --- faults ---

DEPLOY = "flyte.deploy(tasks.env)"
LIST = "list(flyte.remote.Project.listall())"
UPLOAD = "flyte.remote.upload_file(Path('tasks.py'))"


@pytest.mark.parametrize(
    ("rpc", "code", "cell", "told"),
    [
        ("ProjectService.ListProjects", "permission_denied", LIST, "Ada may not"),
        ("ProjectService", "invalid_argument", LIST, "Ada may not"),
        ("*", "unauthenticated", LIST, "Ada may not"),
        ("PUT", "permission_denied", UPLOAD, "status 403: Ada may not"),
        ("RunService.CreateRun", "unauthenticated", "flyte.run(tasks.double, x=1)", "Ada may not"),
    ],
    ids=["call", "service", "any", "upload", "run"],
)
def test_a_call_may_be_refused(plane: Plane, sdk: Notebook, rpc: str, code: str, cell: str, told: str) -> None:
    plane.fail(rpc, code, "Ada may not")
    assert told in sdk.run(cell, fails=True).error
    assert plane.calls[-1].answer == code


def test_a_later_call_alone_may_be_refused(plane: Plane, sdk: Notebook) -> None:
    plane.fail("TaskService.DeployTask", "invalid_argument", skip=2, times=1)
    before = len(plane.calls)
    sdk.run(DEPLOY, fails=True)
    assert [call.answer for call in plane.calls[before:]].count("invalid_argument") == 1


def test_a_service_that_is_unavailable_may_come_back(plane: Plane, sdk: Notebook) -> None:
    plane.fail("ProjectService", "unavailable", times=2)
    sdk.run(LIST)
    assert [call.answer for call in plane.calls[-3:]] == ["unavailable", "unavailable", "ok"]


def test_an_answer_may_be_slow(plane: Plane, sdk: Notebook) -> None:
    plane.slow("ProjectService", 0.4)
    sdk.run("import time\nbegun = time.time()\n" + LIST + "\ntook = time.time() - begun")
    assert float(sdk.value("took")) >= 0.4


def test_an_upload_may_be_cut_off_and_tried_again(plane: Plane, sdk: Notebook) -> None:
    plane.cut("PUT", times=1)
    assert "backing off" in sdk.run(UPLOAD).printed
    assert [call.answer for call in plane.of("PUT")[-2:]] == ["connection cut", "ok"]


def test_an_upload_may_have_no_answer(plane: Plane, sdk: Notebook) -> None:
    plane.cut("PUT", after=-1)
    assert "Server disconnected" in sdk.run(UPLOAD, fails=True).error


def test_a_control_plane_of_another_version_lacks_a_service(plane: Plane, sdk: Notebook) -> None:
    plane.lack("ProjectService")
    assert "Not Found" in sdk.run(LIST, fails=True).error


def test_a_token_is_shown_on_encrypted_connections_alone(sdk: Notebook, tmp_path: Path) -> None:
    with Plane(tmp_path / "plane", SDK, encrypted=True) as plane:
        sdk.run(f"import os\nos.environ['SSL_CERT_FILE'] = {str(plane.certificate)!r}")
        place = f"ca_cert_file_path={str(plane.certificate)!r}, project='shop', domain='development'"
        for number, (how, is_right) in enumerate([
            ("'ExternalCommand', command=['echo', 'token-0']", True),
            ("'ExternalCommand', command=['echo', 'another']", False),
            ("'ClientSecret', client_id='ada', client_credentials_secret='lovelace'", True),
            ("'ClientSecret', client_id='ada', client_credentials_secret='another'", False),
        ]):  # fmt: skip
            plane.needs_token(f"token-{number}", ("ada", "lovelace"))
            sdk.run(f"flyte.init(endpoint={plane.endpoint!r}, {place}, auth_type={how})\n{LIST}", fails=not is_right)
    sdk.run("flyte.init_from_config(root_dir=Path.cwd())")
