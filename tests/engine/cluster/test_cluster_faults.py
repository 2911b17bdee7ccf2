"""What goes wrong between a notebook and a cluster: one clear error each, the store as it was, the kernel alive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernels import Kernel, new_kernel

pytest.importorskip("flyte", reason="the Flyte SDK is not installed")
pytest.importorskip("uvicorn", reason="the stand-in of a control plane needs uvicorn")

from plane import Plane

DECLARED = """
one = flyte.TaskEnvironment("one", image="python:3.11")
two = flyte.TaskEnvironment("two", image="python:3.11", depends_on=[one])

@one.task
def first(x: int) -> int:
    print("first", x, flush=True)
    return x

@two.task
def second(x: int) -> int:
    import time

    print("begins", flush=True)
    time.sleep(2)
    print("ends", flush=True)
    return x
"""
CHANGED = "@one.task\ndef first(x: int) -> int:\n    return x + {}"


@pytest.fixture(scope="module")
def shared_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture
def plane(shared_plane: Plane) -> Iterator[Plane]:
    yield shared_plane
    shared_plane.heal()


@pytest.fixture(scope="module")
def kernel(shared_plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "home").mkdir()
    with new_kernel(folder) as kernel:
        kernel.run(f"import os\nos.environ['HOME'] = {str(folder / 'home')!r}")
        kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        kernel.run(
            f"options = dict(endpoint={shared_plane.endpoint!r}, insecure=True, project='shop', domain='development')\n"
            "flyte.init(**options, rpc_retries=0)"
        )
        kernel.run("import time\nfrom flyte_nb.engine.cluster.connection import connect")
        kernel.run("there = flyte.with_runcontext(engine='cluster')")
        kernel.run(DECLARED)
        kernel.run("flyte.deploy(two, engine='cluster')")
        yield kernel


def placed(kernel: Kernel) -> str:
    return kernel.value("[(d.environment, d.version, d.place, d.current) for d in flyte.deployments()]")


def fails(kernel: Kernel, code: str) -> str:
    """Run a cell that fails, and insist on one short error, a store as it was and a kernel that lives."""
    before = placed(kernel)
    ran = kernel.run(code, fails=True)
    assert len(ran.error.splitlines()) < 12, ran.error
    assert "Traceback" not in ran.printed + ran.error
    assert "[flyte]" not in ran.printed
    assert placed(kernel) == before
    return " ".join(ran.error.split())


DEPLOY = "flyte.deploy(two, engine='cluster')"


@pytest.fixture(autouse=True)
def changed(kernel: Kernel, request: pytest.FixtureRequest) -> None:
    """Another content for each test."""
    kernel.run(CHANGED.format(abs(hash(request.node.name))))


def test_nobody_answers(kernel: Kernel, plane: Plane) -> None:
    with plane.refusing():
        told = fails(kernel, DEPLOY)
        assert "DeploymentError (Unreachable): not deployed, the last version is untouched: uploading the code" in told
        assert f"{plane.endpoint} does not answer" in told
        assert "Unreachable): running one.first" in fails(kernel, "there.run(first, 1)")
    assert "deployed at version" in kernel.run(DEPLOY).shown


def test_who_asks_is_unknown(kernel: Kernel, plane: Plane) -> None:
    plane.needs_token("a token")
    assert "(Unauthenticated)" in fails(kernel, DEPLOY)
    assert "does not know who asks" in fails(kernel, "there.run(first, 1)")


def test_who_asks_may_not(kernel: Kernel, plane: Plane) -> None:
    plane.fail("RunService.CreateRun", "permission_denied", "ada may not run here; token=abcdef123456")
    told = fails(kernel, "there.run(first, 1)")
    assert "(PermissionDenied): running one.first" in told
    assert "ada may not run here" in told
    assert "abcdef123456" not in told


def test_a_task_is_rejected_among_others(kernel: Kernel, plane: Plane) -> None:
    plane.fail("TaskService.DeployTask", "invalid_argument", "no such image", skip=1)
    told = fails(kernel, DEPLOY)
    assert "(Rejected): not deployed, the last version is untouched: deploying" in told
    assert "refuses it. What it says: no such image" in told
    plane.heal()
    assert "deployed at version" in kernel.run(DEPLOY).shown


def test_an_answer_takes_too_long(kernel: Kernel, plane: Plane) -> None:
    kernel.run("connect(**options, patience=0.5)")
    plane.slow("TaskService.DeployTask", 5)
    assert "(TooSlow)" in fails(kernel, DEPLOY)
    kernel.run("flyte.init(**options, rpc_retries=0)")


def test_an_upload_is_cut_off(kernel: Kernel, plane: Plane) -> None:
    plane.cut("PUT")
    told = fails(kernel, DEPLOY)
    assert "(UploadCutOff)" in told
    assert "X-Signature" not in told
    plane.heal()
    assert "deployed at version" in kernel.run(DEPLOY).shown


def test_a_control_plane_of_another_version(kernel: Kernel, plane: Plane) -> None:
    plane.lack("TaskService")
    told = fails(kernel, DEPLOY)
    assert "(VersionSkew)" in told
    assert "do not understand each other" in told
    assert "2.3.9 to 2.12.1 are tested" in told


def test_a_watch_that_breaks_is_taken_up_again(kernel: Kernel, plane: Plane) -> None:
    plane.cut("RunService.WatchActionDetails", after=1, times=2)
    plane.cut("DataProxyService.TailLogs", after=1, times=1)
    plane.fail("RunService.ListActions", "unavailable", times=1)
    ran = kernel.run("there.run(second, 5).outputs()")
    assert ran.shown.endswith("(5,)")
    assert ran.printed.count("begins") == ran.printed.count("ends") == 1


def test_a_control_plane_that_is_gone_for_a_while(kernel: Kernel, plane: Plane) -> None:
    kernel.run("run = flyte.with_runcontext(engine='cluster', wait=False).run(second, 6)")
    kernel.run("while 'begins' not in run.logs(): time.sleep(0.05)")
    with plane.refusing():
        assert kernel.value("run.phase.value") == "'running'"
    assert kernel.value("run.outputs(), run.logs()") == "((6,), 'begins\\nends\\n')"


def test_a_run_lost_from_sight_is_found_again(kernel: Kernel, plane: Plane) -> None:
    kernel.run("connect(**options, rpc_retries=0, patience=0.5)")
    kernel.run("run = flyte.with_runcontext(engine='cluster', wait=False).run(second, 7)")
    kernel.run("while 'begins' not in run.logs(): time.sleep(0.05)")
    with plane.refusing():
        told = kernel.run("run.outputs()", fails=True).error
    assert "lost sight of run" in told
    kernel.run("flyte.init(**options, rpc_retries=0)")
    assert "running in the cluster" in kernel.run("%flyte runs").shown
    kernel.run("from flyte_nb.session import current_session\nagain = current_session().find_run(run.name)")
    assert kernel.value("again.outputs(), again.logs()") == "((7,), 'begins\\nends\\n')"
    assert "succeeded in the cluster" in kernel.run("%flyte runs").shown


def test_no_cluster_is_known(kernel: Kernel) -> None:
    kernel.run("import flyte as sdk\nsdk._initialize._init_config = None\nflyte.init()")
    assert "no cluster is known here. Name one with flyte.init" in fails(kernel, DEPLOY)
    assert "InitializationError (NotInitialized)" in fails(kernel, "there.run(first, 1)")
    kernel.run("flyte.init(**options, rpc_retries=0)")
