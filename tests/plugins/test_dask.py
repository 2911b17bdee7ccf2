"""Dask: a real cluster around a task, with what is declared, and nothing of it left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts import Bench, is_gone, ran, soon, start, written

needs_dask = pytest.mark.skipif(
    find_spec("distributed") is None, reason="needs distributed: pip install 'flyte_nb[dask]'"
)
SLOW = 200  # seconds that a cluster may take on a busy machine
DECLARED = """
import os, time
import psutil
import flyte_nb as flyte
from flyte_nb.plugins.dask import Dask, Scheduler, WorkerGroup

each = flyte.Resources(cpu=1, memory="300Mi")
env = flyte.TaskEnvironment("e", plugin_config=Dask(Scheduler("a:1"), WorkerGroup(2, resources=each)))
one = flyte.TaskEnvironment("o", plugin_config=Dask(workers=WorkerGroup(1, resources=each)))

class Point:
    def __init__(self, x):
        self.x = x

def square(point):
    return Point(point.x ** 2)

def worker(_):
    return os.getpid()

def ends():
    os.kill(os.getpid(), 9)

def processes():
    return [p.pid for p in psutil.Process().children(recursive=True)]

@env.task
def looked() -> dict:
    from distributed import Client, get_client

    client, own = get_client(), Client()  # the second is what the task of the Flyte SDK writes, and leaves open
    info = client.scheduler_info()["workers"]
    return {
        "same": Client.current() is not None and own.scheduler.address == client.scheduler.address,
        "address": client.scheduler.address,
        "squares": [point.x for point in client.gather(client.map(square, [Point(n) for n in range(4)]))],
        "workers": len(info),
        "threads": sorted(one["nthreads"] for one in info.values()),
        "memory": {one["memory_limit"] for one in info.values()},
        "processes": processes(),
    }

@one.task
async def awaited(n: int) -> int:
    from distributed import Client

    async with Client(asynchronous=True) as client:
        return (await client.submit(square, Point(n))).x

@one.task
def dies() -> None:
    from distributed import get_client

    get_client().submit(ends).result()

@one.task
def raises() -> None:
    from distributed import get_client

    get_client().submit(lambda: {}["nothing"]).result()

@one.task
def waits(folder: str) -> None:
    with open(folder + "/pids", "w") as file:
        file.write(" ".join(map(str, processes())))
    os.rename(folder + "/pids", folder + "/ready")
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("dask"), DECLARED)
    yield bench
    bench.close()


def all_gone(pids: list[str] | list[int]) -> bool:
    return bool(pids) and soon(lambda: all(is_gone(int(pid)) for pid in pids), 20)


@needs_dask
@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_a_task_has_a_cluster_of_the_declared_shape(bench: Bench) -> None:
    run = bench.run("looked", timeout=SLOW)
    assert run.error is None, run.error
    told = run.outputs()[0]
    assert told["same"]
    assert told["squares"] == [0, 1, 4, 9]
    assert told["workers"] in (1, 2)  # as there are cores
    assert set(told["threads"]) == {1}
    assert told["memory"] == {300 << 20}
    assert told["address"].startswith("tcp://127.0.0.1:")
    assert all_gone(told["processes"])
    assert "scheduler.image 'a:1' is not pulled: Dask runs in the Python of the task" in run.root.notice
    page = "on this machine; its dashboard: http://127.0.0.1:" if find_spec("bokeh") else "300Mi on this machine"
    assert page in run.root.notice
    assert "Traceback" not in bench.printed("stderr")


@needs_dask
@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_an_async_task_has_a_client_of_its_own(bench: Bench) -> None:
    run = bench.run("o.awaited", n=7, timeout=SLOW)
    assert run.error is None, run.error
    assert run.outputs()[0] == 49


@needs_dask
@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_workers_that_die_are_one_clear_error(bench: Bench) -> None:
    run = bench.run("o.dies", timeout=SLOW)
    assert run.error is not None
    assert run.error.code == "KilledWorker", (run.error, run.error.remote_traceback, bench.printed("stderr"))
    assert "in dies" in run.error.remote_traceback
    assert "o.dies: the workers of its Dask cluster ended one after the other while they computed ends-" in str(
        run.error
    )
    assert "300Mi of memory is too little for one" in str(run.error)


@needs_dask
@pytest.mark.long
@pytest.mark.timeout(SLOW)
def test_an_error_in_a_worker_is_that_of_the_task(bench: Bench) -> None:
    run = bench.run("o.raises", timeout=SLOW)
    assert run.error is not None
    assert (run.error.code, str(run.error)) == ("KeyError", "'nothing'")


@needs_dask
@pytest.mark.long
@pytest.mark.timeout(SLOW)
def test_a_cancelled_run_leaves_no_worker(bench: Bench, tmp_path: Path) -> None:
    async def cancelled() -> None:
        task = asyncio.ensure_future(bench.arun("o.waits", folder=str(tmp_path)))
        while not (tmp_path / "ready").exists():
            assert not task.done()
            await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])

    bench.do(cancelled(), SLOW)
    assert all_gone((tmp_path / "ready").read_text().split())


@needs_dask
@pytest.mark.long
@pytest.mark.timeout(SLOW)
def test_a_killed_kernel_leaves_no_worker(tmp_path: Path) -> None:
    call = f"if __name__ == '__main__':\n    flyte.run(waits, {str(tmp_path)!r})\n"
    script = written(tmp_path / "script.py", f"{DECLARED}\n{call}")
    with start([str(script)], tmp_path) as process:
        assert soon(lambda: (tmp_path / "ready").exists(), SLOW - 30)
        process.kill()
        process.communicate()
    assert all_gone((tmp_path / "ready").read_text().split())


def test_a_missing_package_is_told_with_its_extra(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["distributed"] = None
import flyte_nb as flyte
from flyte_nb.plugins.dask import Dask
from flyte_nb.plugins.dask.cluster import cluster
try:
    with cluster(Dask(), None, "env.task"):
        pass
except flyte.errors.RuntimeUserError as error:
    print(error.code, error)
"""
    done = ran(["-c", code], tmp_path)
    told = "PackageMissing Dask is not installed in the Python of this task: pip install 'flyte_nb[dask]'"
    assert done.stdout.startswith(told), done.stderr
