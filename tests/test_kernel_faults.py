"""What is left when a kernel is killed or interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import psutil
import pytest

from kernels import Kernel
from scripts import soon

DECLARED = """
import asyncio, os, signal, subprocess, sys, threading, time
import numpy

env = flyte.TaskEnvironment(name="e")
warm = flyte.TaskEnvironment(name="w", reusable=flyte.ReusePolicy((1, 2)))
full = flyte.TaskEnvironment(name="f", resources=flyte.Resources(cpu=os.cpu_count()))

@env.task
def family() -> int:
    subprocess.Popen(["sleep", "611"])
    subprocess.Popen(["sleep", "612"], start_new_session=True)
    os.system("setsid sh -c 'sleep 613; true' & (setsid sleep 614 &)")
    time.sleep(60)
    return 1

@env.task
def another() -> int:
    os.execv("/bin/sleep", ["sleep", "615"])

@warm.task
def works(n: int) -> int:
    subprocess.Popen(["sleep", f"62{n}"], start_new_session=True)
    time.sleep(0 if n == 1 else 60)
    return os.getpid()

@full.task
def large(data: numpy.ndarray) -> int:
    os.execv("/bin/sleep", ["sleep", "631"])

@env.task
def fine(text: str = "fine") -> str:
    return text
"""
SEVERAL = """
data = numpy.zeros(1 << 20)
flyte.run(works, n=1)
await asyncio.gather(
    flyte.run.aio(family), flyte.run.aio(another), flyte.run.aio(works, n=2), flyte.run.aio(works, n=3),
    flyte.run.aio(works, n=4), flyte.run.aio(large, data=data), flyte.run.aio(large, data=data),
)
"""


def processes(folder: Path) -> list[psutil.Process]:
    """Give the processes that have their store in a folder: a kernel, and all that it has started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FLYTE_NB_HOME") == str(folder / ".flyte_nb") and process.status() != "zombie":
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
    return found


def run_words(folder: Path) -> set[str]:
    """Give the last word of the command lines of the processes."""
    words = set()
    for process in processes(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            words.update(process.cmdline()[-1:])
    return words


def shared(pid: int) -> list[Path]:
    """Give what a process has in shared memory."""
    return list(Path("/dev/shm").glob(f"flyte-nb-*/{pid}-*"))


@pytest.fixture
def declared(kernel: Kernel) -> Kernel:
    """A kernel with the tasks declared."""
    kernel.run(DECLARED)
    return kernel


def test_nothing_outlives_a_killed_kernel(declared: Kernel, tmp_path: Path) -> None:
    pid = int(declared.value("os.getpid()"))
    declared.client.kc.execute(SEVERAL)
    running = {"611", "612", "613", "614", "615", "622", "623", "631"}
    assert soon(lambda: running <= run_words(tmp_path), 20), run_words(tmp_path)
    folder = shared(pid)[0].parent
    os.kill(pid, signal.SIGKILL)
    assert soon(lambda: not processes(tmp_path), 5), processes(tmp_path)
    assert soon(lambda: not folder.exists())


def test_a_kernel_killed_before_its_first_worker_leaves_no_shared_memory(declared: Kernel, tmp_path: Path) -> None:
    declared.run("""
        image = flyte.Image.from_debian_base().with_pip_packages("no-such-package-of-flyte-nb")
        built = flyte.TaskEnvironment(name="b", image=image.clone(name="b"))
        @built.task
        def never(data: numpy.ndarray) -> int:
            return 1
    """)
    pid = int(declared.value("os.getpid()"))
    declared.client.kc.execute("flyte.run(never, data=numpy.zeros(1 << 20))")
    assert soon(lambda: bool(shared(pid)), 20)
    folder = shared(pid)[0].parent
    os.kill(pid, signal.SIGKILL)
    assert soon(lambda: not processes(tmp_path), 5), processes(tmp_path)
    assert soon(lambda: not folder.exists())


def test_an_interrupted_cell_ends_what_it_started_and_nothing_else(declared: Kernel, tmp_path: Path) -> None:
    declared.run("""
        @env.task
        async def parent() -> list[int]:
            return await asyncio.gather(*(works.aio(n) for n in (2, 3, 4, 5)))
        kept = flyte.with_runcontext(wait=False).run(another)
        threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    """)
    ran = declared.run("flyte.run(parent)", fails=True)
    assert "KeyboardInterrupt" in ran.error
    assert soon(lambda: not {"622", "623"} & run_words(tmp_path))
    assert "615" in run_words(tmp_path)
    assert declared.value("kept.phase.value") == "'running'"
    declared.run("kept.cancel()")
    assert soon(lambda: "615" not in run_words(tmp_path))
    assert declared.value("flyte.run(works, n=1).phase.value") == "'succeeded'"
    phases = declared.run("from flyte_nb.session import current_session\n"
                          "[r.phase.value for r in current_session().store.runs(3)]").shown  # fmt: skip
    assert phases == "['succeeded', 'aborted', 'aborted']"
