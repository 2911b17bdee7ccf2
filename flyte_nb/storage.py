"""Storage: files of this machine and of storages, by path; fsspec, which has to be installed, reaches the latter."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from flyte_nb.io import Dir, File
from flyte_nb.io.places import filesystem_of, is_local, local, new_place

__all__ = [
    "exists",
    "exists_sync",
    "get",
    "get_random_local_directory",
    "get_random_local_path",
    "get_stream",
    "get_underlying_filesystem",
    "is_remote",
    "join",
    "open",
    "put",
    "put_stream",
]

_CHUNK = 10 << 20


def is_remote(path: str | Path) -> bool:
    """Tell whether a path is one of a storage: one with a protocol other than ``file``."""
    return not is_local(str(path))


def join(*paths: str) -> str:
    """Join parts of a path with single slashes."""
    first, *rest = [str(path) for path in paths]
    return "/".join([first.rstrip("/"), *(part.strip("/") for part in rest)]) if rest else first


def get_random_local_path(file_path_or_file_name: str | Path | None = None) -> Path:
    """Give a path of this machine that nothing uses yet, with the name of a file at its end, where one is given."""
    folder = get_random_local_directory()
    return folder / Path(file_path_or_file_name).name if file_path_or_file_name else folder / secrets.token_hex(8)


def get_random_local_directory() -> Path:
    """Make a new folder on this machine, and give it."""
    return Path(tempfile.mkdtemp(prefix="flyte-"))


def get_underlying_filesystem(
    protocol: str | None = None, anonymous: bool = False, path: str | None = None, **kwargs: Any
) -> Any:
    """Give fsspec's file system for a protocol, or for that of a path.

    Raises
    ------
    InitializationError
        When fsspec, or what it needs for the protocol, is not installed.
    """
    where = path or f"{protocol or 'file'}://"
    options = {**kwargs, **({"anon": True} if anonymous and not is_local(where) else {})}
    return filesystem_of(where, **options)


def exists_sync(path: str, **kwargs: Any) -> bool:
    """Tell whether a file or a folder is there."""
    return local(path).exists() if is_local(path) else bool(filesystem_of(path, **kwargs).exists(path))


async def exists(path: str, **kwargs: Any) -> bool:
    """Do as `exists_sync`, in a thread."""
    from asyncio import to_thread

    return await to_thread(exists_sync, path, **kwargs)


async def get(from_path: str, to_path: str | Path | None = None, recursive: bool = False) -> str:
    """Copy a file, or a folder where ``recursive`` says so, to this machine; give the path of the copy.

    Raises
    ------
    FileNotFoundError
        When it is not there.
    """
    target = str(to_path) if to_path is not None else None
    return await (Dir(from_path).download(target) if recursive else File(from_path).download(target))


async def put(from_path: str, to_path: str | None = None, recursive: bool = False, **transfer: Any) -> str:
    """Copy a file of this machine, or a folder where ``recursive`` says so; give where it is then.

    Parameters
    ----------
    from_path : str
        The file or folder.
    to_path : str, optional
        Where to; where the running task keeps its data by default.
    recursive : bool
        Whether it is a folder.
    **transfer
        How the Flyte SDK uploads it; without effect here.

    Raises
    ------
    FileNotFoundError
        When it is not there.
    """
    target = to_path or new_place(Path(from_path).name)
    kind: Any = Dir if recursive else File
    return str((await kind.from_local(from_path, target)).path)


def open(path: str, mode: str = "rb", **kwargs: Any) -> AbstractAsyncContextManager[Any]:  # noqa: A001 - the SDK's name
    """Open a file in an ``async with`` block, as ``File.open`` does."""
    return File(path).open(mode, **kwargs)


async def get_stream(path: str, chunk_size: int = _CHUNK, **kwargs: Any) -> AsyncIterator[bytes]:
    """Give the bytes of a file, a chunk after the other."""
    from asyncio import to_thread

    with File(path).open_sync("rb", **kwargs) as file:
        while chunk := await to_thread(file.read, chunk_size):
            yield chunk


async def put_stream(
    data_iterable: AsyncIterable[bytes] | bytes, *, name: str | None = None, to_path: str | None = None, **transfer: Any
) -> str:
    """Write bytes, or chunks of them, to a file; give where it is.

    Parameters
    ----------
    data_iterable : bytes or async iterable of bytes
        What is written.
    name : str, optional
        What the file is called, where no path is given.
    to_path : str, optional
        Where to; where the running task keeps its data by default.
    **transfer
        How the Flyte SDK uploads it; without effect here.
    """
    target = to_path or new_place(name or secrets.token_hex(8))
    with File(target).open_sync("wb") as file:
        if isinstance(data_iterable, bytes | bytearray | memoryview):
            file.write(data_iterable)
        else:
            async for chunk in data_iterable:
                file.write(chunk)
    return target
