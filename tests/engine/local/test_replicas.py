"""Warm workers: how many there are, what they share, when they are replaced, and that none outlives its use."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.engine.base import Phase, Run
from flyte_nb.engine.policy import Policy
from flyte_nb.environments.policies import ReusePolicy

from scripts import Bench, is_gone, soon, written

TASKS = """
import asyncio, os, sys, time
import flyte_nb as flyte

warm = flyte.TaskEnvironment(name="warm", reusable=flyte.ReusePolicy((1, 2)))
one = flyte.TaskEnvironment(name="one", reusable=flyte.ReusePolicy((1, 1)))
many = flyte.TaskEnvironment(name="many", reusable=flyte.ReusePolicy((1, 1), concurrency=50))
env = flyte.TaskEnvironment(name="e")
count = 0

@warm.task
def pid(wait: float = 0.0) -> int:
    time.sleep(wait)
    return os.getpid()

@warm.task
def counts() -> int:
    global count
    count += 1
    print("counted", count)
    return count

@warm.task
def variable() -> str:
    return os.environ.get("COLOUR", "none")

@warm.task
def dies() -> int:
    os._exit(3)

@warm.task
def fails() -> int:
    raise ValueError("warm and wrong")

@one.task
def nested(depth: int) -> list[int]:
    return [os.getpid(), *(nested(depth - 1) if depth else [])]

@many.task
async def sleeps(n: int) -> int:
    print(f"line {n}")
    await asyncio.sleep(0.2)
    print(f"end {n}", end="", file=sys.stderr)
    return os.getpid()

@many.task
async def anested(depth: int) -> list[int]:
    return [os.getpid(), *(await anested(depth - 1) if depth else [])]

@many.task
async def for_ever() -> int:
    print("started")
    await asyncio.sleep(60)
    return 1

@many.task
async def stubborn() -> int:
    print("started")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

@env.task
async def pids(n: int, wait: float = 0.05) -> list[int]:
    return await asyncio.gather(*(pid.aio(wait) for _ in range(n)))
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TASKS)
    yield bench
    bench.close()


def policy(name: str = "warm", most: int = 2, **more: object) -> Policy:
    return Policy(environment=name, reusable=ReusePolicy((1, most), **more))  # type: ignore[arg-type]


def test_a_worker_is_used_again(bench: Bench) -> None:
    first = bench.run("warm.pid", policy=policy()).outputs()
    assert bench.run("warm.pid", policy=policy()).outputs() == first
    assert [bench.run("warm.counts", policy=policy()).outputs()[0] for _ in range(3)] == [1, 2, 3]
    assert not is_gone(first[0])


def test_output_belongs_to_the_run_that_printed_it(bench: Bench) -> None:
    runs = [bench.run("warm.counts", policy=policy()) for _ in range(3)]
    assert [run.logs() for run in runs] == ["counted 1\n", "counted 2\n", "counted 3\n"]


def test_no_more_than_the_maximum(bench: Bench) -> None:
    found = bench.run("pids", n=12).outputs()[0]
    assert len(found) == 12
    assert len(set(found)) <= 2


def test_a_failure_keeps_the_worker(bench: Bench) -> None:
    before = bench.run("warm.pid", policy=policy()).outputs()
    assert str(bench.run("warm.fails", policy=policy()).error) == "warm and wrong"
    assert bench.run("warm.pid", policy=policy()).outputs() == before


def test_a_worker_that_dies_is_replaced(bench: Bench) -> None:
    before = bench.run("warm.pid", policy=policy()).outputs()[0]
    error = bench.run("warm.dies", policy=policy()).error
    assert error is not None
    assert "exit code 3" in str(error)
    assert bench.run("warm.pid", policy=policy()).outputs()[0] != before
    assert is_gone(before)


