"""File: one file, here or in a storage, as an input or an output of a task."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from flyte_nb.environments.declaration import Check
from flyte_nb.io.hashing import HashFunction, hashed
from flyte_nb.io.opened import Opened
from flyte_nb.io.places import (
    filesystem_of,
    is_local,
    last_part,
    local,
    named_place,
    new_place,
    path_text,
    uncompressed,
)
from flyte_nb.io.reference import Reference

__all__ = ["File"]

T = TypeVar("T")


@dataclass(repr=False)
class File(Reference, Generic[T]):
    """A file. ``File[T]`` says what it holds, for people; it is not checked.

    A path of this machine is used as it is. One with a protocol (``s3://…``) is read with fsspec, which has to be
    installed.

    Parameters
    ----------
    path : str or path
        Where it is.
    name : str, optional
        What it is called; the last part of the path by default.
    format : str
        What kind of file it is, such as ``"csv"``.
    hash : str, optional
        Stands for its content.

    Raises
    ------
    DeclarationTypeError
        When a field is of the wrong type.
    """

    path: Annotated[str, Check(path_text, "a path as a str or a Path", before=True)]
    name: str | None = None
    format: str = ""
    hash: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name is None:
            self.name = last_part(self.path)

    @classmethod
    def new_remote(cls, file_name: str | None = None, hash_method: str | None = None) -> File[T]:
        """Give a new file to write: where the running task keeps its data, or in a temporary folder outside one.

        Parameters
        ----------
        file_name : str, optional
            What it is called.
        hash_method : str, optional
            Its hash. A function has nothing to hash yet.
        """
        return cls(new_place(file_name), hash=hash_method)

    @classmethod
    def named_remote(cls, name: str) -> File[T]:
        """Give the file of a name where the running task keeps its data: the same one for the same name."""
        return cls(named_place(name), name)

    @classmethod
    def from_existing_remote(cls, remote_path: str, file_cache_key: str | None = None) -> File[T]:
        """Refer to a file that is there already; nothing is read.

        Parameters
        ----------
        remote_path : str
            Where it is.
        file_cache_key : str, optional
            Stands for its content, as ``hash``.
        """
        return cls(remote_path, hash=file_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        hash_method: str | HashFunction | None = None,
        **transfer: Any,
    ) -> File[T]:
        """Take a file of this machine: as it is, or as a copy.

        Parameters
        ----------
        local_path : str or Path
            The file.
        remote_destination : str, optional
            Where to copy it.
        hash_method : str or HashFunction, optional
            Its hash, or what gives it from its bytes.
        **transfer
            How the Flyte SDK uploads it (``chunk_size``, ``max_concurrency``); without effect here.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        """
        source = Path(local_path).absolute()
        if not source.is_file():
            raise FileNotFoundError(f"no such file: {source}")
        if remote_destination is not None:
            _copy(str(source), remote_destination)
        return cls(remote_destination or str(source), source.name, hash=hashed(hash_method, source.read_bytes))

    @classmethod
    async def from_local(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        hash_method: str | HashFunction | None = None,
        **transfer: Any,
    ) -> File[T]:
        """Do as `from_local_sync`, in a thread."""
        from asyncio import to_thread

        return await to_thread(cls.from_local_sync, local_path, remote_destination, hash_method, **transfer)

    @contextmanager
    def open_sync(
        self,
        mode: str = "rb",
        block_size: int | None = None,
        cache_type: str | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Iterator[Any]:
        """Open it in a ``with`` block; folders on the way are made for writing.

        Parameters
        ----------
        mode : str
            As for Python's ``open``; bytes by default.
        block_size, cache_type, cache_options
            How a storage is read, as for fsspec's ``open``; without meaning for a path of this machine.
        compression : str, optional
            ``"gzip"``, ``"bz2"`` or ``"xz"``, or ``"infer"`` to tell by the end of the path.
        **options
            Further arguments of ``open``, such as ``encoding``, or of fsspec's.

        Raises
        ------
        FileNotFoundError
            When there is no such file to read.
        """
        asked = {"block_size": block_size, "cache_type": cache_type, "cache_options": cache_options}
        remote = {name: value for name, value in asked.items() if value is not None}
        with uncompressed(self.path, mode, compression, remote, options) as file:
            yield file

    @asynccontextmanager
    async def open(self, mode: str = "rb", **options: Any) -> AsyncIterator[Opened]:
        """Open it in an ``async with`` block: ``data = await f.read()``. The arguments are those of `open_sync`."""
        with self.open_sync(mode, **options) as file:
            yield Opened(file)

    def exists_sync(self) -> bool:
        """Tell whether it is there."""
        return local(self.path).is_file() if is_local(self.path) else bool(filesystem_of(self.path).exists(self.path))

    async def exists(self) -> bool:
        """Tell whether it is there, in a thread."""
        from asyncio import to_thread

        return await to_thread(self.exists_sync)

    def download_sync(self, local_path: str | Path | None = None) -> str:
        """Copy it to this machine and give the path of the copy.

        Parameters
        ----------
        local_path : str or Path, optional
            The path of the copy, or the folder to put it in (one that exists, or ends with ``/``); a temporary
            folder by default.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        """
        name = self.name or "file"
        target = Path(tempfile.mkdtemp(prefix="flyte-")) / name if local_path is None else Path(local_path)
        if local_path is not None and (target.is_dir() or str(local_path).endswith("/")):
            target /= name
        _copy(self.path, str(target))
        return str(target)

    async def download(self, local_path: str | Path | None = None) -> str:
        """Do as `download_sync`, in a thread."""
        from asyncio import to_thread

        return await to_thread(self.download_sync, local_path)


def _copy(source: str, target: str) -> None:
    """Copy one file; at most one of the two is in a storage."""
    if not is_local(target):
        filesystem_of(target).put_file(str(local(source)), target)
        return
    local(target).parent.mkdir(parents=True, exist_ok=True)
    if not is_local(source):
        filesystem_of(source).get_file(source, str(local(target)))
    elif not (local(target).exists() and local(source).samefile(local(target))):
        shutil.copy2(local(source), local(target))
