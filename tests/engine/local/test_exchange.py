"""The exchange: lines that are taken away again and again, and what workers know that have answered none."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.engine.base import Phase, Run
from test_lines import everything_is_given_back, is_whole, over_lines

from scripts import Bench

TASKS = """
import asyncio, os, time
import flyte_nb as flyte

one = flyte.TaskEnvironment(name="one", reusable=flyte.ReusePolicy((1, 1)))
two = flyte.TaskEnvironment(name="two", reusable=flyte.ReusePolicy((2, 2)))
env = flyte.TaskEnvironment(name="e")

@two.task
def noted(n: int, path: str) -> int:
    with open(path, "a") as file:
        file.write(f"{n}\\n")
    return n

@two.task
def typed(x: int) -> str:
    return flyte.ctx().action.run_name

@one.task(retries=2)
def second_time(path: str) -> int:
    if not os.path.exists(path):
        open(path, "w").close()
        raise ValueError("the first time")
    return 1

@one.task
def attempt() -> str:
    return os.environ["FLYTE_ATTEMPT_NUMBER"]

@two.task
def meets(path: str, n: int, count: int) -> int:
    open(f"{path}-{n}", "w").close()
    while count and not all(os.path.exists(f"{path}-{each}") for each in range(count)):
        time.sleep(0.002)
    return n

@env.task
async def pairs(n: int, path: str) -> list[int]:
    found = []
    for x in range(0, n, 2):
        found += await asyncio.gather(noted.aio(x, path), noted.aio(x + 1, path))
    return found

@env.task
async def wrong_first() -> list[str]:
    found = []
    for x in ["a", "b", 3, 4, 5, 6, 7, 8, "c", 9]:
        first, other = await asyncio.gather(typed.aio(x), typed.aio(1), return_exceptions=True)
        assert isinstance(other, str), other
        found.append("wrong" if isinstance(first, flyte.errors.RuntimeDataValidationError) else "right")
    return found

@env.task
def attempts(path: str) -> list[str]:
    second_time(path)
    return [attempt() for _ in range(8)]

@env.task
async def meeting(path: str) -> int:
    for x in range(10):
        await meets.aio(path + "alone", x, 0)
    return sum(await asyncio.gather(*(meets.aio(path, n, 2) for n in range(2))))
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TASKS)
    yield bench
    everything_is_given_back(bench)
    bench.close()


def test_lines_that_are_closed_again_and_again(bench: Bench, tmp_path: Path) -> None:
    async def closed() -> Run:
        run = asyncio.create_task(bench.arun("pairs", n=300, path=str(tmp_path / "done")))
        while not run.done():
            await asyncio.sleep(0.003)
            bench.engine._exchange.hang_up()
        return await run

    run = bench.do(closed())
    assert run.outputs() == (list(range(300)),)
    assert Counter((tmp_path / "done").read_text().split()) == Counter(map(str, range(300)))
    assert len({action.id.split("-")[0] for action in over_lines(run)}) > 1
    assert len(run.actions) == 301
    is_whole(bench, run)


def test_a_first_call_with_a_wrong_input(bench: Bench) -> None:
    """A worker learns what the run is all the same."""
    found = ["wrong", "wrong", *["right"] * 6, "wrong", "right"]
    for _ in range(2):
        run = bench.run("wrong_first")
        assert run.outputs() == (found,)
        assert Counter(a.phase for a in run.actions) == {Phase.SUCCEEDED: 18, Phase.FAILED: 3}
        is_whole(bench, run)


def test_the_number_of_the_attempt(bench: Bench, tmp_path: Path) -> None:
    assert bench.run("attempts", path=str(tmp_path / "once")).outputs() == (["0"] * 8,)


def test_calls_that_wait_for_each_other(bench: Bench, tmp_path: Path) -> None:
    """Two workers are two workers, with lines or without."""
    run = bench.run("meeting", path=str(tmp_path / "met"))
    assert run.outputs() == (1,)
    is_whole(bench, run)
