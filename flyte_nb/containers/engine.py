"""The container engine of this machine, docker or podman: found, asked to run a command, and nothing of it left.

A container is no child of the process that asked for it, so it is not ended with it. Each has a label that says whose
it is; those whose owner has gone are removed by whoever looks next: the engine at the end of the call, or the next task
that has a container.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flyte_nb.errors import RuntimeUserError

__all__ = ["Engine", "found", "remove_left", "why_none"]

NAMES = ("docker", "podman")
PATIENCE = 20.0  # seconds for an engine to answer
LABEL = "flyte-nb.owner"
#: as docker and as podman writes it among other labels
_LABELLED = re.compile(rf"{re.escape(LABEL)}[=:](([0-9]+)-[0-9]+)")


@dataclass(frozen=True)
class Engine:
    """A container engine that answers.

    Parameters
    ----------
    program : str
        Its command.
    """

    program: str

    def run(self, image: str, words: Sequence[str], options: Sequence[str], shown: bool) -> int:
        """Run a command in a new container to its end, and give its exit code.

        Parameters
        ----------
        image : str
            The image; it is pulled unless it is here.
        words : sequence of str
            The command.
        options : sequence of str
            Options of ``run``.
        shown : bool
            Whether what it prints is what this process prints.
        """
        name = f"flyte-nb-{secrets.token_hex(6)}"
        given = [self.program, "run", "--rm", "--name", name, "--label", f"{LABEL}={_owner(os.getpid())}", *options]
        output = None if shown else subprocess.DEVNULL
        with _removed(self.program, name):
            return subprocess.run(
                [*given, image, *words], stdin=subprocess.DEVNULL, stdout=output, check=False
            ).returncode

    def remove_left(self) -> None:
        """Remove the containers whose owners have gone."""
        labelled = ("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.ID}} {{.Labels}}")
        listed = _asked(self.program, *labelled)
        gone = [line.split()[0] for line in listed.stdout.splitlines() if _is_left(line)]
        if gone:
            _asked(self.program, "rm", "--force", *gone)


@contextlib.contextmanager
def _removed(program: str, name: str) -> Iterator[None]:
    """Remove a container should whoever waits for it be interrupted."""
    try:
        yield
    except BaseException:
        _asked(program, "rm", "--force", name)
        raise


def found() -> Engine:
    """Give the container engine of this machine.

    Raises
    ------
    RuntimeUserError
        With the code ``ContainerEngineMissing``, when none answers; it says why of each.
    """
    reasons = []
    for name in NAMES:
        if not (why := _why_not(name)):
            return Engine(name)
        reasons.append(f"{name}: {why}")
    raise RuntimeUserError("ContainerEngineMissing", f"no container engine answers here ({'; '.join(reasons)})")


def why_none() -> str:
    """Say why there is no container engine; empty where there is one."""
    try:
        found()
    except RuntimeUserError as error:
        return str(error)
    return ""


def remove_left() -> None:
    """Remove the containers whose owners have gone, of whichever engine there is."""
    for name in NAMES:
        if shutil.which(name) is not None:
            Engine(name).remove_left()


def _why_not(name: str) -> str:
    """Say why an engine does not answer; empty where it does."""
    if shutil.which(name) is None:
        return "not installed"
    done = _asked(name, "ps", "--quiet")
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return (said[-1] if said else f"exit code {done.returncode}") if done.returncode else ""


def _asked(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", f"it does not answer: {type(error).__name__}")


def _owner(pid: int) -> str:
    """Give what tells a process from a later one of the same number."""
    with contextlib.suppress(OSError):
        return f"{pid}-{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    return f"{pid}-0"


def _is_left(line: str) -> bool:
    """Tell whether the owner that a line of containers names has gone."""
    labelled = _LABELLED.search(line)
    if labelled is None:
        return False
    pid = int(labelled[2])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _owner(pid) != labelled[1]
