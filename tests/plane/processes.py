"""Two ways to start the process of a container: anew, or as a fork of one that has imported what the SDK needs."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

WARM = Path(__file__).parents[1] / "sdk_warm.py"


class Process(Protocol):
    """A process: its number, its exit code once it has ended, and a way to wait for that."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...


Start = Callable[[Sequence[str], Path, Mapping[str, str], Path], Awaitable[Process]]


async def anew(words: Sequence[str], work: Path, env_vars: Mapping[str, str], log: Path) -> Process:
    """Start a process in a folder, with nothing but some environment variables; what it says goes to a log."""
    with log.open("wb") as out:
        return await asyncio.create_subprocess_exec(
            *words, cwd=work, env=env_vars, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


class Fork:
    """A process that was forked."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[int] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()

    @property
    def pid(self) -> int:
        return self.begun.result()

    @property
    def returncode(self) -> int | None:
        return self.ended.result() if self.ended.done() else None

    async def wait(self) -> int:
        return await self.ended


class Warm:
    """Forks processes for the SDK's runtime from one that has imported what the SDK needs.

    Parameters
    ----------
    python : str
        The Python with the SDK.
    env_vars : Mapping of str to str
        The environment in which it imports.
    """

    def __init__(self, python: str, env_vars: Mapping[str, str]) -> None:
        self._python, self._env_vars = python, env_vars
        self._forks: dict[int, Fork] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def start(self, words: Sequence[str], work: Path, env_vars: Mapping[str, str], log: Path) -> Process:
        """Start a process, as `anew` does; ``words`` begins with a Python script."""
        async with self._lock:
            if self._process is None:
                self._process = await asyncio.create_subprocess_exec(
                    self._python, str(WARM), env=self._env_vars, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
                self._hearing = asyncio.create_task(self._hear(self._process))
        number, fork = len(self._forks), Fork()
        self._forks[number] = fork
        asked = {"number": number, "words": words, "work": str(work), "env_vars": env_vars, "log": str(log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        await fork.begun
        return fork

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            told = json.loads(line)
            fork = self._forks[told["number"]]
            (fork.begun if "pid" in told else fork.ended).set_result(told.get("pid", told.get("code")))

    async def close(self) -> None:
        """End it, once its forks have ended."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()
            await self._hearing
