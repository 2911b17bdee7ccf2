"""The local engine: what it records, what it tells, and what a broken store does to it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flyte_nb.engine import codec
from flyte_nb.engine.base import Phase
from flyte_nb.engine.definition import Definition
from flyte_nb.engine.local.engine import new_name
from flyte_nb.errors import RuntimeUserError, StoreError
from flyte_nb.notebook.module import Module
from flyte_nb.plan.bundle import Bundle

from scripts import Bench, written

TASKS = """
import time
import flyte_nb as flyte
import other

env = flyte.TaskEnvironment(name="e")

@env.task
def add(x: int, y: int = 2) -> int:
    print("adding", x, y)
    return x + y

@env.task
def boom() -> int:
    raise ValueError("no: not this")

@env.task
def calls_imported(x: int) -> int:
    return other.triple(x) + add(x)

@env.task
def waits() -> int:
    print("waiting")
    time.sleep(60)
    return 1
"""
OTHER = """
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="other")

@env.task
def triple(x: int) -> int:
    return 3 * x

@env.task
def calls_local(x: int) -> int:
    @env.task
    def inner(y: int) -> int:
        return y - 1
    return inner(x)
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path / "other.py", OTHER)
    bench = Bench(tmp_path, TASKS)
    yield bench
    bench.close()


def test_a_run_is_recorded(bench: Bench) -> None:
    run = bench.run("add", x=1)
    (kept,) = bench.store.runs()
    assert (kept.name, kept.task, kept.phase, kept.error) == (run.name, "e.add", Phase.SUCCEEDED, None)
    assert kept.root.duration == run.root.duration is not None
    assert kept.logs() == run.logs() == "adding 1 2\n"
    assert repr(run).startswith(f"<Run {run.name} of e.add: succeeded, ")
    assert run.wait() is run
    with pytest.raises(RuntimeError, match="has no outputs here: it is succeeded"):
        kept.outputs()


def test_a_failure_is_recorded(bench: Bench) -> None:
    run = bench.run("boom")
    (kept,) = bench.store.runs()
    assert kept.phase is Phase.FAILED
    assert kept.error is not None
    assert (kept.error.code, str(kept.error)) == ("ValueError", "no: not this")
    with pytest.raises(RuntimeUserError, match="no: not this"):
        run.outputs()


def test_events_tell_phases_and_output(bench: Bench) -> None:
    bench.run("add", x=1)
    assert bench.printed() == "adding 1 2\n"
    told = [(event.action.phase.value, event.stream) for event in bench.events]
    assert list(dict.fromkeys(told)) == [("running", ""), ("running", "stdout"), ("succeeded", "")]


def test_cancelled_run_is_recorded(bench: Bench) -> None:
    async def cancelled() -> None:
        run = asyncio.create_task(bench.arun("waits"))
        while "waiting" not in bench.printed():
            await asyncio.sleep(0.02)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    bench.do(cancelled(), 20)
    (kept,) = bench.store.runs()
    assert kept.phase is Phase.ABORTED
    assert str(kept.error) == "the run was cancelled"


def test_runs_at_the_same_time(bench: Bench) -> None:
    async def several() -> list[int]:
        runs = await asyncio.gather(*(bench.arun("add", x=n) for n in range(4)))
        return [run.outputs()[0] for run in runs]

    assert bench.do(several()) == [2, 3, 4, 5]
    assert len({run.name for run in bench.store.runs()}) == 4


def test_task_of_an_imported_module_as_a_child(bench: Bench) -> None:
    run = bench.run("calls_imported", x=2)
    assert run.outputs() == (10,)
    assert [action.task for action in run.actions] == ["e.calls_imported", "other.triple", "e.add"]


def test_local_child_of_a_task_in_a_module(bench: Bench) -> None:
    work = replace(bench.work("x"), task="other.calls_local", definition=Definition(module="other"))
    work = replace(work, inputs=codec.encode({"x": 3})[0])
    assert bench.do(bench.engine.run(work, bench.events.append)).outputs() == (2,)


def test_inputs_as_texts_are_of_the_root_only(bench: Bench) -> None:
    work = replace(bench.work("calls_imported"), texts=True, inputs=codec.encode({"x": "2"})[0])
    assert bench.do(bench.engine.run(work, bench.events.append)).outputs() == (10,)
    work = replace(work, inputs=codec.encode({"x": "two"})[0])
    run = bench.do(bench.engine.run(work, bench.events.append))
    assert run.error is not None
    assert run.error.code == "ParameterError"
    assert "input 'x': given 'two'; accepted: int" in str(run.error)


def test_log_that_cannot_be_written_does_not_hold_the_run(bench: Bench) -> None:
    bench.run("add", x=1)
    shutil.rmtree(bench.store.home / "logs")
    run = bench.run("add", x=1)
    assert run.outputs() == (3,)
    assert run.logs() == ""
    assert bench.printed() == "adding 1 2\n"


def test_store_that_breaks_while_a_child_starts_fails_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = bench.store.put_action

    def put(run: str, action: object) -> None:
        if getattr(action, "parent", None):
            raise StoreError("the disk is full")
        kept(run, action)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.store, "put_action", put)
    run = bench.run("calls_imported", x=2, timeout=10)
    assert run.error is not None
    assert (run.error.code, str(run.error)) == ("StoreError", "the disk is full")


def test_deploying_writes_the_bundle_first(bench: Bench) -> None:
    rows = ({"environment": "e", "declaration": {}, "tasks": {}},)
    (made,) = bench.do(bench.engine.deploy(Bundle("v1", Module("x = 1\n"), rows)))
    assert (made.environment, made.version) == ("e", "v1")
    home = bench.store.bundles / bench.store.deployed("e")["bundle"]
    assert sorted(p.name for p in home.iterdir()) == ["cells.py", "manifest.json"]
    assert [p.name for p in bench.store.bundles.iterdir()] == [home.name]


def test_names_of_runs() -> None:
    assert new_name("e.process_data").startswith("process-data-")
    assert new_name("e.___").startswith("run-")
    assert new_name("e.t") != new_name("e.t")
