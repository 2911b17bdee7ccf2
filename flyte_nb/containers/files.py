"""Files of a container: inputs that it finds in a folder, and outputs that it leaves in another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flyte_nb.containers.words import is_files
from flyte_nb.environments.interface import describe, parse
from flyte_nb.errors import RuntimeUserError
from flyte_nb.io import Dir, File
from flyte_nb.io.places import new_place

__all__ = ["mounts", "read"]


def mounts(inputs: Mapping[str, Any], folder: str, layout: str, stage: Path) -> Iterator[tuple[str, str]]:
    """Give what lies where in the container: pairs of a path here and a path there, for the files among the inputs.

    Parameters
    ----------
    inputs : mapping
        The inputs by name.
    folder : str
        Where they lie in the container.
    layout : {"DIRECT", "NAMED_DIR"}
        Whether a file lies at its input's name, or in a folder of that name with the file's own.
    stage : Path
        A folder here for what has to be put together first.
    """
    named = layout == "NAMED_DIR"
    for name, value in inputs.items():
        if isinstance(value, File) and not named:
            yield _here(value, stage / name), f"{folder}/{name}"
        elif isinstance(value, Dir):
            yield str(Path(value.download_sync(stage / name)).absolute()), f"{folder}/{name}"
        elif isinstance(value, File) or is_files(value):
            yield str(_together([value] if isinstance(value, File) else value, stage / name, named)), f"{folder}/{name}"


def _here(file: File[Any], place: Path) -> str:
    """Give a copy of a file, as a container may change what it is given."""
    place.parent.mkdir(parents=True, exist_ok=True)
    return str(Path(file.download_sync(place)).absolute())


def _together(files: list[File[Any]], folder: Path, named: bool) -> Path:
    """Put files into a folder: by number, or by their own names, of which a second one gets a number before it."""
    folder.mkdir(parents=True)
    for number, file in enumerate(files):
        own = file.name or os.path.basename(str(file.path)) or str(number)
        name = str(number) if not named else own if not (folder / own).exists() else f"{number}_{own}"
        _here(file, folder / name)
    return folder


def read(outputs: Mapping[str, Any], folder: Path, there: str) -> Any:
    """Read what a container left: the value of one output, a tuple of several, None of none.

    Raises
    ------
    RuntimeUserError
        When an output is missing, or is not of its type.
    """
    values = [_value(name, kind, folder / name, f"{there}/{name}") for name, kind in outputs.items()]
    return values[0] if len(values) == 1 else tuple(values) if values else None


def _value(name: str, kind: Any, path: Path, there: str) -> Any:
    if not path.exists():
        raise RuntimeUserError("OutputMissing", f"output {name!r}: the command has to write it to {there}, and did not")
    origin = getattr(kind, "__origin__", kind)
    if origin is File:
        return File.from_local_sync(path, new_place(name))
    if origin is Dir:
        return Dir.from_local_sync(path, new_place(name))
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return text if kind is str else parse(text.strip(), kind)
    except ValueError as error:
        told = f"output {name!r}: {there} holds {text[:80]!r}; accepted: {describe(kind)}"
        raise RuntimeUserError("OutputUnreadable", told) from error
