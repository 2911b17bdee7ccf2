"""Who is told: while they listen, in order, and whatever one of them does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from flyte_nb.engine.base import Event, Phase, Run
from flyte_nb.observers import Observers

from scripts import Bench

TASKS = """
import flyte_nb as flyte
warm = flyte.TaskEnvironment("w", reusable=flyte.ReusePolicy(1))
env = flyte.TaskEnvironment("e", depends_on=[warm])

@warm.task
def step(x: int) -> int:
    return x

@env.task
def calls(n: int) -> int:
    print("begins")
    return sum(step(x) for x in range(n))
"""


def test_those_who_listen_are_told_until_they_leave() -> None:
    observers, told = Observers[int](), list[tuple[str, int]]()
    leave = observers.add(lambda news: told.append(("a", news)))
    observers.add(lambda news: told.append(("b", news)))
    observers.tell(1)
    leave()
    leave()
    observers.tell(2)
    assert told == [("a", 1), ("b", 1), ("b", 2)]
    assert len(observers) == 1


def test_one_who_listens_twice_leaves_once_at_a_time() -> None:
    observers, told = Observers[int](), list[int]()
    first, _ = observers.add(told.append), observers.add(told.append)
    first()
    observers.tell(1)
    assert told == [1]


def test_one_that_fails_is_logged_and_keeps_nobody_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    observers, told = Observers[int](), list[int]()
    observers.add(lambda news: news // 0)  # type: ignore[arg-type, return-value]
    observers.add(told.append)
    with caplog.at_level(logging.ERROR, "flyte"):
        observers.tell(1)
    assert told == [1]
    assert "ZeroDivisionError" in caplog.text


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("observers"), TASKS)
    yield made
    made.close()


def test_a_run_tells_all_that_happens_over_lines_too_and_last_when_its_outputs_are_there(bench: Bench) -> None:
    events: list[Event] = []
    ends: list[object] = []

    def begun(run: Run) -> None:
        run.observe(events.append)
        run.observe(lambda event: ends.append(run.result) if event.action.parent is None else None)

    async def runs() -> Run:
        return await bench.engine.run(bench.work("e.calls", n=300), lambda event: None, begun)

    run = bench.do(runs())
    assert run.outputs()[0] == sum(range(300))
    ended = {e.action.id for e in events if e.action.phase is Phase.SUCCEEDED}
    assert len(ended) == 301
    assert any("begins" in event.text for event in events)
    assert (events[-1].action.id, events[-1].action.phase) == ("a0", Phase.SUCCEEDED)
    assert ends[-1] == run.result
    assert bench.engine.running == {}


def test_a_run_that_is_cancelled_tells_so(bench: Bench) -> None:
    events: list[Event] = []

    async def cancelled() -> None:
        begun: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            bench.engine.run(bench.work("e.calls", n=10_000_000), lambda event: None, begun.set_result)
        )
        run = await begun
        assert bench.engine.running == {run.name: run}
        run.observe(events.append)
        while not any(event.text for event in events):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})

    bench.do(cancelled())
    last = [event.action for event in events if event.action.parent is None][-1]
    assert (last.phase, last.error) == (Phase.ABORTED, "ABORTED: the run was cancelled")
    assert bench.engine.running == {}
