"""Pythons: the interpreters that are installed on this machine, found without changing anything."""

from __future__ import annotations

import functools
import glob
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flyte_nb.environments.image_fields import running_python
from flyte_nb.errors import ImageBuildError

__all__ = ["Python", "find_python"]

_ASK = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
_PATIENCE = 10  # seconds for an interpreter to say its version
_NAME = re.compile(r"python(3)\.(\d+)")
_OLDEST = 10  # the minor version that an image may ask for at least


@dataclass(frozen=True)
class Python:
    """An installed interpreter and its full version, such as ``3.12.1``."""

    path: Path
    version: str

    @property
    def is_running(self) -> bool:
        """Whether it is the interpreter of this process."""
        return str(self.path) == sys.executable


@functools.cache  # an error is not kept: the version may be installed in the meantime
def find_python(version: tuple[int, int]) -> Python:
    """Find an interpreter of a version: the running one, else one on ``PATH``, of pyenv, of uv or in a usual place.

    Raises
    ------
    ImageBuildError
        When there is none; the message names those that are there. None is ever downloaded.
    """
    if version == running_python():
        return Python(Path(sys.executable), platform.python_version())
    wanted = f"{version[0]}.{version[1]}"
    for path in _candidates(f"python{wanted}"):
        if (told := _ask(path)) and told.startswith(f"{wanted}."):
            return Python(path, told)
    there = ", ".join(sorted(_installed(), key=lambda text: [int(part) for part in text.split(".")]))
    raise ImageBuildError(
        f"the image asks for Python {wanted}, which is not installed here. Found: {there}. "
        f"Install Python {wanted}, or ask for one of these with from_debian_base(python_version=…)"
    )


def _installed() -> set[str]:
    """Give the versions that are there; a name alone proves nothing, so each of them is asked."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}"}
    for path in _candidates("python3.*"):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match.group(2)) < _OLDEST or (text := path.name[len("python") :]) in found:
            continue
        if (_ask(path) or "").startswith(f"{text}."):
            found.add(text)
    return found


def _candidates(name: str) -> Iterator[Path]:
    """Give the files that may be an interpreter of that name, the likeliest first."""
    for folder in _folders():
        yield from (Path(path) for path in sorted(glob.glob(f"{folder}/{name}"), reverse=True))


def _folders() -> Iterator[str]:
    home = os.path.expanduser("~")
    data = os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    shown = os.environ.get("PATH", "").split(os.pathsep)
    shims = [folder for folder in shown if os.path.basename(folder) == "shims"]  # slow, and many are switched off
    yield from (folder for folder in shown if folder not in shims)
    yield f"{os.environ.get('PYENV_ROOT') or f'{home}/.pyenv'}/versions/*/bin"
    yield f"{os.environ.get('UV_PYTHON_INSTALL_DIR') or f'{data}/uv/python'}/*/bin"
    yield from ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", f"{home}/.local/bin")
    yield "/Library/Frameworks/Python.framework/Versions/*/bin"
    yield from shims


def _ask(path: Path) -> str | None:
    """Ask an interpreter for its version; None where it is none, such as a shim for one that is switched off."""
    try:
        told = subprocess.run(
            [path, "-I", "-S", "-c", _ASK], capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() if told.returncode == 0 else None
