"""uv: where it is, one run of it as a process that can be cancelled, and its messages made short."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flyte_nb.engine.local.images.needs import safe
from flyte_nb.errors import ImageBuildError

__all__ = ["UV", "essential", "find_uv"]

_MISSING = 'the image has Python packages, and uv, which installs them, is not there: pip install "flyte_nb[images]"'
_ALWAYS = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
#: runs uv, and ends it and all that it started when the kernel is gone, whose end of the pipe is closed then
_WATCH = """
import os, signal, subprocess, sys, threading
def watch():
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
os._exit(subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL) & 255)
"""
_LINE = 1 << 20  # bytes of a line of its output
_HEAD, _TAIL, _WIDTH = 6, 4, 400  # lines from the start and the end of a message, characters of a line
_TOLD = re.compile(r"(Resolved \d+ packages?|Downloading .+|Building .+|warning: .+)")
_ADDED = re.compile(r"\+ (\S+==\S+)( .*)?")
_WRONG = ("error", "\N{MULTIPLICATION SIGN}")  # how the lines begin that say what is wrong
_NAMED = 5  # packages named in one line


def find_uv() -> str:
    """Find uv: that of the ``uv`` package, else the one on ``PATH``.

    Raises
    ------
    ImageBuildError
        When there is none; the message says how to install it.
    """
    with contextlib.suppress(ImportError, FileNotFoundError):
        from uv import find_uv_bin

        return os.fspath(find_uv_bin())
    if found := shutil.which("uv"):
        return found
    raise ImageBuildError(_MISSING)


@dataclass(frozen=True)
class UV:
    """uv, as it is run for one image.

    Parameters
    ----------
    program : str
        Its path.
    settings : Mapping
        Environment variables for it, beside this process's own.
    tell : Callable
        Gets its progress, a short line each.
    """

    program: str
    settings: Mapping[str, str]
    tell: Callable[[str], None]

    async def run(
        self, what: str, *arguments: str, folder: Path, variables: Mapping[str, str], secrets: Sequence[str] = ()
    ) -> None:
        """Run it to its end; whoever cancels this ends the process and all that it started.

        Parameters
        ----------
        what : str
            What is being done, for messages.
        *arguments : str
            Its command line.
        folder : Path
            Where it runs; settings of a project there count.
        variables : Mapping
            Environment variables of this run.
        secrets : Sequence of str
            What must not be shown.

        Raises
        ------
        ImageBuildError
            When it fails, with the essential lines of what it said.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _WATCH, self.program, *arguments,
            cwd=folder, limit=_LINE, start_new_session=True,
            env={**os.environ, **self.settings, **_ALWAYS, **variables},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            lines = await _read(process.stderr, lambda line: safe(line, secrets), self.tell)
            code = await process.wait()
        finally:
            await _end(process)
        if code:
            raise ImageBuildError(f"{what}: {essential(lines) or f'uv ended with exit code {code}'}")


async def _read(
    stream: asyncio.StreamReader | None, say: Callable[[str], str], tell: Callable[[str], None]
) -> list[str]:
    """Give what uv says, line by line and without secrets, and tell of its progress meanwhile."""
    assert stream is not None
    lines: list[str] = []
    async for raw in stream:
        lines.append(say(raw.decode("utf-8", "replace").rstrip()))
        if match := _TOLD.match(lines[-1].strip()):
            tell(match.group(1))
    added = [match.group(1) for line in lines if (match := _ADDED.fullmatch(line.strip()))]
    if added:
        more = f" and {len(added) - _NAMED} more" if len(added) > _NAMED else ""
        tell(f"installed {', '.join(added[:_NAMED])}{more}")
    return lines


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    process._transport.close()  # type: ignore[attr-defined]  # asyncio closes it only with the last holder of its pipes


def essential(lines: Sequence[str]) -> str:
    """Give the lines of uv's output that say what is wrong; long ones cut, and of many the first and the last."""
    start = next((i for i, line in enumerate(lines) if line.lstrip().startswith(_WRONG)), 0)
    kept = [line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…" for line in lines[start:] if line.strip()]
    kept = kept if len(kept) <= _HEAD + _TAIL else [*kept[:_HEAD], "…", *kept[-_TAIL:]]
    return "\n".join(kept).removeprefix("error: ")
