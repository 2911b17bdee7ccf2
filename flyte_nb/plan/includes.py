"""Includes: the files that an environment's ``include`` names, each inside the folder that the code comes from."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from flyte_nb.environments.base import Environment
from flyte_nb.errors import DeploymentError, suggestion
from flyte_nb.plan.files import Shipped, shipped

__all__ = ["included", "named_files"]

_SKIPPED = ("__pycache__", "node_modules")
_SUFFIXES = (".pyc", ".pyo")


def included(env: Environment, root: Path) -> Iterator[Shipped]:
    """Give the files that an environment includes.

    Parameters
    ----------
    env : Environment
        Its relative paths mean the folder of the notebook, or of the file that declared it. A path is a file, a folder
        (all that is in it, but for what is hidden or compiled) or a pattern with ``*``, ``?``, ``[…]`` or ``**``.
    root : Path
        The folder that the bundle is made of: nothing outside it travels.

    Raises
    ------
    DeploymentError
        For a path that is not there, that leaves ``root``, by a symbolic link too, or that is not a file or a folder.
    """
    for path, file, why in named_files(env, root):
        yield shipped(path, file, why, is_included=True)


def named_files(env: Environment, root: Path) -> Iterator[tuple[str, Path, str]]:
    """Give the files that an environment includes, unread: where each lies in the bundle, the file, and why.

    Parameters
    ----------
    env : Environment
        As for `included`.
    root : Path
        As for `included`.

    Raises
    ------
    DeploymentError
        As `included`.
    """
    anchor = Path(env.place.folder)
    taken: set[Path] = set()
    for pattern in env.include:
        why = f"included by {env.name!r}" + (f" ({pattern})" if _is_pattern(anchor, pattern) else "")
        for path in _matches(env, anchor, pattern):
            for file in _files(path, root, why, seen=()):
                if file not in taken:
                    taken.add(file)
                    yield _place(file, root, why), file, why


def _is_pattern(anchor: Path, pattern: str) -> bool:
    return glob.has_magic(pattern) and not os.path.lexists(anchor / pattern)


def _matches(env: Environment, anchor: Path, pattern: str) -> list[Path]:
    """Give what one entry of ``include`` names."""
    if _is_pattern(anchor, pattern):
        names = sorted(glob.glob(pattern, root_dir=anchor, recursive=True))
        found = [anchor / name for name in names if not any(map(_is_unmeant, Path(name).parts))]
    else:
        found = [anchor / pattern] if os.path.lexists(anchor / pattern) else []
    if not found:
        raise DeploymentError(
            f"environment {env.name!r} includes {pattern!r}, which is not in {anchor}; {_hint(anchor, pattern)}"
        )
    return found


def _hint(anchor: Path, pattern: str) -> str:
    """Suggest what lies where a path was meant to lie."""
    folder = (anchor / pattern).parent
    folder = folder if folder.is_dir() and folder.is_relative_to(anchor) else anchor
    near = [p.relative_to(anchor).as_posix() for p in folder.iterdir() if not _is_unmeant(p.name)]
    return suggestion(pattern, sorted(near))


def _is_unmeant(name: str) -> bool:
    """Tell whether a file or a folder only travels when it is named: what is hidden, compiled or installed."""
    return name in _SKIPPED or name.startswith(".") or name.endswith(_SUFFIXES)


def _files(path: Path, root: Path, why: str, seen: tuple[Path, ...]) -> Iterator[Path]:
    """Give a file, or the files of a folder; ``seen`` are the real folders above it, so that a link back ends."""
    _place(path, root, why)
    if not path.is_dir():
        yield path
        return
    real = path.resolve()
    for inner in sorted(path.iterdir()) if real not in seen else ():
        if not _is_unmeant(inner.name):
            yield from _files(inner, root, why, (*seen, real))


def _place(path: Path, root: Path, why: str) -> str:
    """Give where a file lies below the root.

    Raises
    ------
    DeploymentError
        When it, or what it is a symbolic link to, is not there or lies outside.
    """
    if not path.exists():
        raise DeploymentError(f"{path} ({why}) is a symbolic link to nothing: {os.readlink(path)}")
    lexical, real = Path(os.path.abspath(path)), path.resolve()
    if not real.is_relative_to(root.resolve()):
        link = f" is a symbolic link to {real}, which" if lexical.is_relative_to(root) else ""
        raise DeploymentError(f"{path} ({why}){link} lies outside {root}; copy it into that folder")
    inside = lexical.relative_to(root) if lexical.is_relative_to(root) else real.relative_to(root.resolve())
    return inside.as_posix()
