"""The guard: it is there again when somebody ends it, and goes with its engine whoever else holds its pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from flyte_nb.engine.local.guard import QUICK

from scripts import Bench, is_gone, soon, start, written

TASKS = """
import os, subprocess, sys, time
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="e")

@env.task
def sleep() -> int:
    print("pids", os.getpid(), flush=True)
    time.sleep(60)
    return 1

@env.task
def fine() -> str:
    return "fine"
"""


#: guards of this process that are another test's: its session may live on
_others: set[int] = set()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    _others.clear()
    _others.update(guard.pid for guard in guards(os.getpid()))
    bench = Bench(tmp_path, TASKS)
    yield bench
    bench.close()


def guards(of: int) -> list[psutil.Process]:
    """Give the guards of a process, by their command lines."""
    return [p for p in psutil.Process(of).children() if p.pid not in _others and is_guard(p)]


def is_guard(process: psutil.Process) -> bool:
    try:
        return not is_gone(process.pid) and any("killpg" in word for word in process.cmdline())
    except psutil.NoSuchProcess:  # it has just ended
        return False


def test_a_guard_that_is_ended_is_there_again_at_once(bench: Bench) -> None:
    assert bench.run("fine").outputs() == ("fine",)
    (guard,) = guards(os.getpid())
    time.sleep(QUICK)
    guard.kill()
    assert soon(lambda: [p.pid for p in guards(os.getpid())] not in ([], [guard.pid]))
    assert bench.run("fine").outputs() == ("fine",)


def test_the_next_guard_ends_what_the_first_one_watched(tmp_path: Path) -> None:
    script = written(tmp_path / "script.py", TASKS + "\nif __name__ == '__main__':\n    flyte.run(sleep)\n")
    with start([str(script)], tmp_path) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline().split()[1])
        (guard,) = guards(process.pid)
        time.sleep(QUICK)
        guard.kill()
        assert soon(lambda: [p.pid for p in guards(process.pid)] not in ([], [guard.pid]))
        (guard,) = guards(process.pid)
        zygote = psutil.Process(worker).ppid()
        os.kill(zygote, signal.SIGSTOP)  # which else would end its workers
        os.kill(worker, signal.SIGSTOP)
        process.kill()
    assert soon(lambda: is_gone(worker) and is_gone(guard.pid))
    os.kill(zygote, signal.SIGCONT)
    assert soon(lambda: is_gone(zygote))


FORKS = """
if __name__ == "__main__":
    from flyte_nb.session import current_session
    flyte.run(fine)
    if (child := os.fork()) == 0:
        time.sleep(60)
    print("pids", child, current_session().engine("local").pool.segments.folder, flush=True)
    flyte.run(sleep)
"""


def test_a_fork_of_the_users_keeps_nothing_of_ours(tmp_path: Path) -> None:
    script = written(tmp_path / "script.py", TASKS + FORKS)
    with start([str(script)], tmp_path) as process:
        assert process.stdout is not None
        _, child, folder = process.stdout.readline().split()
        worker = int(process.stdout.readline().split()[1])
        (guard,) = guards(process.pid)
        zygote = psutil.Process(worker).ppid()
        process.kill()
        process.wait()
        try:
            assert soon(lambda: all(map(is_gone, (worker, zygote, guard.pid))))
            assert soon(lambda: not Path(folder).exists())
            assert not is_gone(int(child))  # it is the user's
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_fork_that_ends_as_python_does_leaves_its_parent_alone(tmp_path: Path) -> None:
    source = TASKS + """
if __name__ == "__main__":
    flyte.run(fine)
    if os.fork() == 0:
        sys.exit()
    os.wait()
    run = flyte.run(fine)
    print(run.outputs())
"""  # fmt: skip
    script = written(tmp_path / "script.py", source)
    with start([str(script)], tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert out.endswith("('fine',)\n"), err
    assert err == ""


def test_a_guard_that_is_stopped_holds_nobody_up(bench: Bench) -> None:
    assert bench.run("fine").outputs() == ("fine",)
    (guard,) = guards(os.getpid())
    os.kill(guard.pid, signal.SIGSTOP)

    async def many() -> None:
        for number in range(10_000):  # more than its pipe has room for
            bench.engine.pool._guard.watch(100_000_000 + number)
            bench.engine.pool._guard.release(100_000_000 + number)

    bench.do(many(), 20)
    assert soon(lambda: is_gone(guard.pid))
    assert bench.run("fine").outputs() == ("fine",)
    assert guards(os.getpid())


APP = """
import os, time
import flyte_nb as flyte

app = flyte.app.AppEnvironment("a", requires_auth=False, scaling=flyte.app.Scaling(1))

@app.server
async def serve():
    import asyncio
    await (await asyncio.start_server(lambda reader, writer: writer.close(), "0.0.0.0", 8080)).serve_forever()

@app.on_shutdown
def down():
    print("closing", flush=True)
    open("down.txt", "a").write("down ")
    {more}

if __name__ == "__main__":
    handle = flyte.serve(app)
    child = os.fork() if {forks} else 0
    if {forks} and child == 0:
        time.sleep(60)
    print("pids", child, *[replica.pid for replica in handle.replicas], flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("more", "forks"), [("", False), ("", True), ("time.sleep(60)", False)],
                         ids=["alone", "forked", "hanging"])  # fmt: skip
def test_an_app_s_replica_calls_its_shutdown_hook_when_its_engine_is_killed(
    tmp_path: Path, more: str, forks: bool
) -> None:
    """All are gone in time, whatever happens; a full machine may not get to the hook in it: there are three tries."""
    script, told = written(tmp_path / "script.py", APP.format(more=more, forks=forks)), tmp_path / "down.txt"
    for _ in range(3):
        _killed(script, tmp_path)
        if told.exists():
            break
    assert told.read_text() == "down "


def _killed(script: Path, folder: Path) -> None:
    with start([str(script)], folder) as process:
        assert process.stdout is not None
        _, child, replica = map(int, process.stdout.readline().replace("pids", "0").split())
        (guard,) = guards(process.pid)
        family = [replica, guard.pid, psutil.Process(replica).ppid()]
        process.kill()
        process.wait()
        try:
            assert soon(lambda: all(map(is_gone, family)), 10)
        finally:
            if child:
                os.kill(child, signal.SIGKILL)


def test_a_replica_that_is_stopped_is_ended_all_the_same(tmp_path: Path) -> None:
    script = written(tmp_path / "script.py", APP.format(more="", forks=False))
    with start([str(script)], tmp_path) as process:
        assert process.stdout is not None
        replica = int(process.stdout.readline().split()[2])
        zygote = psutil.Process(replica).ppid()
        for pid in (zygote, replica):  # only the guard is left to end them
            os.kill(pid, signal.SIGSTOP)
        process.kill()
    assert soon(lambda: is_gone(replica), 10)
    os.kill(zygote, signal.SIGCONT)
    assert soon(lambda: is_gone(zygote), 10)


def test_no_guard_is_left_idle(tmp_path: Path) -> None:
    script = written(tmp_path / "script.py", TASKS + "\nif __name__ == '__main__':\n    flyte.run(fine)\n")
    with start([str(script)], tmp_path) as process:
        process.communicate(timeout=60)
    left = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    assert str(tmp_path) not in left
