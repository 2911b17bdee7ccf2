"""Retries and time limits, with real processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flyte_nb.engine.base import Phase
from flyte_nb.engine.local.attempts import delay, in_time
from flyte_nb.engine.policy import Policy
from flyte_nb.environments.policies import Backoff, RetryStrategy, Timeout
from flyte_nb.errors import DeadlineExceededError

from scripts import Bench, is_gone, soon

TASKS = """
import os, signal, subprocess, sys, time
from pathlib import Path
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="e")

@env.task
def third(folder: str) -> int:
    attempt = flyte.ctx().attempt_number
    Path(folder, str(attempt)).touch()
    if attempt < 2:
        raise ValueError(f"attempt {attempt}")
    return attempt

@env.task
def exits(folder: str) -> int:
    if flyte.ctx().attempt_number == 0:
        os._exit(7)
    return flyte.ctx().attempt_number

@env.task
def never() -> int:
    raise flyte.errors.NonRecoverableError("never again")

@env.task
def slow() -> int:
    print(os.getpid(), subprocess.Popen(["sleep", "60"]).pid)
    time.sleep(60)
    return 1

@env.task
def stopped() -> int:
    print(os.getpid())
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGSTOP)
    return 1
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("attempts"), TASKS)
    yield bench
    bench.close()


def retries(count: int, seconds: float = 0.01) -> Policy:
    return Policy(retries=RetryStrategy(count, Backoff(timedelta(seconds=seconds))))


def test_attempts_until_one_succeeds(bench: Bench, tmp_path: Path) -> None:
    run = bench.run("third", folder=str(tmp_path), policy=retries(3))
    assert run.outputs() == (2,)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2"]
    assert run.root.attempt == 2
    assert bench.printed("stderr").splitlines() == [
        "attempt 1 of 4 failed: ValueError: attempt 0; the next one in 0.01 s",
        "attempt 2 of 4 failed: ValueError: attempt 1; the next one in 0.01 s",
    ]


def test_attempts_are_used_up(bench: Bench, tmp_path: Path) -> None:
    error = bench.run("third", folder=str(tmp_path), policy=retries(1)).error
    assert error is not None
    assert (type(error).__name__, error.code) == ("RetriesExhaustedError", "ValueError")
    assert str(error) == "attempt 1 (attempt 2 of 2)"
    assert isinstance(error.__cause__, ValueError)


def test_a_process_that_dies_is_tried_again(bench: Bench, tmp_path: Path) -> None:
    assert bench.run("exits", folder=str(tmp_path), policy=retries(1)).outputs() == (1,)


def test_what_cannot_recover_is_not_tried_again(bench: Bench) -> None:
    run = bench.run("never", policy=retries(5, 60))
    assert type(run.error).__name__ == "NonRecoverableError"
    assert run.root.attempt == 0


@pytest.mark.parametrize("task", ["slow", "stopped"])
def test_an_attempt_that_runs_too_long_ends_with_its_process_tree(bench: Bench, task: str) -> None:
    run = bench.run(task, policy=Policy(timeout=Timeout(max_runtime=timedelta(seconds=0.5))))
    assert run.phase is Phase.TIMED_OUT
    assert type(run.error).__name__ == "MaxRuntimeExceededError"
    assert str(run.error) == f"e.{task} ran longer than 0.5 s"
    found = [int(word) for word in bench.printed().split()]
    assert found
    assert soon(lambda: all(map(is_gone, found)))


def test_the_deadline_spans_all_attempts(bench: Bench) -> None:
    limits = Policy(
        retries=RetryStrategy(9), timeout=Timeout(max_runtime=timedelta(seconds=0.3), deadline=timedelta(seconds=1))
    )
    start = time.monotonic()
    run = bench.run("slow", policy=limits)
    assert time.monotonic() - start < 10
    assert run.phase is Phase.TIMED_OUT
    assert type(run.error).__name__ == "DeadlineExceededError"
    found = [int(word) for word in bench.printed().split()]
    assert soon(lambda: all(map(is_gone, found)))


def test_delays() -> None:
    assert [delay(RetryStrategy(9), n) for n in (0, 1, 2, 9)] == [0.5, 1.0, 2.0, 30.0]
    doubling = Backoff(timedelta(seconds=1), 2.0, timedelta(seconds=3))
    assert [delay(RetryStrategy(9, doubling), n) for n in (0, 1, 2)] == [1.0, 2.0, 3.0]


LATE = DeadlineExceededError("late")


def test_a_cancel_counts_also_where_the_work_is_just_done() -> None:
    async def main() -> bool:
        done = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(in_time(done, 10, LATE))
        await asyncio.sleep(0)
        done.set_result(1)
        await asyncio.sleep(0)  # whoever waits is to be woken, and has not been yet
        waiting.cancel()
        await asyncio.wait({waiting})
        return waiting.cancelled()

    assert asyncio.run(main())


def test_work_that_is_late_cleans_up_before_it_is_told() -> None:
    steps = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.05)
            steps.append("cleaned up")

    with pytest.raises(DeadlineExceededError, match="late"):
        asyncio.run(in_time(work(), 0.01, LATE))
    assert steps == ["cleaned up"]


def test_a_timeout_of_the_works_own_is_its_own() -> None:
    async def work() -> None:
        raise asyncio.TimeoutError("mine")

    with pytest.raises(asyncio.TimeoutError, match="mine"):
        asyncio.run(in_time(work(), 10, LATE))


def test_cancelled_work_is_cancelled() -> None:
    async def main() -> list[bool]:
        work = asyncio.ensure_future(asyncio.sleep(10))
        waiting = asyncio.create_task(in_time(work, 10, LATE))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait({waiting})
        return [waiting.cancelled(), work.cancelled()]

    assert asyncio.run(main()) == [True, True]
