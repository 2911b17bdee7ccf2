"""Real scripts and real worker processes for the tests, and a look at what they leave behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import psutil
from flyte_nb.engine import codec
from flyte_nb.engine.base import Event, Run, Work
from flyte_nb.engine.definition import SCRIPT, Definition
from flyte_nb.engine.local.engine import LocalEngine
from flyte_nb.engine.policy import Policy
from flyte_nb.engine.store import Store
from flyte_nb.portal import Portal

ROOT = Path(__file__).parent.parent
PATIENCE = 2.0
T = TypeVar("T")


def written(path: Path, source: str) -> Path:
    """Write a script."""
    path.write_text(textwrap.dedent(source))
    return path


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """Give the environment of a process that finds this package and keeps its store in ``home``."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "FLYTE_NB_HOME": str(home), **more}


def start(words: list[str], folder: Path, **more: str) -> subprocess.Popen[str]:
    """Start a Python process in a folder, with its store there."""
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=surroundings(folder / "home", **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def ran(words: list[str], folder: Path, timeout: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a Python process in a folder to its end."""
    with start(words, folder, **more) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def soon(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Wait a little for something to become true."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Bench:
    """An engine with its own store and a file of tasks, run from the test's own process."""

    def __init__(self, folder: Path, source: str) -> None:
        self.file = written(folder / "tasks.py", source)
        self.store = Store(folder / "home")
        self.engine = LocalEngine(self.store)
        self.events: list[Event] = []
        self.portal = Portal()

    def work(self, task: str, /, **inputs: Any) -> Work:
        """Give the work of a task of the file."""
        env_vars, policy = inputs.pop("env_vars", {}), inputs.pop("policy", Policy())
        name = task if "." in task else f"e.{task}"
        return Work(name, Definition(self.file, SCRIPT), codec.encode(inputs)[0], env_vars=env_vars, policy=policy)

    async def arun(self, task: str, /, **inputs: Any) -> Run:
        """Run a task of the file."""
        return await self.engine.run(self.work(task, **inputs), self.events.append)

    def run(self, task: str, /, timeout: float = 30, **inputs: Any) -> Run:
        """Run a task of the file."""
        self.events.clear()
        return self.do(self.arun(task, **inputs), timeout)

    def do(self, work: Coroutine[Any, Any, T], timeout: float = 30) -> T:
        """Await something in the engine's loop."""
        return self.portal.submit(asyncio.wait_for(work, timeout)).done.result()

    def close(self) -> None:
        """Stop the engine, and what it ran on."""
        self.do(self.engine.stop())
        self.portal.close()

    def printed(self, stream: str = "stdout") -> str:
        """Give what the last run printed."""
        return "".join(event.text for event in self.events if event.stream == stream)

    def wait_for_text(self, text: str) -> Callable[[], bool]:
        """Give a condition: that the run has printed something."""
        return lambda: text in self.printed()
