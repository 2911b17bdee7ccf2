"""MemoryLimit: real processes that take too much, alone, together, fast or slowly; with control groups and without."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from flyte_nb.engine.local.limits import Exceeded, MemoryLimit, Watch, out_of_memory, peak_of
from flyte_nb.errors import OOMError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured so on Linux")
MI = 1 << 20
BOTH = pytest.mark.parametrize("groups", [True, False], ids=["control groups", "sampling alone"])
WAIT = "import sys, time; sys.stdin.readline()\n"
FILL = "held = bytearray(300 << 20)\nprint('filled', flush=True)\ntime.sleep(60)"
SLOWLY = "held = []\nwhile True:\n    held.append(bytearray(4 << 20))\n    time.sleep(0.01)"
CHILDREN = """
import os
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        held = bytearray(70 << 20)
        time.sleep(60)
        os._exit(0)
time.sleep(60)
"""
SHARED = """
import os
held = bytearray(100 << 20)
for _ in range(4):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
print("filled", flush=True)
time.sleep(60)
"""
ONE_GOES_ANOTHER_GROWS = """
import os
if (child := os.fork()) == 0:
    held = bytearray(300 << 20)
    os._exit(0)
os.waitpid(child, 0)
held = bytearray(50 << 20)
print("filled", flush=True)
time.sleep(60)
"""
FILES = """
import mmap, tempfile
with tempfile.TemporaryFile(dir=sys.argv[1]) as file:
    file.truncate(200 << 20)
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    total = sum(mapped[at] for at in range(0, len(mapped), 4096))
    print("filled", flush=True)
    time.sleep(60)