def test_a_parent_that_waits_does_not_starve_its_children(bench: Bench) -> None:
    found = bench.run("one.nested", depth=4, policy=policy("one", 1)).outputs()[0]
    assert len(set(found)) == 5
    assert soon(lambda: sum(not is_gone(pid) for pid in found) == 1)


def test_other_variables_are_another_worker(bench: Bench) -> None:
    before = bench.run("warm.pid", policy=policy()).outputs()[0]
    assert bench.run("warm.variable", policy=policy(), env_vars={"COLOUR": "red"}).outputs() == ("red",)
    assert soon(lambda: is_gone(before))
    assert bench.run("warm.variable", policy=policy()).outputs() == ("none",)


def test_other_code_is_another_worker(bench: Bench) -> None:
    before = bench.run("warm.pid", policy=policy()).outputs()[0]
    written(bench.file, TASKS.replace("return os.getpid()", "return -os.getpid()"))
    assert bench.run("warm.pid", policy=policy()).outputs()[0] not in (before, -before)
    assert soon(lambda: is_gone(before))


def test_workers_of_a_run_end_with_it(bench: Bench) -> None:
    own = policy(scope="run")
    before = bench.run("warm.pid", policy=own).outputs()[0]
    assert soon(lambda: is_gone(before))
    assert bench.run("warm.pid", policy=own).outputs()[0] != before


def test_idle_workers_end(bench: Bench) -> None:
    short = ReusePolicy((1, 2))
    object.__setattr__(short, "idle_ttl", short.idle_ttl / 60)  # the declared least is half a minute
    object.__setattr__(short, "scaledown_ttl", short.scaledown_ttl / 150)
    quick = Policy(environment="warm", reusable=short)

    async def both() -> set[int]:
        runs = await asyncio.gather(*(bench.arun("warm.pid", wait=0.2, policy=quick) for _ in range(2)))
        return {run.outputs()[0] for run in runs}

    found = bench.do(both())
    assert len(found) == 2
    assert soon(lambda: sum(map(is_gone, found)) == 1)
    assert soon(lambda: all(map(is_gone, found)))
    assert bench.run("warm.pid", policy=quick).outputs()[0] not in found


def test_async_calls_share_a_worker(bench: Bench) -> None:
    shared = policy("many", 1, concurrency=50)
    bench.run("many.sleeps", n=-1, policy=shared)

    async def several() -> list[Run]:
        return await asyncio.gather(*(bench.arun("many.sleeps", n=n, policy=shared) for n in range(20)))

    start = time.monotonic()
    runs = bench.do(several())
    assert time.monotonic() - start < 20 * 0.2
    assert len({run.outputs()[0] for run in runs}) == 1
    assert [run.logs() for run in runs] == [f"line {n}\nend {n}" for n in range(20)]


def test_async_parents_and_children_share_a_worker(bench: Bench) -> None:
    found = bench.run("many.anested", depth=5, policy=policy("many", 1, concurrency=50)).outputs()[0]
    assert len(found) == 6
    assert len(set(found)) == 1


@pytest.mark.parametrize(("task", "stays"), [("for_ever", True), ("stubborn", False)])
def test_cancelling_one_of_several(bench: Bench, task: str, stays: bool) -> None:
    shared = policy("many", 1, concurrency=50)
    before = bench.run("many.sleeps", n=0, policy=shared).outputs()[0]
    bench.events.clear()

    async def cancelled() -> None:
        run = asyncio.create_task(bench.arun(f"many.{task}", policy=shared))
        while "started" not in bench.printed():
            await asyncio.sleep(0.02)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    bench.do(cancelled())
    assert bench.store.runs()[0].phase is Phase.ABORTED
    after = bench.run("many.sleeps", n=1, policy=shared).outputs()[0]
    assert (after == before) is stays
    assert is_gone(before) is not stays


def test_nothing_is_left(bench: Bench) -> None:
    found = bench.run("pids", n=4).outputs()[0]
    bench.close()
    assert soon(lambda: all(map(is_gone, found)))
    assert os.getpid() not in found
