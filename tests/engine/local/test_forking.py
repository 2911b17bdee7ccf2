"""Forking: what a zygote is asked stays whole, whoever stops waiting and however the zygote ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from flyte_nb.engine.local.forking import Process, Processes
from flyte_nb.engine.local.replica import Replica
from flyte_nb.engine.segments import Segments

#: more than a socket takes at once
LARGE = {**os.environ, "LARGE": "x" * (1 << 22)}
PATIENCE = 20


async def stopped(made: Processes) -> int:
    """Stop the zygote, so that it does not read; give its number."""
    made.prepare()
    await made.warm.wait()
    assert made._zygote is not None
    os.kill(made._zygote.pid, signal.SIGSTOP)
    return made._zygote.pid


async def asked(made: Processes, env: dict[str, str]) -> asyncio.Task[Process]:
    """Ask for a worker, and give it time to be asked for."""
    task = asyncio.create_task(made.start(env, os.getcwd()))
    await asyncio.sleep(0.1)
    return task


async def ends(process: Process) -> None:
    """Insist that a process has started, and that it ends with its pipe."""
    assert process.pid
    process.drop()
    await asyncio.wait_for(process.ended, PATIENCE)


def test_what_is_asked_stays_whole_where_the_asker_is_cancelled() -> None:
    async def cancelled() -> None:
        made = Processes(Path(sys.executable))
        zygote = await stopped(made)
        asks, waits = await asked(made, LARGE), await asked(made, LARGE)
        for task in (waits, asks):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        os.kill(zygote, signal.SIGCONT)
        process = await asyncio.wait_for(made.start(dict(os.environ), os.getcwd()), PATIENCE)
        await ends(process)
        assert made._zygote is not None
        assert made._zygote.pid == zygote
        assert not made._alive
        made.close()

    asyncio.run(cancelled())


def test_a_zygote_that_ends_while_it_is_asked() -> None:
    async def killed() -> None:
        made = Processes(Path(sys.executable))
        zygote = await stopped(made)
        tasks = [await asked(made, LARGE) for _ in range(3)]
        os.kill(zygote, signal.SIGKILL)
        for process in await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE):
            await ends(process)
        made.close()

    asyncio.run(killed())


def test_closed_while_a_worker_is_asked_for() -> None:
    async def closed() -> None:
        made = Processes(Path(sys.executable))
        await stopped(made)
        tasks = [await asked(made, LARGE) for _ in range(3)]
        made.close()
        ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
        assert {type(end).__name__ for end in ends} == {"RuntimeSystemError"}

    asyncio.run(closed())


def test_a_process_that_has_no_group_yet_is_ended() -> None:
    """A zygote tells of a process before that one has made a session of its own."""

    async def killed() -> None:
        process, theirs = Process.piped(asyncio.get_running_loop())
        with subprocess.Popen(["sleep", "60"]) as child:  # of this process's group
            process.pid = child.pid
            Replica(process, lambda stream, text: None, Segments()).kill_group()
            assert child.wait(PATIENCE) == -signal.SIGKILL
        process.drop()
        for fd in theirs:
            os.close(fd)

    asyncio.run(killed())
