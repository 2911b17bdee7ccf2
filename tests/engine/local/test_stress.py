"""Many calls at once, of which some fail, die or are cancelled: each ends as it should and gives its place back."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from flyte_nb.engine.base import Phase, Run
from flyte_nb.engine.local.pool import MOST
from flyte_nb.engine.policy import Policy
from flyte_nb.engine.store import Store
from flyte_nb.environments.policies import RetryStrategy, ReusePolicy, Timeout
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import UsageError

from scripts import Bench, is_gone, soon

TASKS = """
import asyncio, os, sys, time
import flyte_nb as flyte

warm = flyte.TaskEnvironment(name="warm", reusable=flyte.ReusePolicy((1, 2)))
many = flyte.TaskEnvironment(name="many", reusable=flyte.ReusePolicy((1, 1), concurrency=50))
one = flyte.TaskEnvironment(name="one", reusable=flyte.ReusePolicy((1, 1)))
two = flyte.TaskEnvironment(name="two", reusable=flyte.ReusePolicy((1, 1)))
env = flyte.TaskEnvironment(name="e")
full = flyte.TaskEnvironment(name="full", resources=flyte.Resources(cpu=os.cpu_count()))

def does(what: str) -> int:
    if what == "fails":
        raise ValueError("as asked")
    if what == "dies":
        os._exit(7)
    if what == "exits":
        sys.exit(8)
    time.sleep(30 if what == "cancelled" else 0.002)
    return os.getpid()

@warm.task
def anything(what: str) -> int:
    return does(what)

@env.task
def alone(what: str) -> int:
    return does(what)

@env.task
async def calls(what: list[str]) -> list[str]:
    found = await asyncio.gather(*(anything.aio(w) for w in what), return_exceptions=True)
    return [type(f).__name__ for f in found]

