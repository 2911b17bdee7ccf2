"""Sources: what goes on the import path of an image's environment beside its packages.

The files that ``with_source_file`` and ``with_source_folder`` name are copied into a folder of their own, so that
editing one of them never installs the packages again. flyte_nb is there through a link, without its neighbours.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import posixpath
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flyte_nb.engine.local.images.needs import copies, ignore_rules
from flyte_nb.engine.local.images.shelf import Shelf, cache_home
from flyte_nb.environments.image import Image

__all__ = ["digest", "own_folders", "package_folder", "source_folder", "source_shelf"]

_PACKAGE = Path(__file__).parents[3]


def digest(content: Any) -> str:
    """Give a key for JSON data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def source_shelf() -> Shelf:
    """Give the shelf of the copied files."""
    return Shelf(cache_home() / "sources")


async def source_folder(image: Image, tell: Callable[[str], None]) -> list[str]:
    """Copy the files of an image and give the folder that holds them, in a list; an empty one where there are none."""
    if not copies(image):
        return []

    async def copy(part: Path) -> None:
        await asyncio.to_thread(_copy, image, part)

    rules = ignore_rules(image)
    content = await asyncio.to_thread(lambda: [layer.content(rules) for layer in copies(image)])
    folder, _ = await source_shelf().take(digest(content), copy, tell)
    return [str(folder)]


def _copy(image: Image, folder: Path) -> None:
    rules = ignore_rules(image)
    for layer in copies(image):
        # a path from the root of the image, which nothing leaves upward
        below = posixpath.normpath(f"/{layer.dst}").strip("/")
        for name, path in layer.sources(rules):
            target = folder / below / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # a later layer wins
            shutil.copy2(path, target, follow_symlinks=path.exists())


def package_folder() -> Path:
    """Give a folder that holds flyte_nb, as a link to where it is, and nothing else."""
    folder = cache_home() / "package" / digest(str(_PACKAGE))
    link = folder / _PACKAGE.name
    if not link.is_symlink() or os.readlink(link) != str(_PACKAGE):
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f".{os.getpid()}"
        with contextlib.suppress(FileExistsError):
            new.symlink_to(_PACKAGE)
        new.replace(link)
    return folder


def own_folders() -> list[str]:
    """Give this process's import path without the installed packages and the standard library: the user's code."""
    return [entry for entry in sys.path if not _is_installed(entry)]


def _is_installed(entry: str) -> bool:
    path = Path(os.path.abspath(entry or "."))
    standard = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    return (
        path.suffix == ".zip"
        or bool({"site-packages", "dist-packages"} & set(path.parts))
        or any(path.is_relative_to(folder) for folder in standard)
    )
