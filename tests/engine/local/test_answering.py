"""Answering: a worker outlives callers that have ended, and leaves nothing of what they were to get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.engine.base import Phase
from test_lines import everything_is_given_back, is_whole

from scripts import Bench

TASKS = """
import contextvars, os, threading, time
import flyte_nb as flyte

one = flyte.TaskEnvironment(name="one", reusable=flyte.ReusePolicy((1, 1)))
env = flyte.TaskEnvironment(name="e")

@one.task
def pid() -> int:
    return os.getpid()

@one.task
def large(seconds: float) -> bytes:
    time.sleep(seconds)
    return bytes(1 << 20)

@one.task
def closes() -> int:
    os.closerange(3, 200)
    return 1

@env.task
def leaves() -> list[int]:
    large(0.0)
    found = [pid() for _ in range(10)]
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(large, 0.1), daemon=True).start()
    time.sleep(0.03)
    return found

@env.task
def pids() -> list[int]:
    return [pid() for _ in range(10)]

@env.task
def unkind() -> str:
    for _ in range(10):
        pid()
    try:
        closes()
    except flyte.errors.TaskProcessError:
        return "ended"
    return "not"
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TASKS)
    yield bench
    everything_is_given_back(bench)
    bench.close()


def test_a_caller_that_ends_costs_no_worker(bench: Bench) -> None:
    run = bench.run("leaves")
    is_whole(bench, run)
    assert [a.phase for a in run.actions if a.task == "one.large"] == [Phase.SUCCEEDED] * 2
    assert bench.run("pids").outputs() == run.outputs()
    assert not bench.printed("stderr")


def test_a_task_that_closes_the_line(bench: Bench) -> None:
    run = bench.run("unkind")
    assert run.outputs() == ("ended",)
    assert Counter(a.phase for a in run.actions) == {Phase.SUCCEEDED: 11, Phase.FAILED: 1}
    assert bench.run("pids").phase is Phase.SUCCEEDED
