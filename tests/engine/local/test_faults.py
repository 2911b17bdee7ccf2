"""What a task can do to the machine: output without end, many files, a fork bomb, a full disk; the rest goes on."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flyte_nb.engine import base
from flyte_nb.engine.base import Phase
from flyte_nb.engine.local import journal
from flyte_nb.engine.local.bounds import PROCESSES, bounded
from flyte_nb.engine.policy import Policy
from flyte_nb.environments.policies import RetryStrategy, ReusePolicy, Timeout
from flyte_nb.errors import TaskProcessError

from scripts import Bench, is_gone, soon

TASKS = """
import os, signal, subprocess, sys, time
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="e")

@env.task
def floods(lines: int) -> int:
    for n in range(lines):
        print(f"{n:07d} {'x' * 90}")
    return lines

@env.task
def for_ever() -> int:
    while True:
        print("x" * 1000)

@env.task
def opens(count: int) -> int:
    return len([os.open(os.devnull, os.O_RDONLY) for _ in range(count)])

@env.task
def forks() -> int:
    started = []
    try:
        while len(started) < 20_000:
            started.append(os.posix_spawn("/bin/sleep", ["sleep", "60"], {}))
    except OSError as error:
        print("stopped:", error.strerror)
    return len(started)

@env.task
def fine() -> str:
    print("fine")
    return "fine"

@env.task
def daemons() -> int:
    pid = subprocess.Popen(["sleep", "60"]).pid
    if os.fork() == 0:
        time.sleep(60)
    return pid

@env.task
def zygote() -> int:
    return os.getppid()

@env.task
def process() -> int:
    return os.getpid()

@env.task
def kills_itself(told: str) -> int:
    with open(told, "a") as file:
        file.write("begun.")
    os.kill(os.getpid(), signal.SIGKILL)
    return 1

@env.task
def kills_the_zygote() -> int:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
    return 1

@env.task(retries=1)
def calls_itself(n: int) -> int:
    return n and 1 + calls_itself(n - 1)

warm = flyte.TaskEnvironment(name="w", reusable=flyte.ReusePolicy((1, 1)))

@warm.task
def warm_calls_itself(n: int) -> int:
    return n and 1 + warm_calls_itself(n - 1)

@env.task
def size(data: object) -> int:
    return len(bytes(data))

@env.task
def stops() -> int:
    os.kill(os.getpid(), signal.SIGSTOP)
    return 1

@env.task
def recurses(limit: int) -> int:
    sys.setrecursionlimit(limit)
    def deeper(n: int) -> int:
        return deeper(n + 1)
    return deeper(0)

@env.task
def leaves() -> object:
    return (n for n in range(3))

"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TASKS)
    yield bench
    bench.close()


def test_output_without_end_is_cut_and_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_OUTPUT", 1 << 20)
    run = bench.run("floods", lines=50_000)
    assert run.outputs() == (50_000,)
    for text in (run.logs(), bench.printed()):
        assert len(text) < (1 << 20) + 70_000
        assert text.startswith("0000000 xxx")
        assert text.endswith("… more than 1 MiB of output: the rest is dropped; write to a file instead\n")


def test_a_task_that_only_prints_ends_at_its_limit(bench: Bench) -> None:
    run = bench.run("for_ever", policy=Policy(timeout=Timeout(max_runtime=timedelta(seconds=1))))
    assert run.phase is Phase.TIMED_OUT
    assert bench.run("fine").outputs() == ("fine",)


def test_a_thousand_files(bench: Bench) -> None:
    assert bench.run("opens", count=1000).outputs() == (1000,)


def test_a_fork_bomb_is_bounded_where_the_system_allows(bench: Bench) -> None:
    with bounded() as bounds:
        if not bounds.bound:
            pytest.skip("nothing bounds the processes of this user here")
    run = bench.run("forks", timeout=60)
    assert run.outputs()[0] <= PROCESSES
    assert "stopped:" in bench.printed()
    assert soon(lambda: b"sleep 60" not in subprocess.run(["ps", "-eo", "args"], capture_output=True).stdout, 10)
    assert bench.run("fine").outputs() == ("fine",)


def test_what_a_task_leaves_running_ends_with_it(bench: Bench) -> None:
    run = bench.run("daemons", timeout=10)
    assert soon(lambda: is_gone(run.outputs()[0]))


def test_a_full_disk_costs_the_record_and_not_the_run(bench: Bench) -> None:
    bench.run("fine")
    for name in ("logs", "data"):
        folder = bench.store.home / name
        folder.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(folder)], check=False)
    try:
        run = bench.run("floods", lines=20_000)
        assert run.outputs() == (20_000,)
        assert len(bench.printed().splitlines()) == 20_000
    finally:
        for name in ("logs", "data"):
            subprocess.run(["umount", "-l", str(bench.store.home / name)], check=False, capture_output=True)


def test_a_clock_that_is_set_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([base.now() - timedelta(hours=n) for n in range(1000)])
    monkeypatch.setattr("flyte_nb.engine.local.engine.now", lambda: next(times))
    monkeypatch.setattr("flyte_nb.engine.local.calls.now", lambda: next(times))
    run = bench.run("fine")
    assert run.outputs() == ("fine",)
    assert run.root.duration == timedelta()
    assert bench.store.runs()[0].name == run.name


