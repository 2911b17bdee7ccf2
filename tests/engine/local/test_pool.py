"""Worker processes: where they start, and that none of them outlives whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from flyte_nb.engine.local.pool import environment

from scripts import Bench, is_gone, soon, start, surroundings, written

TASKS = """
import os, subprocess, sys, time
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="e")

@env.task
def sleep() -> int:
    print("pids", os.getpid(), subprocess.Popen(["sleep", "60"]).pid)
    time.sleep(60)
    return 1

@env.task
def stuck() -> int:
    child = subprocess.Popen(["sleep", "60"]).pid
    print("pids", os.getpid(), child)
    return sum(range(10**11))  # one bytecode: no other thread of the process gets to run

@env.task
def where() -> list[str]:
    return sys.path

@env.task
def garbage() -> int:
    for fd in range(3, 64):
        try:
            os.write(fd, b"\\xff" * 64)
        except OSError:
            pass
    time.sleep(60)
    return 1
"""

SCRIPT = (
    TASKS
    + """
if __name__ == "__main__":
    flyte.run({task})
"""
)


def pids(line: str) -> list[int]:
    assert line.startswith("pids")
    return [int(word) for word in line.split()[1:]]


@pytest.mark.parametrize("task", ["sleep", "stuck"])
def test_nothing_outlives_a_killed_parent(tmp_path: Path, task: str) -> None:
    script = written(tmp_path / "script.py", SCRIPT.format(task=task))
    with start([str(script)], tmp_path) as process:
        assert process.stdout is not None
        left = pids(process.stdout.readline())
        process.kill()
    assert soon(lambda: all(map(is_gone, left))), [psutil.Process(p) for p in left if not is_gone(p)]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_an_interrupted_parent(tmp_path: Path, kind: signal.Signals) -> None:
    script = written(tmp_path / "script.py", SCRIPT.format(task="sleep"))
    with start([str(script)], tmp_path) as process:
        assert process.stdout is not None
        left = pids(process.stdout.readline())
        process.send_signal(kind)
        process.wait(timeout=10)
        assert soon(lambda: all(map(is_gone, left)))


def test_cancelled_run_ends_a_stuck_worker_and_its_children(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TASKS)

    async def cancelled() -> list[int]:
        run = asyncio.create_task(bench.arun("stuck"))
        while "pids" not in bench.printed():
            await asyncio.sleep(0.02)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        return pids(bench.printed())

    left = bench.do(cancelled(), 20)
    assert soon(lambda: all(map(is_gone, left)))
    bench.close()


@pytest.mark.parametrize("after", [0.0, 0.02, 0.1])
def test_run_cancelled_while_its_worker_starts(tmp_path: Path, after: float) -> None:
    before = set(psutil.Process().children(recursive=True))  # another test's session may live on
    bench = Bench(tmp_path, TASKS)

    async def cancelled() -> None:
        run = asyncio.create_task(bench.arun("sleep"))
        await asyncio.sleep(after)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    bench.do(cancelled(), 20)
    bench.close()
    assert soon(lambda: not set(psutil.Process().children(recursive=True)) - before)


def test_stop_ends_what_runs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TASKS)

    async def stopped() -> str:
        run = asyncio.create_task(bench.arun("sleep"))
        while "pids" not in bench.printed():
            await asyncio.sleep(0.02)
        await bench.engine.stop()
        return str((await run).error)

    assert "SIGKILL" in bench.do(stopped(), 20)
    assert soon(lambda: all(map(is_gone, pids(bench.printed()))))
    bench.close()


def test_task_that_ruins_its_pipe_fails(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TASKS)
    run = bench.run("garbage", timeout=20)
    assert run.error is not None
    assert run.error.code == "TaskProcessError"
    bench.close()


def test_worker_searches_modules_where_its_engine_does(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TASKS)
    assert bench.run("where").outputs()[0] == [str(p) for p in sys.path]
    bench.close()


def test_files_of_the_working_directory_do_not_shadow_the_standard_library(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("queue", "socket", "json", "codecs"):
        written(folder / f"{name}.py", "raise SystemError('shadowed')")
    script = written(
        tmp_path / "script.py", TASKS + "\nif __name__ == '__main__':\n    print(flyte.run(where).phase)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=surroundings(tmp_path / "home"), capture_output=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_environment_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("KEPT", "yes")
    made = environment()
    assert made["KEPT"] == "yes"
    assert not {"JPY_PARENT_PID", "MPLBACKEND"} & set(made)
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert environment()["MPLBACKEND"] == "agg"
    assert os.environ["KEPT"] == "yes"
