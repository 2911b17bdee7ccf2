"""Binding: warm workers run on the cores that their calls have."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.engine.local.machine import Machine
from flyte_nb.engine.policy import Policy
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.resources import Resources

from scripts import Bench

pytestmark = pytest.mark.skipif(len(Machine.here().core_numbers) < 2, reason="needs two cores that can be bound")

TASKS = """
import asyncio, os, threading, time
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="e", reusable=flyte.ReusePolicy((1, 2)), resources=flyte.Resources(cpu=1))
started = threading.Event()
numbers = []

def other() -> None:
    numbers.append(threading.get_native_id())
    started.set()
    time.sleep(600)

threading.Thread(target=other, daemon=True).start()

@env.task
def cores(seconds: float) -> list[int]:
    time.sleep(seconds)
    started.wait()
    return [os.getpid(), *os.sched_getaffinity(0), -1, *os.sched_getaffinity(numbers[0])]

@env.task
async def acores(seconds: float) -> list[int]:
    await asyncio.sleep(seconds)
    return [os.getpid(), *os.sched_getaffinity(0)]

@env.task
def outer() -> list[int]:
    return cores(0.0)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TASKS)
    yield bench
    bench.close()


def warm(cpu: int, concurrency: int = 1) -> Policy:
    reusable = ReusePolicy((1, 2), concurrency=concurrency)
    return Policy(environment="e", reusable=reusable, resources=Resources(cpu=cpu))


async def several(bench: Bench, task: str, times: int, policy: Policy) -> list[list[int]]:
    runs = await asyncio.gather(*(bench.arun(task, seconds=0.5, policy=policy) for _ in range(times)))
    return [run.outputs()[0] for run in runs]


def test_warm_workers_run_on_cores_of_their_own_with_all_their_threads(bench: Bench) -> None:
    one, other = bench.do(several(bench, "cores", 2, warm(1)))
    assert one[0] != other[0]
    assert one[1:] == [one[1], -1, one[1]]
    assert other[1:] == [other[1], -1, other[1]]
    assert one[1] != other[1]


def test_a_worker_that_runs_several_calls_has_the_cores_of_all(bench: Bench) -> None:
    one, other = bench.do(several(bench, "acores", 2, warm(1, concurrency=2)))
    assert one[0] == other[0]
    assert max(len(one), len(other)) == 3


def test_whoever_asks_for_all_cores_is_not_bound(bench: Bench) -> None:
    policy = warm(len(os.sched_getaffinity(0)))
    found = bench.run("cores", seconds=0.0, policy=policy).outputs()[0]
    assert set(found[1 : found.index(-1)]) == os.sched_getaffinity(0)
