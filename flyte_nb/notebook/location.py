"""Location: the folder that a notebook lies in, and its file where a front end tells it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_nb.errors import UnknownNameError

__all__ = ["VARIABLE", "Location", "find_location", "stated_location"]

#: tells the kernel of a headless run which notebook it runs
VARIABLE = "FLYTE_NB_NOTEBOOK"


@dataclass(frozen=True)
class Location:
    """Where the notebook is.

    Parameters
    ----------
    folder : Path
        What relative paths in its cells mean.
    file : Path or None
        The notebook itself, where it is known.
    told : str
        Who said so, in words.
    """

    folder: Path
    file: Path | None
    told: str

    def __str__(self) -> str:
        return f"{self.file or self.folder} ({self.told})"


def stated_location(path: Path) -> Location:
    """Give the location that a person states: a notebook, or the folder it lies in.

    Raises
    ------
    UnknownNameError
        When there is no such file or folder; the nearest names are suggested.
    """
    path = Path(os.path.abspath(path.expanduser()))
    if path.is_dir():
        return Location(path, None, "stated")
    if not path.is_file():
        near = path.parent if path.parent.is_dir() else Path.cwd()
        raise UnknownNameError("notebook or folder", str(path), [str(p) for p in sorted(near.glob("*.ipynb"))])
    return Location(path.parent, path, "stated")


def find_location(namespace: Mapping[str, Any], variables: Mapping[str, str], start: Path) -> Location:
    """Give the location that a headless run or a front end tells, else the working directory.

    Parameters
    ----------
    namespace : mapping
        The live values of the kernel; VS Code leaves the path of the notebook there.
    variables : mapping
        The environment variables; Jupyter's server sets ``JPY_SESSION_NAME``.
    start : Path
        The working directory that the kernel started in: the notebook's folder in most front ends.
    """
    hints = (
        (variables.get(VARIABLE), "the headless run"),
        (namespace.get("__vsc_ipynb_file__"), "VS Code"),
        (variables.get("JPY_SESSION_NAME"), "Jupyter"),
    )
    for hint, told in hints:
        if not isinstance(hint, str) or not hint.endswith(".ipynb"):
            continue
        # a server's path may be relative to its own root; the kernel starts beside the notebook
        for path in (Path(hint), start / Path(hint).name):
            if path.is_absolute() and path.is_file():
                return Location(path.parent, path, told)
    return Location(Path.cwd(), None, "the working directory")
