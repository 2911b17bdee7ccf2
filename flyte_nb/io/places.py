"""Places: where a path points to — a path of this machine, or one with a protocol, which fsspec reads."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from flyte_nb.context.task_context import current_context
from flyte_nb.environments.declaration import WrongType
from flyte_nb.errors import InitializationError, UsageError

__all__ = [
    "filesystem_of",
    "is_local",
    "last_part",
    "local",
    "named_place",
    "new_place",
    "open_path",
    "path_text",
    "uncompressed",
]

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


def filesystem_of(path: str, **options: Any) -> Any:
    """Give fsspec's file system for a path with a protocol, with options that fsspec knows.

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
        return fsspec.core.url_to_fs(path, **options)[0]
    except ImportError as error:  # s3fs, gcsfs, adlfs: fsspec says which
        raise _missing(path, str(error)) from None


@contextmanager
def open_path(path: str, mode: str, remote: dict[str, Any] | None = None, **options: Any) -> Iterator[Any]:
    """Open what a path points to, in a ``with`` block; folders on the way are made for writing.

    Parameters
    ----------
    path, mode : str
        As for Python's ``open``.
    remote : dict, optional
        Further arguments of fsspec's ``open``, without meaning for a path of this machine.
    **options
        Further arguments of both.
    """
    if not is_local(path):
        with filesystem_of(path).open(path, mode, **(remote or {}), **options) as far:
            yield far
        return
    near = local(path)
    if set(mode) & set("wax"):
        near.parent.mkdir(parents=True, exist_ok=True)
    with near.open(mode, **options) as file:
        yield file


_OPENERS = {"gzip": ("gzip", ".gz"), "bz2": ("bz2", ".bz2"), "xz": ("lzma", ".xz")}


@contextmanager
def uncompressed(
    path: str, mode: str, compression: str | None, remote: dict[str, Any], options: dict[str, Any]
) -> Iterator[Any]:
    """Open what a path points to, through the compression that is named, or that its end tells for ``"infer"``.

    Raises
    ------
    UsageError
        For a compression that is not known.
    """
    if compression == "infer":
        compression = next((name for name, (_, end) in _OPENERS.items() if path.endswith(end)), None)
    if compression is None:
        with open_path(path, mode, remote, **options) as file:
            yield file
        return
    if compression not in _OPENERS:
        raise UsageError(f"compression: given {compression!r}; accepted: {', '.join(_OPENERS)}, 'infer' or None")
    opener = import_module(_OPENERS[compression][0]).open
    binary = mode.replace("t", "").replace("b", "") + "b"
    with (
        open_path(path, binary, remote) as raw,
        opener(raw, mode if "b" in mode else f"{mode.replace('t', '')}t", **options) as file,
    ):
        yield file


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
