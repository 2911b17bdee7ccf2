"""Large inputs: shared with the workers, used again only when nobody has them, never changed under a task."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.engine.policy import Policy
from flyte_nb.environments.policies import ReusePolicy

from scripts import Bench

np = pytest.importorskip("numpy")

TASKS = """
import asyncio
from typing import Any
import numpy as np
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="e")
warm = flyte.TaskEnvironment(name="warm", reusable=flyte.ReusePolicy((1, 1)))
shared = flyte.TaskEnvironment(name="shared", reusable=flyte.ReusePolicy((1, 1), concurrency=10))
kept = []

@env.task
def total(data: Any) -> float:
    data[0] += 1
    return float(data.sum())

@env.task
def passes_on(data: Any) -> float:
    return add(data) + float(data[0])

@warm.task
def add(data: Any) -> float:
    data[0] += 1
    return float(data.sum())

@warm.task
def keeps(data: Any) -> int:
    kept.append(data)
    return len(kept)

@warm.task
def sums() -> list[float]:
    return [float(data.sum()) for data in kept]

@warm.task
def same(data: Any) -> Any:
    return data

@shared.task
async def awaits(data: Any) -> float:
    await asyncio.sleep(0.05)
    return float(data.sum())

@warm.task
def fails(data: Any) -> int:
    raise ValueError(str(data.shape))
"""
WARM = Policy(environment="warm", reusable=ReusePolicy((1, 1)))
SIZE = 1 << 17


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TASKS)
    yield bench
    bench.close()


def files(bench: Bench) -> int:
    return len(list(bench.engine.pool.segments.folder.glob("*-*")))


def test_a_task_has_its_own_copy(bench: Bench) -> None:
    data = np.ones(SIZE)
    for _ in range(3):
        assert bench.run("total", data=data).outputs() == (SIZE + 1,)
    assert data[0] == 1
    assert files(bench) == 1


def test_memory_is_used_again_by_warm_workers(bench: Bench) -> None:
    for n in range(5):
        assert bench.run("warm.add", data=np.full(SIZE, float(n)), policy=WARM).outputs() == (SIZE * n + 1,)
    assert files(bench) == 1


def test_what_a_worker_keeps_does_not_change(bench: Bench) -> None:
    for n in range(4):
        assert bench.run("warm.keeps", data=np.full(SIZE, float(n)), policy=WARM).outputs() == (n + 1,)
    bench.run("warm.add", data=np.full(SIZE, 9.0), policy=WARM)
    assert bench.run("warm.sums", policy=WARM).outputs() == ([SIZE * float(n) for n in range(4)],)
    assert files(bench) == 1


def test_what_comes_back_does_not_change(bench: Bench) -> None:
    made = [bench.run("warm.same", data=np.full(SIZE, float(n)), policy=WARM).outputs()[0] for n in range(3)]
    assert [array.sum() for array in made] == [SIZE * float(n) for n in range(3)]
    made[0][0] = 5.0
    assert made[0][0] == 5.0


def test_from_task_to_task(bench: Bench) -> None:
    assert bench.run("passes_on", data=np.ones(SIZE)).outputs() == (SIZE + 2.0,)
    assert files(bench) == 1


def test_async_tasks_that_share_a_worker(bench: Bench) -> None:
    policy = Policy(environment="shared", reusable=ReusePolicy((1, 1), concurrency=10))

    async def several() -> list[float]:
        work = (bench.arun("shared.awaits", data=np.full(SIZE, float(n)), policy=policy) for n in range(10))
        return [run.outputs()[0] for run in await asyncio.gather(*work)]

    for _ in range(3):
        assert bench.do(several()) == [SIZE * float(n) for n in range(10)]
    assert files(bench) <= 10


def test_a_failure_leaves_nothing(bench: Bench) -> None:
    for _ in range(3):
        assert bench.run("warm.fails", data=np.ones(SIZE), policy=WARM).error is not None
    assert files(bench) <= 1