@many.task
async def waits(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return os.getpid()

@one.task
def ping(depth: int) -> list[int]:
    return [os.getpid(), *(pong(depth - 1) if depth else [])]

@two.task
def pong(depth: int) -> list[int]:
    return [os.getpid(), *(ping(depth - 1) if depth else [])]

@full.task
def outer(depth: int) -> int:
    return 1 + (outer(depth - 1) if depth else 0)

@env.task
def size(data: object) -> int:
    return len(bytes(data))

@env.task
def fails_once(file: str) -> int:
    if not os.path.exists(file):
        open(file, "w").close()
        raise ValueError("the first time")
    time.sleep(30)
    return 1
"""
ENDS = {
    "fine": Phase.SUCCEEDED,
    "fails": Phase.FAILED,
    "dies": Phase.FAILED,
    "exits": Phase.FAILED,
    "cancelled": Phase.ABORTED,
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TASKS)
    yield bench
    everything_is_given_back(bench)
    bench.close()


def everything_is_given_back(bench: Bench) -> None:
    """Insist that no place is taken or lent, and that no more processes are there than warm workers may."""
    pool = bench.engine.pool
    replicas = list(pool._warm.values())
    assert soon(lambda: (pool._slots.taken, pool._slots.lent, pool._slots.waiting) == (0, 0, 0)), vars(pool._slots)
    for each in replicas:
        assert (each.slots.taken, each.slots.lent, each.slots.waiting) == (0, 0, 0)
        assert not +each._busy
        assert not +each._waits
    most = sum(each._policy.max_replicas for each in replicas)
    assert soon(lambda: len(pool._alive) <= most), pool._alive
    assert soon(lambda: len(workers()) <= most), workers()


def workers() -> list[psutil.Process]:
    """Give the processes that zygotes of this process have started."""
    return [w for z in psutil.Process().children() if not is_gone(z.pid) for w in z.children() if not is_gone(w.pid)]


def warm(name: str = "warm", most: int = 2, least: int = 1, **more: Any) -> Policy:
    return Policy(environment=name, reusable=ReusePolicy((least, most), **more))


async def at_once(bench: Bench, task: str, whats: list[str], policy: Policy) -> list[Run | BaseException]:
    """Run a task once for each word; cancel those whose word says so, each at another time."""
    chance = random.Random(5)

    async def one(what: str) -> Run:
        run = asyncio.create_task(bench.arun(task, what=what, policy=policy))
        if what == "cancelled":
            await asyncio.sleep(chance.random())
            run.cancel()
        return await run

    return await asyncio.gather(*map(one, whats), return_exceptions=True)


@pytest.mark.parametrize(("task", "policy"), [("warm.anything", warm()), ("e.alone", Policy())])
def test_two_hundred_runs_end_as_they_should(bench: Bench, task: str, policy: Policy) -> None:
    whats = random.Random(3).choices(list(ENDS), weights=[60, 15, 8, 5, 12], k=200)
    found = bench.do(at_once(bench, task, whats, policy), 60)
    phases = [Phase.ABORTED if isinstance(run, BaseException) else run.phase for run in found]
    assert phases == [ENDS[what] for what in whats]
    kept = Counter(run.phase for run in bench.store.runs(1000))
    assert kept == Counter(phases)
    assert bench.run(task, what="fine", policy=policy).phase is Phase.SUCCEEDED


def test_children_in_a_warm_pool_end_as_they_should(bench: Bench) -> None:
    whats = random.Random(4).choices(["fine", "fails", "dies", "exits"], weights=[6, 2, 1, 1], k=60)
    names = {"fine": "int", "fails": "RuntimeUserError", "dies": "TaskProcessError", "exits": "RuntimeUserError"}
    assert bench.run("calls", what=whats).outputs()[0] == [names[what] for what in whats]


def test_a_parent_cancelled_amid_its_children(bench: Bench) -> None:
    async def cancelled() -> None:
        runs = [asyncio.create_task(bench.arun("calls", what=["fine", "cancelled"] * 3)) for _ in range(8)]
        await asyncio.sleep(0.8)
        for run in runs:
            run.cancel()
        await asyncio.sleep(0.01)
        for run in runs:
            run.cancel()  # an impatient one
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*runs, return_exceptions=True)
        )

    bench.do(cancelled())


# --- starting ---


def test_a_burst_starts_no_more_workers_than_it_needs(bench: Bench) -> None:
    async def burst(policy: Policy, task: str, **inputs: Any) -> set[int]:
        runs = await asyncio.gather(*(bench.arun(task, policy=policy, **inputs) for _ in range(20)))
        return {run.outputs()[0] for run in runs}

    assert len(bench.do(burst(warm("many", 1, concurrency=50), "many.waits", seconds=0.1))) == 1
    assert len(bench.do(burst(warm("warm", 2, 2), "warm.anything", what="fine"))) == 2
    assert len(workers()) == 3


def test_a_burst_on_a_module_that_does_not_load_fails_at_once(bench: Bench) -> None:
    bench.file.write_text(TASKS + "\nimport time; time.sleep(0.3); raise RuntimeError('no module')")

    async def burst() -> list[Run]:
        policy = warm("many", 1, concurrency=50)
        return await asyncio.gather(*(bench.arun("many.waits", seconds=0.1, policy=policy) for _ in range(20)))

    assert {str(run.error) for run in bench.do(burst(), 5)} == {"no module"}


def test_a_burst_whose_first_is_cancelled(bench: Bench) -> None:
    async def burst() -> list[Run]:
        policy = warm("many", 1, concurrency=50)
        first, *others = [asyncio.create_task(bench.arun("many.waits", seconds=0.1, policy=policy)) for _ in range(9)]
        await asyncio.sleep(0.001)
        first.cancel()
        return await asyncio.gather(*others)

    assert len({run.outputs()[0] for run in bench.do(burst())}) == 1


# --- waiting ---


def test_two_pools_of_one_that_call_each_other(bench: Bench) -> None:
    assert len(set(bench.run("one.ping", depth=9, policy=warm("one", 1)).outputs()[0])) == 10


def test_tasks_that_ask_for_the_whole_machine_and_call_each_other(bench: Bench) -> None:
    whole = Policy(resources=Resources(cpu=os.cpu_count()))

    async def several() -> list[Run]:
        return await asyncio.gather(*(bench.arun("full.outer", depth=2, policy=whole) for _ in range(4)))

    assert [run.outputs() for run in bench.do(several())] == [(3,)] * 4
    admission = bench.engine._surroundings._admission
    assert admission is not None
    assert not admission._leases


def test_cancelled_in_a_queue(bench: Bench) -> None:
    """Whoever is cancelled before its turn takes nobody else's."""
    whole = Policy(resources=Resources(cpu=os.cpu_count()))

    async def several() -> list[Run]:
        runs = [asyncio.create_task(bench.arun("full.outer", depth=0, policy=whole)) for _ in range(12)]
        await asyncio.sleep(0.02)
        for run in runs[1::2]:
            run.cancel()
        return await asyncio.gather(*runs[::2])

    assert [run.outputs() for run in bench.do(several())] == [(1,)] * 6
    phases = Counter(run.phase for run in bench.store.runs(20))
    assert phases == {Phase.SUCCEEDED: 6, Phase.ABORTED: 6}


def test_cancelled_between_attempts_is_not_tried_again(bench: Bench, tmp_path: Path) -> None:
    async def cancelled() -> None:
        policy = Policy(retries=RetryStrategy(5))
        run = asyncio.create_task(bench.arun("fails_once", file=str(tmp_path / "once"), policy=policy))
        await asyncio.sleep(0.4)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    bench.do(cancelled())
    assert bench.store.runs()[0].phase is Phase.ABORTED
    assert soon(lambda: not workers())


def test_one_name_for_two_runs_at_once(bench: Bench) -> None:
    work = bench.work("alone", what="fine")
    named = replace(work, settings=replace(work.settings, name="same"))

    async def several() -> list[Run | BaseException]:
        run = bench.engine.run
        return await asyncio.gather(*(run(named, bench.events.append) for _ in range(2)), return_exceptions=True)

    first, second = bench.do(several())
    assert isinstance(first, Run)
    assert first.phase is Phase.SUCCEEDED
    assert isinstance(second, UsageError)
    assert bench.store.run("same").phase is Phase.SUCCEEDED


def test_a_timeout_beside_others_in_one_worker(bench: Bench) -> None:
    shared = warm("many", 1, concurrency=50)
    short = [replace(shared, timeout=Timeout(max_runtime=timedelta(seconds=0.3 + n / 1000))) for n in range(40)]
    before = bench.run("many.waits", seconds=0, policy=shared).outputs()

    async def several() -> list[Run]:
        late = [bench.arun("many.waits", seconds=30, policy=each) for each in short]
        return await asyncio.gather(*late, *(bench.arun("many.waits", seconds=1, policy=shared) for _ in range(5)))

    runs = bench.do(several())
    assert [run.phase for run in runs[:40]] == [Phase.TIMED_OUT] * 40
    assert [run.outputs() for run in runs[40:]] == [before] * 5


# --- ends ---


def test_workers_of_several_runs_end_with_them(bench: Bench) -> None:
    own = warm("many", 2, 2, scope="run")

    async def several() -> list[Run]:
        return await asyncio.gather(*(bench.arun("many.waits", seconds=0.01, policy=own) for _ in range(4)))

    found = {run.outputs()[0] for run in bench.do(several())}
    assert len(found) == 4
    assert soon(lambda: not workers())  # also the second one of each, which may have come too late


def test_stopped_while_much_goes_on(bench: Bench) -> None:
    async def stopped() -> list[Run | BaseException]:
        whats = ["fine", "cancelled"] * (MOST // 2 + 4)
        runs = [asyncio.create_task(bench.arun("alone", what=what)) for what in whats]
        runs += [asyncio.create_task(bench.arun("warm.anything", what="cancelled", policy=warm())) for _ in range(4)]
        await asyncio.sleep(0.3)
        await bench.engine.pool.close()
        for run in runs:
            run.cancel()
        return await asyncio.gather(*runs, return_exceptions=True)

    bench.do(stopped())
    assert soon(lambda: not workers())
    assert bench.run("alone", what="fine").phase is Phase.SUCCEEDED


def test_one_engine_in_one_loop_after_the_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TASKS)
    store = Store(tmp_path / "home")
    data = pickle.PickleBuffer(bytearray(1 << 20))
    for _ in range(2):
        assert asyncio.run(bench.arun("size", data=data)).outputs() == (1 << 20,)
    asyncio.run(bench.engine.stop())
    assert soon(lambda: not workers())
    assert [run.phase for run in store.runs()] == [Phase.SUCCEEDED] * 2
    store.close()
