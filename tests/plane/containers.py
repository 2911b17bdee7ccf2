"""Running the container of a task as a process: in an empty folder, with nothing of the caller's but its bundle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path

from plane.processes import Process, Start, anew

OFTEN = 0.05
#: what a container knows of the machine
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")
#: an image for clusters has no flyte_nb: an import of it fails, wherever this Python has it
IMAGE = """
import sys

class Refuse:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "flyte_nb":
            raise ModuleNotFoundError(f"no module named {name!r} in this container", name=name)

sys.meta_path.insert(0, Refuse)
"""


def surroundings(folder: Path) -> dict[str, str]:
    """Give the environment variables of an image, with a home of its own in a folder."""
    home, image = folder / "home", folder / "image"
    for made in (home, image):
        made.mkdir(parents=True, exist_ok=True)
    (image / "sitecustomize.py").write_text(IMAGE)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(image), "PYTHONUNBUFFERED": "1"}


class Container:
    """A process that stands for a container.

    Parameters
    ----------
    folder : Path
        Its own; it works in ``work``, its home is ``home``, what it says goes to ``log.txt``.
    words : sequence of str
        Its command and arguments.
    env_vars : Mapping of str to str
        What the control plane and the task set.
    python : str
        The Python of the image.
    start : callable, default: anew
        How its process starts.
    """

    def __init__(
        self, folder: Path, words: Iterable[str], env_vars: Mapping[str, str], python: str, start: Start = anew
    ) -> None:
        self.log, self.work = folder / "log.txt", folder / "work"
        self.work.mkdir(parents=True)
        program, *given = words
        found = Path(python).parent / program
        self._words = [str(found) if found.exists() else program, *given]
        self._env_vars, self._start = {**surroundings(folder), **env_vars}, start
        self._process: Process | None = None
        self._is_killed = False

    async def run(self) -> int:
        """Run it to its end, and give its exit code."""
        self._process = await self._start(self._words, self.work, self._env_vars, self.log)
        if self._is_killed:  # before it was there
            self.kill()
        return await self._process.wait()

    @property
    def has_ended(self) -> bool:
        """Tell whether it has run, and runs no more."""
        return self._process is not None and self._process.returncode is not None

    def kill(self) -> None:
        """End it, with all that it started, now or as soon as it starts."""
        self._is_killed = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


async def followed(log: Path, is_over: Callable[[], bool]) -> AsyncIterator[list[str]]:
    """Give the lines of a log as they come, until all is over."""
    told = 0
    while True:
        is_last = is_over()
        lines = log.read_text(errors="replace").splitlines(keepends=True) if log.exists() else []
        if not is_last and lines and not lines[-1].endswith("\n"):
            del lines[-1]  # the rest of it is to come
        if lines[told:]:
            yield [line.rstrip("\n") for line in lines[told:]]
            told = len(lines)
        if is_last:
            return
        await asyncio.sleep(OFTEN)


def words_of(command: Iterable[str], inserted: Mapping[str, str]) -> list[str]:
    """Fill in the words that a control plane fills in, such as ``{{.input}}``."""
    return [inserted.get(word, word) for word in command]