"""


@contextmanager
def started(code: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that begins once it gets a line; its tree does not outlive the test."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", WAIT + code, *arguments], start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            tree = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            for left in (*tree, process):
                left.kill()


async def go(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


async def filled(process: subprocess.Popen[bytes]) -> None:
    await go(process)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == b"filled\n"


def trial(play: Callable[[MemoryLimit], Awaitable[None]], groups: bool) -> None:
    async def run() -> None:
        memory = MemoryLimit(control_groups=groups)
        await asyncio.wait_for(play(memory), 60)
        await memory.close()

    asyncio.run(run())


async def ended(code: str, limit: int, memory: MemoryLimit) -> tuple[Watch, list[Exceeded], int]:
    """Run code under a limit until it is ended."""
    told: list[Exceeded] = []
    with started(code) as process:
        async with memory.watch(process.pid, limit, told.append) as watch:
            await go(process)
            code_ = await asyncio.to_thread(process.wait)
        return watch, told, code_


@BOTH
@pytest.mark.parametrize("code", [FILL, SLOWLY], ids=["at once", "slowly"])
def test_over_the_limit_it_is_killed(groups: bool, code: str) -> None:
    async def play(memory: MemoryLimit) -> None:
        watch, told, code_ = await ended(code, 128 * MI, memory)
        assert code_ == -9
        assert watch.exceeded is not None
        assert told == [watch.exceeded]
        assert watch.exceeded.limit == 128 * MI
        assert watch.exceeded.peak >= 128 * MI

    trial(play, groups)


@BOTH
def test_the_whole_tree_counts_and_is_killed(groups: bool) -> None:
    async def play(memory: MemoryLimit) -> None:
        with started(CHILDREN) as process:
            async with memory.watch(process.pid, 150 * MI) as watch:
                await go(process)
                assert await asyncio.to_thread(process.wait) == -9
                assert watch.exceeded is not None
                left = [pid for pid in watch.tree.members if psutil.pid_exists(pid) and alive(pid)]
                until = time.monotonic() + 10
                while left and time.monotonic() < until:
                    await asyncio.sleep(0.02)
                    left = [pid for pid in left if psutil.pid_exists(pid) and alive(pid)]
                assert left == []

    trial(play, groups)


def test_a_part_that_the_system_ended_is_told_whatever_the_others_take() -> None:
    async def play(memory: MemoryLimit) -> None:
        with started(ONE_GOES_ANOTHER_GROWS) as process:
            async with memory.watch(process.pid, 128 * MI) as watch:
                if watch.group is None:
                    pytest.skip("this user may make no control groups here")
                await go(process)
                assert process.stdout is not None
                assert process.stdout.readline() in (b"filled\n", b"")  # the loop is held up: no sample meanwhile
                assert await asyncio.to_thread(process.wait) == -9
                assert watch.exceeded is not None

    trial(play, groups=True)


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@BOTH
def test_under_the_limit_it_runs_and_the_peak_is_known(groups: bool) -> None:
    async def play(memory: MemoryLimit) -> None:
        with started("held = bytearray(60 << 20)\ndel held\n" + FILL.replace("300", "1")) as process:
            async with memory.watch(process.pid, 256 * MI) as watch:
                await filled(process)
                await asyncio.sleep(0.1)
            assert process.poll() is None
            assert watch.exceeded is None
            assert 60 * MI <= watch.peak < 120 * MI

    trial(play, groups)


def test_what_forked_processes_share_is_counted_once() -> None:
    async def play(memory: MemoryLimit) -> None:
        with started(SHARED) as process:
            async with memory.watch(process.pid, 250 * MI) as watch:
                await filled(process)
                for _ in range(100):  # until it has been looked at
                    await asyncio.sleep(0.1)
                    if watch.peak >= 100 * MI:
                        break
                assert watch.tree.memory() > 400 * MI  # as each of them sees it
                assert watch.exceeded is None
                assert 100 * MI <= watch.peak < 200 * MI

    trial(play, False)


def test_what_is_mapped_of_files_is_not_counted(tmp_path: Any) -> None:
    async def play(memory: MemoryLimit) -> None:
        with started(FILES, str(tmp_path)) as process:
            async with memory.watch(process.pid, 100 * MI) as watch:
                await filled(process)
                await asyncio.sleep(0.1)
                assert watch.exceeded is None

    trial(play, False)


def test_only_the_one_over_its_limit_is_killed() -> None:
    async def play(memory: MemoryLimit) -> None:
        with started(FILL) as other:
            async with memory.watch(other.pid, 1024 * MI):
                await filled(other)
                watch, _, code = await ended(FILL, 128 * MI, memory)
                assert (code, watch.exceeded is not None, other.poll()) == (-9, True, None)

    trial(play, False)


@BOTH
def test_a_warm_worker_is_watched_task_by_task(groups: bool) -> None:
    async def play(memory: MemoryLimit) -> None:
        code = "for size in (80, 1):\n    held = bytearray(size << 20)\n    del held\n    print('filled', flush=True)\n"
        with started(code + "    sys.stdin.readline()") as process:
            peaks = []
            for _ in range(2):
                async with memory.watch(process.pid, 512 * MI) as watch:
                    await filled(process)
                peaks.append(watch.peak)
            assert peaks[0] >= 80 * MI
            assert peaks[1] < 60 * MI

    trial(play, groups)


def test_without_a_limit_nothing_is_sampled() -> None:
    async def play(memory: MemoryLimit) -> None:
        with started(FILL) as process:
            async with memory.watch(process.pid) as watch:
                await filled(process)
                assert memory._sampling is None
                assert watch.exceeded is None
            assert watch.peak >= 300 * MI
            async with memory.watch(process.pid, 1024 * MI):
                assert memory._sampling is not None
            assert memory._sampling is None

    trial(play, True)


def test_the_default_limit_and_a_process_that_ended() -> None:
    async def play(_: MemoryLimit) -> None:
        memory = MemoryLimit(128 * MI)
        watch, _told, code = await ended(FILL, None, memory)  # type: ignore[arg-type]
        assert (code, watch.limit) == (-9, 128 * MI)
        async with memory.watch(watch.tree.root) as late:
            await asyncio.sleep(0.05)
        assert (late.exceeded, late.peak) == (None, 0)
        await memory.close()

    trial(play, True)


def test_peak_of() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "h = bytearray(50 << 20); del h; print(1); input()"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    process.stdout.read(1)
    peak = peak_of(process.pid)
    assert peak is not None
    assert 50 * MI <= peak < 100 * MI
    process.communicate(b"\n")
    assert peak_of(process.pid) is None
    assert (peak_of(os.getpid()) or 0) > 10 * MI


def test_the_error() -> None:
    error = out_of_memory(Exceeded(256 * MI, 301 * MI))
    assert isinstance(error, OOMError)
    assert error.code == "OOMKilled"
    assert str(error) == ('OutOfMemory: limit 256Mi, peak 301Mi; ask for more: resources=Resources(memory="512Mi")')
    assert 'memory="3Gi"' in str(out_of_memory(Exceeded(3 * (1 << 29), 1 << 31)))
    assert 'memory="1Mi"' in str(out_of_memory(Exceeded(1, 2)))
