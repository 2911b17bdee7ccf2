"""Traced steps, groups and children in warm workers, as the run records them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts import Bench

TASKS = '''
import asyncio
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="e")

@flyte.trace
def load(x: int) -> int:
    """Load."""
    return x + int(flyte.ctx().action.name != flyte.ctx().task_action.name)

@flyte.trace
async def fetch(x: int) -> int:
    await asyncio.sleep(0)
    return x

@flyte.trace
def numbers(n: int):
    for i in range(n):
        yield i

@flyte.trace
async def anumbers(n: int):
    for i in range(n):
        yield i

@flyte.trace
def bad() -> None:
    raise LookupError("nothing")

@flyte.trace
def nested() -> int:
    return double(1)

@flyte.trace
def inner_forward() -> int:
    return double.forward(4) + load(1)

@flyte.trace
def loose(*args: int) -> int:
    return len(args)

@env.task
def double(x: int) -> int:
    return 2 * x

@env.task
def steps() -> list[int]:
    outside = flyte.ctx().action.name
    total = [load(1), load(1)]
    for value in numbers(3):
        assert flyte.ctx().action.name == outside
        total.append(double(value))
    return total

@env.task
async def asteps() -> list[int]:
    return [load(5), await fetch(1), *[value async for value in anumbers(2)], *list(numbers(2))]

@env.task
def failing() -> str:
    try:
        bad()
    except LookupError as error:
        return str(error)
    return "no"

@env.task
def nests() -> int:
    return nested()

@env.task
def forwards() -> int:
    return inner_forward()

@env.task
def varargs() -> int:
    return loose(1)

@env.task
def grouped() -> int:
    with flyte.group("outer"):
        return double(2)
'''


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("children"), TASKS)
    yield bench
    bench.close()


def test_steps_are_actions(bench: Bench) -> None:
    run = bench.run("steps")
    assert run.outputs() == ([2, 2, 0, 2, 4],)
    told = [(a.task, a.parent, a.phase.value) for a in run.actions]
    assert told[:4] == [
        ("e.steps", None, "succeeded"),
        *[("load", "a0", "succeeded")] * 2,
        ("numbers", "a0", "succeeded"),
    ]
    assert [name for name, _, _ in told[4:]] == ["e.double"] * 3
    assert len({a.id for a in run.actions}) == len(run.actions)
    assert all(a.ended is not None for a in run.actions)


def test_steps_of_an_async_task(bench: Bench) -> None:
    run = bench.run("asteps")
    assert run.outputs() == ([6, 1, 0, 1, 0, 1],)
    assert [a.task for a in run.actions] == ["e.asteps", "load", "fetch", "anumbers", "numbers"]


def test_a_step_that_fails_is_recorded_and_goes_on(bench: Bench) -> None:
    run = bench.run("failing")
    assert run.outputs() == ("nothing",)
    assert [(a.phase.value, a.error) for a in run.actions] == [("succeeded", ""), ("failed", "LookupError: nothing")]


def test_no_task_in_a_step(bench: Bench) -> None:
    error = bench.run("nests").error
    assert error is not None
    assert (type(error).__name__, error.code) == ("TraceDoesNotAllowNestedTasksError",) * 2
    assert "'e.double' is called inside a step" in str(error)
    assert bench.run("forwards").outputs() == (10,)


def test_varargs_in_a_step(bench: Bench) -> None:
    error = bench.run("varargs").error
    assert error is not None
    assert "loose takes *args or **kwargs" in str(error)


def test_groups_are_recorded(bench: Bench) -> None:
    assert [a.group for a in bench.run("grouped").actions] == ["", "outer"]