def test_the_zygote_killed_while_a_task_runs(bench: Bench) -> None:
    error = bench.run("kills_the_zygote").error
    assert isinstance(error, TaskProcessError)
    assert str(error) == (
        "the process of e.kills_the_zygote ended because the process that starts workers, and takes them along, was "
        "ended by SIGKILL (killed; perhaps the machine was out of memory). The next run starts another: run it again"
    )
    began = time.monotonic()
    assert bench.run("fine").outputs() == ("fine",)
    assert time.monotonic() - began < 5  # most of it is the new process's start


def test_the_zygote_killed_while_warm_workers_idle(bench: Bench) -> None:
    warm = Policy(environment="e", reusable=ReusePolicy((2, 2)))
    zygote = bench.run("zygote", policy=warm).outputs()[0]
    os.kill(zygote, signal.SIGKILL)
    assert soon(lambda: is_gone(zygote))
    runs = bench.do(_together(bench, 4, warm))
    assert {run.outputs()[0] for run in runs}.isdisjoint({zygote})


def test_a_warm_worker_that_ends_before_it_has_read_its_call(bench: Bench) -> None:
    """Nothing of the task has begun then, so another worker has the call."""
    warm = Policy(environment="e", reusable=ReusePolicy((1, 1)))
    worker = bench.run("process", policy=warm).outputs()[0]

    async def killed() -> base.Run:
        os.kill(worker, signal.SIGSTOP)
        run = asyncio.create_task(bench.arun("process", policy=warm))
        await asyncio.sleep(0.1)
        os.kill(worker, signal.SIGKILL)
        return await run

    run = bench.do(killed())
    assert run.outputs()[0] != worker
    assert len(run.actions) == 1


def test_a_warm_worker_that_ends_in_the_middle_of_its_call_is_not_replaced(bench: Bench, tmp_path: Path) -> None:
    warm = Policy(environment="e", reusable=ReusePolicy((1, 1)))
    told = tmp_path / "told"
    assert isinstance(bench.run("kills_itself", policy=warm, told=str(told)).error, TaskProcessError)
    assert told.read_text() == "begun."


async def _together(bench: Bench, times: int, policy: Policy) -> list[base.Run]:
    return await asyncio.gather(*(bench.arun("zygote", policy=policy) for _ in range(times)))


def test_tasks_that_call_each_other_without_end_are_refused(bench: Bench) -> None:
    """Each retry of each level would double the calls, so it is an error that no attempt follows."""
    error = bench.run("calls_itself", n=-1, policy=Policy(retries=RetryStrategy(1)), timeout=60).error
    assert error is not None
    assert error.code == "TooDeep"
    assert str(error) == (
        "e.calls_itself: 129 tasks wait, each for the one that it called "
        "(e.calls_itself → e.calls_itself → … → e.calls_itself → e.calls_itself); at most 128 may. "
        "Let the recursion end earlier, or call the function itself for its inner steps: calls_itself.forward(…)"
    )
    assert len(error.remote_traceback.splitlines()) < 120
    assert bench.run("fine").outputs() == ("fine",)


def test_an_honest_recursion_goes_through(bench: Bench) -> None:
    assert bench.run("calls_itself", n=100, timeout=60).outputs() == (100,)


def test_warm_tasks_that_call_each_other_without_end_are_refused(bench: Bench) -> None:
    warm = Policy(environment="w", reusable=ReusePolicy((1, 1)))
    error = bench.run("w.warm_calls_itself", n=-1, policy=warm, timeout=60).error
    assert error is not None
    assert error.code == "TooDeep"


def test_the_zygote_killed_while_a_worker_starts(bench: Bench) -> None:
    zygote = bench.run("zygote").outputs()[0]

    async def killed() -> base.Run:
        os.kill(zygote, signal.SIGSTOP)
        run = asyncio.create_task(bench.arun("fine"))
        await asyncio.sleep(0.1)
        os.kill(zygote, signal.SIGKILL)
        return await run

    assert bench.do(killed()).outputs() == ("fine",)


def test_a_large_input_of_the_first_run(bench: Bench) -> None:
    """The loop's shared memory is there before its first worker is."""
    assert bench.run("size", data=pickle.PickleBuffer(bytearray(1 << 20))).outputs() == (1 << 20,)


def test_a_stopped_process_ends_at_its_limit(bench: Bench) -> None:
    run = bench.run("stops", policy=Policy(timeout=Timeout(max_runtime=timedelta(seconds=0.5))))
    assert run.phase is Phase.TIMED_OUT
    assert bench.run("fine").outputs() == ("fine",)


def test_a_generator_is_no_result(bench: Bench) -> None:
    error = bench.run("leaves").error
    assert error is not None
    assert "cannot pickle 'generator' object" in str(error)


def test_recursion_without_end_is_told_shortly(bench: Bench) -> None:
    error = bench.run("recurses", limit=50_000).error
    assert error is not None
    assert error.code == "RecursionError"
    assert len(error.remote_traceback.splitlines()) < 110
    assert "calls in between …" in error.remote_traceback


def test_an_impatient_cancel_leaves_what_others_wait_for(bench: Bench) -> None:
    """The end of a process is awaited by whoever ends it and by the engine: cancelling one takes it from nobody."""

    async def cancelled() -> None:
        run = asyncio.create_task(bench.arun("stops"))
        while not bench.engine.pool._alive:
            await asyncio.sleep(0.01)
        (replica,) = bench.engine.pool._alive
        waits = asyncio.create_task(replica.kill())
        await asyncio.sleep(0)
        waits.cancel()
        run.cancel()
        await asyncio.gather(waits, run, return_exceptions=True)
        assert not replica.process.ended.cancelled()

    bench.do(cancelled())
