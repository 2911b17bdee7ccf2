"""Ray clusters on this machine: two nodes, kept warm, joined, and ended with every process, however that comes."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import psutil
import pytest
from flyte_nb import session
from flyte_nb.errors import RuntimeSystemError, RuntimeUserError
from flyte_nb.plugins.ray import HeadNodeConfig, RayJobConfig, WorkerNodeConfig

from scripts import soon

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'flyte_nb[ray]'"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
PATIENCE = 60.0  # seconds for processes to be gone on a busy machine
TWO = RayJobConfig(
    [WorkerNodeConfig("workers", 1, ray_start_params={"resources": '{"fast": 2}'})],
    HeadNodeConfig(requests=flyte.Resources(cpu=1)),
    runtime_env={"env_vars": {"TOLD": "by the runtime"}},
)
warm = flyte.TaskEnvironment("ray-warm", plugin_config=TWO, reusable=flyte.ReusePolicy(1, idle_ttl=3600))
cold = flyte.TaskEnvironment("ray-cold", plugin_config=RayJobConfig([]))


@warm.task
def nodes() -> list[list[str]]:
    import ray

    @ray.remote
    def node() -> list[str]:
        return [ray.get_runtime_context().get_node_id(), os.environ["TOLD"]]

    asked: list[dict[str, float]] = [{}, {"fast": 1}, {"fast": 1}]
    return ray.get([node.options(resources=resources).remote() for resources in asked])


@warm.task
async def place() -> list[Any]:
    data = flyte.ctx().data
    return [os.getpid(), data["ray_address"], data["ray_dashboard"]]


@warm.task
def fails() -> int:
    import ray

    return ray.get(ray.remote(lambda: 1 // 0).remote())


@warm.task
def loses(process: str) -> int:
    """Lose a process of the head, as to whoever is out of memory."""
    import ray
    from ray._private import worker

    worker._global_node.all_processes[process][0].process.kill()
    return ray.get(ray.remote(lambda: time.sleep(3600)).remote())


@cold.task
def sums(n: int) -> int:
    import ray

    square = ray.remote(lambda x: x * x)
    return sum(ray.get([square.remote(x) for x in range(n)]))


@cold.task
def waits(told: str) -> None:
    """Tell the address, and wait to be ended."""
    import ray

    @ray.remote
    def forever() -> None:
        Path(f"{told}.pids").write_text(f"{os.getpid()} {os.getppid()}")
        time.sleep(3600)

    Path(told).write_text(f"{os.getpid()} {flyte.ctx().data['ray_address']}")
    ray.get(forever.remote())


@pytest.fixture(scope="module", autouse=True)
def _own_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("user")))  # where Ray keeps its token
        patch.setattr(session, "_session", None)
        yield
        session.current_session().close()


def told(run: Any) -> str:
    return str(run.root.notice)


def test_tasks_run_on_both_nodes() -> None:
    run = flyte.run(nodes)
    (head, told_head), (first, _), (second, _) = run.outputs()[0]
    assert head != first == second
    assert told_head == "by the runtime"
    assert "head 1 CPU, workers 1 x 1 CPU; dashboard http://127.0.0.1:" in told(run)


def test_the_cluster_stays_between_calls_and_its_dashboard_answers() -> None:
    pid, address, dashboard = flyte.run(place).outputs()[0]
    with pytest.raises(RuntimeUserError) as raised:
        flyte.run(fails)
    assert "ZeroDivisionError" in raised.value.code or "division" in str(raised.value)
    assert flyte.run(place).outputs()[0] == [pid, address, dashboard]
    with urllib.request.urlopen(dashboard, timeout=30) as answer:
        assert answer.status == 200


def test_a_task_joins_a_running_cluster_and_leaves_it_running() -> None:
    pid, address, _ = flyte.run(place).outputs()[0]
    joining = sums.override(plugin_config=RayJobConfig([], address=address), env_vars={"RAY_AUTH_MODE": "token"})
    run = flyte.run(joining, n=4)
    assert run.outputs()[0] == 14
    assert f"joined {address}" in told(run)
    assert flyte.run(place).outputs()[0][:2] == [pid, address]


def test_an_address_without_a_cluster_is_one_error() -> None:
    with pytest.raises(
        RuntimeUserError, match=r"no Ray cluster answers at 127\.0\.0\.1:9.*or leave address out"
    ) as error:
        flyte.run(sums.override(plugin_config=RayJobConfig([], address="127.0.0.1:9")), n=1)
    assert error.value.code == "RayUnreachable"


@pytest.mark.long
@pytest.mark.parametrize("process", ["gcs_server", "raylet"])
def test_a_cluster_that_dies_is_one_error_and_the_next_call_has_a_new_one(process: str) -> None:
    before = flyte.run(place).outputs()[0]
    with pytest.raises(RuntimeSystemError, match=f"{process} ended with exit code -9") as raised:
        flyte.run(loses, process=process)
    assert raised.value.code == "RayDied"
    assert flyte.run(place).outputs()[0][:2] != before[:2]


def _family(told: Path) -> list[psutil.Process]:
    """Give the worker of `waits`, once it has a Ray task that runs, with every process below it."""
    assert soon(lambda: Path(f"{told}.pids").exists() and Path(f"{told}.pids").read_text().count(" ") == 1, 300)
    worker = psutil.Process(int(told.read_text().split()[0]))
    family = [worker, *worker.children(recursive=True)]
    assert {int(pid) for pid in Path(f"{told}.pids").read_text().split()} <= {process.pid for process in family}
    assert any("gcs_server" in process.name() for process in family)
    return family


def _are_gone(family: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(family, PATIENCE)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


@pytest.mark.long
def test_two_clusters_at_once_and_nothing_is_left_of_one_whose_worker_is_killed_or_run_cancelled(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    def run(file: Path) -> None:
        with pytest.raises(Exception, match=r"signal 9|SIGKILL|killed"):
            flyte.run(waits, told=str(file))

    async def cancelled() -> None:
        task = asyncio.ensure_future(flyte.run.aio(waits, told=str(second)))
        await asyncio.to_thread(families.append, await asyncio.to_thread(_family, second))
        task.cancel()
        await asyncio.wait([task])

    families: list[list[psutil.Process]] = []
    thread = threading.Thread(target=run, args=(first,))
    thread.start()
    family = _family(first)
    asyncio.run(cancelled())
    assert _are_gone(families[0])
    assert all(process.is_running() for process in family[:1])
    os.kill(family[0].pid, signal.SIGKILL)
    thread.join()
    assert _are_gone(family)
