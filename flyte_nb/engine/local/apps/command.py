"""Command: an app that is a program of its own, run and supervised in the replica's process."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from flyte_nb.engine.local.apps.port_mapping import VARIABLE

__all__ = ["CommandEnded", "Program", "can_have_network", "is_python", "told_command"]

SHIM = Path(__file__).parent / "shim"
NAMESPACE = Path(__file__).parent / "namespace.py"
_HEAD = 256  # bytes of a script in which its interpreter is named
_LONGEST = 80


class CommandEnded(Exception):  # noqa: N818 - it says what happened
    """The program of an app ended by itself.

    Parameters
    ----------
    code : int
        Its exit code; a signal's is negative.
    """

    def __init__(self, command: Sequence[str], code: int) -> None:
        self.code = code
        super().__init__(f"{told_command(command)} ended with exit code {code}")


class Program:
    """A program that serves, with its ports mapped.

    Parameters
    ----------
    command : sequence of str
        The words; nothing is read by a shell.
    port : int
        The port that the app declares.
    used : int
        The port that stands for it here.
    """

    def __init__(self, command: Sequence[str], port: int, used: int) -> None:
        self._command, self._port, self._used = list(command), port, used
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Start it; give the number of its process.

        Raises
        ------
        OSError
            When there is no such program.
        """
        env = {**os.environ, "PATH": search_path(), "PYTHONUNBUFFERED": "1"}
        if is_python(self._command, env["PATH"]) or not can_have_network():
            env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(SHIM), os.environ.get("PYTHONPATH"))))
            self._process = subprocess.Popen([self._found(env["PATH"]), *self._command[1:]], env=env)
            return self._process.pid
        env.pop(VARIABLE, None)
        with socket.socket() as outside:
            outside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            outside.bind(("127.0.0.1", self._used))
            words = [sys.executable, "-I", "-S", str(NAMESPACE), str(outside.fileno()), str(self._port)]
            words += [self._found(env["PATH"]), *self._command[1:]]
            self._process = subprocess.Popen(words, env=env, pass_fds=(outside.fileno(),))
        return self._process.pid

    def _found(self, path: str) -> str:
        found = shutil.which(self._command[0], path=path)
        if found is None:
            raise FileNotFoundError(
                f"there is no program {self._command[0]!r} here; install it, or give the app an image that has it"
            )
        return found

    def wait(self) -> None:
        """Wait for its end.

        Raises
        ------
        CommandEnded
            When it ends.
        """
        assert self._process is not None
        raise CommandEnded(self._command, self._process.wait())

    def end(self, patience: float) -> None:
        """End it: ask it to, and after ``patience`` seconds do not ask any more."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def search_path() -> str:
    """Give where programs are looked for: beside this Python first, as in an activated environment."""
    return os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])


def is_python(command: Sequence[str], path: str) -> bool:
    """Tell whether a command runs a Python, or a shell that does: its ports can be mapped without a network of its own.

    Parameters
    ----------
    command : sequence of str
        The words.
    path : str
        Where programs are looked for.
    """
    words = list(command)
    if os.path.basename(words[0]) in ("sh", "bash", "zsh", "dash", "env"):
        words += [part for word in words[1:] for part in _parts(word)]
    else:
        words = words[:1]
    return any(_runs_python(word, path) for word in words)


def _parts(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _runs_python(word: str, path: str) -> bool:
    found = shutil.which(word, path=path)
    if found is None:
        return False
    if os.path.basename(os.path.realpath(found)).startswith(("python", "pypy")):
        return True
    try:
        with open(found, "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return head.startswith(b"#!") and b"python" in head


@functools.cache
def can_have_network() -> bool:
    """Tell whether a program can have a network of its own on this system."""
    if sys.platform != "linux":
        return False
    probe = f"import runpy; runpy.run_path({str(NAMESPACE)!r})['enter']()"
    return not subprocess.run([sys.executable, "-I", "-c", probe], capture_output=True).returncode


def told_command(command: Sequence[str]) -> str:
    """Word a command, cut when long."""
    text = shlex.join(command)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
