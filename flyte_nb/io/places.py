"""Places: where a path points to — a path of this machine, or one with a protocol, which fsspec reads."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any

from flyte_nb.context.task_context import current_context
from flyte_nb.environments.declaration import WrongType
from flyte_nb.errors import InitializationError

__all__ = ["filesystem_of", "is_local", "last_part", "local", "named_place", "new_place", "path_text"]

_PROTOCOL = re.compile(r"([a-z][a-z0-9+.-]+)://")


def path_text(value: Any) -> str:
    """Give a path as text, as the field of a File or a Dir holds it."""
    if not isinstance(value, str | os.PathLike):
        raise WrongType(f"it is of type {type(value).__name__}")
    return str(os.fspath(value))


def is_local(path: str) -> bool:
    """Tell whether a path is one of this machine."""
    found = _PROTOCOL.match(path)
    return found is None or found.group(1) == "file"


def local(path: str) -> Path:
    """Give a path of this machine."""
    return Path(path.removeprefix("file://"))


def last_part(path: str) -> str | None:
    """Give the last part of a path; None for an empty one."""
    return path.rstrip("/").rpartition("/")[2] or None


def filesystem_of(path: str) -> Any:
    """Give fsspec's file system for a path with a protocol.

    Raises
    ------
    InitializationError
        When fsspec, or what it needs for the protocol, is not installed; the message names the package.
    """
    try:
        import fsspec
    except ImportError:
        raise _missing(path, "the package fsspec: pip install fsspec") from None
    try:
        return fsspec.core.url_to_fs(path)[0]
    except ImportError as error:  # s3fs, gcsfs, adlfs: fsspec says which
        raise _missing(path, str(error)) from None


def _missing(path: str, needed: str) -> InitializationError:
    return InitializationError("PackageMissing", "user", f"{path} is not a path of this machine; it needs {needed}")


def new_place(name: str | None) -> str:
    """Give a path that nothing else uses, where the running task keeps its data; outside one a temporary folder."""
    return f"{_data()}/{secrets.token_hex(16)}" + (f"/{name}" if name else "")


def named_place(name: str) -> str:
    """Give the path of a name, where the running task keeps its data: the same in every attempt at the task."""
    return f"{_data()}/{name}"


def _data() -> str:
    context = current_context.get()
    kept = context.raw_data_path.path if context is not None else ""
    return kept.rstrip("/") or f"{tempfile.gettempdir()}/flyte-data-{os.getuid()}"
