"""Environment: an image's Python environment, made by uv or taken from the cache."""

from __future__ import annotations

import asyncio
import functools
import importlib.metadata
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_nb.engine.local.images.install import install
from flyte_nb.engine.local.images.needs import ignore_rules, installs, label, needs_environment
from flyte_nb.engine.local.images.pip_settings import pip_settings
from flyte_nb.engine.local.images.pythons import Python, find_python
from flyte_nb.engine.local.images.shelf import Shelf, cache_home
from flyte_nb.engine.local.images.sources import digest, own_folders, package_folder, source_folder
from flyte_nb.engine.local.images.uv import UV, find_uv
from flyte_nb.environments.image import Image
from flyte_nb.environments.layer import Layer
from flyte_nb.environments.layers import Requirements
from flyte_nb.errors import ImageBuildError

__all__ = [
    "RECORD",
    "WORKER_NEEDS",
    "Interpreter",
    "content_of",
    "ensure",
    "image_shelf",
    "is_built",
    "worker_requirements",
]

#: what ``flyte_nb.engine.local.worker`` imports of other packages, in whatever environment it runs
WORKER_NEEDS = frozenset({"cloudpickle", "pydantic"})
RECORD = "image.json"
_FORMAT = 1  # another one makes every environment anew
_ASK = "import json, sys; print(json.dumps(sys.path))"
_INCLUDED = re.compile(r"\s*(?:-r|--requirement|-c|--constraint)[\s=]+(\S+)")


@dataclass(frozen=True)
class Interpreter:
    """Where a task of an image runs.

    Parameters
    ----------
    python : Path
        The interpreter.
    sys_path : tuple of str
        The whole import path of a worker there, in the place of the interpreter's own.
    built : bool
        Whether the environment was made just now.
    seconds : float
        How long it took to make it, or to find it.
    """

    python: Path
    sys_path: tuple[str, ...]
    built: bool
    seconds: float


async def ensure(image: Image | str | None, tell: Callable[[str], None]) -> Interpreter:
    """Give the interpreter that stands in for an image, and make its environment first where it is not there yet.

    The packages are installed by uv, each layer in a step of its own, into an environment that all kernels of this
    user share. What the image does not ask for, this process's interpreter gives.

    Parameters
    ----------
    image : Image, str or None
        As declared.
    tell : Callable
        Gets the progress, a short line each; it is called in the running event loop.

    Raises
    ------
    ImageBuildError
        When a file of the image is missing, its Python version or uv is not installed, or a package cannot be
        installed; the message names the layer and has the resolver's essential lines.
    """
    start = time.perf_counter()
    if not isinstance(image, Image) or not needs_environment(image):
        return Interpreter(Path(sys.executable), tuple(sys.path), False, time.perf_counter() - start)
    try:
        sources = await source_folder(image, tell)
        if not installs(image) and (await asyncio.to_thread(find_python, image.python_version)).is_running:
            return Interpreter(Path(sys.executable), (*sources, *sys.path), False, time.perf_counter() - start)
        folder, built = await _environment(image, tell)
    except OSError as error:
        raise ImageBuildError(f"the environment of the image cannot be made: {error}") from error
    paths = [str(folder / path) for path in json.loads((folder / RECORD).read_text())["sys_path"]]
    whole = (*own_folders(), *sources, str(package_folder()), *paths)
    return Interpreter(folder / "bin" / "python", whole, built, time.perf_counter() - start)


def is_built(image: Image) -> bool:
    """Tell whether the environment of an image is there already; nothing is made or marked as used.

    Raises
    ------
    ImageBuildError
        When its Python version is not installed here, or a file of the image is missing.
    OSError
        When a file of the image cannot be read.
    """
    python = find_python(image.python_version)
    if not installs(image) and python.is_running:
        return True  # its files are found in the folders they lie in
    return image_shelf().holds(digest(content_of(image, python)))


def image_shelf() -> Shelf:
    """Give the shelf of the environments; one whose interpreter was uninstalled is of no use."""
    return Shelf(cache_home() / "images", lambda folder: (folder / "bin" / "python").exists())


async def _environment(image: Image, tell: Callable[[str], None]) -> tuple[Path, bool]:
    """Give the folder of an image's environment, and whether it was made just now."""
    python = await asyncio.to_thread(find_python, image.python_version)
    content = await asyncio.to_thread(content_of, image, python)

    async def make(part: Path) -> None:
        start = time.perf_counter()
        program = find_uv()
        tell(f"making an environment with Python {python.version}")
        options = ("--allow-existing", "--no-project", "--relocatable", "--python", str(python.path))
        settings, _ = await asyncio.gather(
            asyncio.to_thread(pip_settings),  # meanwhile, as pip is slow to answer
            UV(program, {}, tell).run("the environment", "venv", *options, ".", folder=part, variables={}),
        )
        uv = UV(program, settings, tell)
        await install(uv, image, part, worker_requirements())
        record = {
            "python": python.version,
            "layers": [label(layer) for layer in installs(image)],
            "sys_path": await _import_path(part),
            "seconds": round(time.perf_counter() - start, 3),
            "built": time.time(),
        }
        (part / RECORD).write_text(json.dumps(record))

    return await image_shelf().take(digest(content), make, tell)


def content_of(image: Image, python: Python) -> dict[str, Any]:
    """Give what determines an environment: its packages, the bytes of the files that name them, and the interpreter.

    Images that differ in a name, a registry, variables or what only a container has share one environment.
    """
    rules = ignore_rules(image)
    return {
        "layers": [{**layer.content(rules), "included": _included(layer)} for layer in installs(image)],
        "python": [str(python.path), python.version, platform.machine()],
        "worker": worker_requirements(),
        "format": _FORMAT,
    }


def _included(layer: Layer) -> dict[str, str]:
    """Give the contents of the files that a requirements file includes, and those that these do."""
    found: dict[str, str] = {}
    waiting = [layer.file] if isinstance(layer, Requirements) else []
    while waiting:
        file = waiting.pop()
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        found[os.path.abspath(file)] = text
        inner = [file.parent / match.group(1) for line in text.splitlines() if (match := _INCLUDED.match(line))]
        waiting += [path for path in inner if os.path.abspath(path) not in found]
    return {os.path.basename(path): text for path, text in found.items()}


@functools.cache
def worker_requirements() -> tuple[str, ...]:
    """Give the requirements of a worker, as flyte_nb's own metadata says them."""
    try:
        declared = importlib.metadata.requires("flyte_nb") or []
    except importlib.metadata.PackageNotFoundError:  # run from its sources
        return tuple(sorted(WORKER_NEEDS))
    named = {re.split(r"[^\w.-]", text, maxsplit=1)[0].lower(): text for text in declared if "extra ==" not in text}
    return tuple(named.get(name, name) for name in sorted(WORKER_NEEDS))


async def _import_path(folder: Path) -> list[str]:
    """Ask an environment for its import path; what lies in it is given relative to it, as it will be renamed."""
    process = await asyncio.create_subprocess_exec(
        folder / "bin" / "python", "-I", "-c", _ASK, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise ImageBuildError(f"the interpreter of the environment ends with exit code {process.returncode}")
    real = os.path.realpath(folder)
    return [os.path.relpath(path, real) if path.startswith(real + os.sep) else path
            for path in map(_real_prefix(folder, real), json.loads(told))]  # fmt: skip


def _real_prefix(folder: Path, real: str) -> Callable[[str], str]:
    return lambda path: real + path[len(str(folder)) :] if path.startswith(f"{folder}{os.sep}") else path
