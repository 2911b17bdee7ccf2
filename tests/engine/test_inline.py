"""The inline engine: the same records, in this process and this thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.engine import codec
from flyte_nb.engine.base import Phase, Run, Work
from flyte_nb.engine.definition import Definition
from flyte_nb.engine.inline import InlineEngine
from flyte_nb.engine.store import Store
from flyte_nb.errors import UsageError

env = flyte.TaskEnvironment("inline-env")


@env.task
def where() -> int:
    return threading.get_ident()


@env.task
def double(x: int) -> int:
    return 2 * x


@env.task
def parent(x: int) -> int:
    with flyte.group("pair"):
        return double(x) + double(x=x)


@env.task
async def aparent(n: int) -> list[int]:
    return list(await asyncio.gather(*(double.aio(i) for i in range(n)), adouble(100)))


@env.task
async def adouble(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


@flyte.trace
def step(x: int) -> str:
    return flyte.ctx().action.name


@env.task
def traces() -> str:
    return step(1)


@env.task
def fails(deep: bool) -> int:
    return fails(False) if deep else 1 // 0


@env.task
def appends(values: list[int]) -> list[int]:
    values.append(1)
    return values


@env.task
def lies() -> int:
    return "no"  # type: ignore[return-value]


@pytest.fixture
def engine(tmp_path: Path) -> InlineEngine:
    return InlineEngine(Store(tmp_path))


def work(task: Any, **inputs: Any) -> Work:
    return Work(task.name, Definition(), codec.encode(inputs)[0], live=(task, inputs))


def driven(coroutine: Coroutine[Any, Any, Run]) -> Run:
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    run = done.value.value
    assert isinstance(run, Run)
    return run


def ran(engine: InlineEngine, task: Any, **inputs: Any) -> Run:
    return driven(engine.run(work(task, **inputs), lambda event: None))


def test_in_this_thread(engine: InlineEngine) -> None:
    assert ran(engine, where).outputs() == (threading.get_ident(),)


def test_children_are_actions(engine: InlineEngine) -> None:
    run = ran(engine, parent, x=3)
    assert run.outputs() == (12,)
    assert [(a.id, a.task, a.parent, a.group, a.phase.value) for a in run.actions] == [
        ("a0", "inline-env.parent", None, "", "succeeded"),
        ("a1", "inline-env.double", "a0", "pair", "succeeded"),
        ("a2", "inline-env.double", "a0", "pair", "succeeded"),
    ]
    (kept,) = engine.store.runs()
    assert (kept.name, kept.engine, kept.phase) == (run.name, "inline", Phase.SUCCEEDED)


def test_async_tasks(engine: InlineEngine) -> None:
    run = asyncio.run(engine.run(work(aparent, n=3), lambda event: None))
    assert run.outputs() == ([0, 2, 4, 200],)


def test_steps(engine: InlineEngine) -> None:
    run = ran(engine, traces)
    assert run.outputs() == ("a0.1",)
    assert [a.task for a in run.actions] == ["inline-env.traces", "step"]


def test_failures_keep_their_cause_and_their_frames(engine: InlineEngine) -> None:
    run = ran(engine, fails, deep=True)
    assert run.phase is Phase.FAILED
    assert [a.phase.value for a in run.actions] == ["failed", "failed"]
    with pytest.raises(flyte.errors.RuntimeUserError, match="division") as caught:
        run.outputs()
    assert caught.value.code == "ZeroDivisionError"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_inputs_are_copies(engine: InlineEngine) -> None:
    values = [0]
    assert ran(engine, appends, values=values).outputs() == ([0, 1],)
    assert values == [0]


def test_outputs_are_checked(engine: InlineEngine) -> None:
    assert "output o0 of inline-env.lies: given 'no'" in str(ran(engine, lies).error)


def test_what_it_does_not_do(engine: InlineEngine) -> None:
    with pytest.raises(UsageError, match="deployed one runs with the local engine"):
        driven(engine.run(Work("e.t", Definition(), ()), lambda event: None))
