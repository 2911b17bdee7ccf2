"""Dir: one directory, here or in a storage, as an input or an output of a task."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from flyte_nb.environments.declaration import Check
from flyte_nb.io.file import File
from flyte_nb.io.places import filesystem_of, is_local, last_part, local, new_place, path_text
from flyte_nb.io.reference import Reference

__all__ = ["Dir", "EmptyDir"]

T = TypeVar("T")


@dataclass(repr=False)
class Dir(Reference, Generic[T]):
    """A directory. ``Dir[T]`` says what its files hold, for people; it is not checked.

    A path of this machine is used as it is. One with a protocol (``s3://…``) is read with fsspec, which has to be
    installed.

    Parameters
    ----------
    path : str or path
        Where it is; empty for a directory without files that is nowhere.
    name : str, optional
        What it is called; the last part of the path by default.
    format : str
        What kind of files it holds, such as ``"csv"``.
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
    def empty(cls) -> EmptyDir:
        """Give a directory without files that is nowhere."""
        return EmptyDir()

    @property
    def is_empty(self) -> bool:
        """Whether it holds no file; asks the storage where it has a protocol."""
        return next(self.walk_sync(), None) is None

    @classmethod
    def new_remote(
        cls,
        dir_name: str | None = None,
        hash: str | None = None,  # noqa: A002 - the Flyte SDK's name
    ) -> Dir[T]:
        """Give a new directory: where the running task keeps its data, or in a temporary folder outside one.

        Parameters
        ----------
        dir_name : str, optional
            What it is called.
        hash : str, optional
            Stands for its content.
        """
        return cls(new_place(dir_name), hash=hash)

    @classmethod
    def from_existing_remote(cls, remote_path: str, dir_cache_key: str | None = None) -> Dir[T]:
        """Refer to a directory that is there already; nothing is read.

        Parameters
        ----------
        remote_path : str
            Where it is.
        dir_cache_key : str, optional
            Stands for its content, as ``hash``.
        """
        return cls(remote_path, hash=dir_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        dir_cache_key: str | None = None,
        **transfer: Any,
    ) -> Dir[T]:
        """Take a directory of this machine: as it is, or as a copy.

        Parameters
        ----------
        local_path : str or Path
            The directory.
        remote_destination : str, optional
            Where to copy it.
        dir_cache_key : str, optional
            Stands for its content, as ``hash``.
        **transfer
            How the Flyte SDK uploads it (``batch_size``, ``chunk_size``, ``max_concurrency``); without effect here.

        Raises
        ------
        FileNotFoundError
            When there is no such directory.
        """
        source = Path(local_path).absolute()
        if not source.is_dir():
            raise FileNotFoundError(f"no such directory: {source}")
        if remote_destination is None:
            return cls(str(source), source.name, hash=dir_cache_key)
        if is_local(remote_destination):
            shutil.copytree(source, local(remote_destination), dirs_exist_ok=True)
        else:
            filesystem_of(remote_destination).put(f"{source}/", remote_destination, recursive=True)
        return cls(remote_destination, source.name, hash=dir_cache_key)

    @classmethod
    async def from_local(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        dir_cache_key: str | None = None,
        **transfer: Any,
    ) -> Dir[T]:
        """Do as `from_local_sync`, in a thread."""
        from asyncio import to_thread

        return await to_thread(cls.from_local_sync, local_path, remote_destination, dir_cache_key, **transfer)

    def walk_sync(
        self, recursive: bool = True, file_pattern: str = "*", max_depth: int | None = None
    ) -> Iterator[File[T]]:
        """Give its files, one after the other, sorted within each directory.

        Parameters
        ----------
        recursive : bool
            Also those of its directories.
        file_pattern : str
            Only those whose name fits, as in a shell.
        max_depth : int, optional
            How many levels of directories to look into; 1 is this one.
        """
        deepest = max_depth if recursive else 1
        for folder, names in self._folders(deepest):
            for name in sorted(names):
                if fnmatch(name, file_pattern):
                    yield File(f"{folder}/{name}", name)

    def _folders(self, deepest: int | None) -> Iterator[tuple[str, list[str]]]:
        """Give the directories down to a level, each with the names of its files."""
        if not self.path:
            return
        if not is_local(self.path):
            system = filesystem_of(self.path)
            for folder, _, names in system.walk(self.path, maxdepth=deepest):
                yield system.unstrip_protocol(folder), list(names)
            return
        root = str(local(self.path)).rstrip("/")
        for folder, inner, names in os.walk(root):
            depth = folder.removeprefix(root).count("/") + 1
            inner[:] = sorted(inner) if deepest is None or depth < deepest else []
            if deepest is None or depth <= deepest:
                yield folder, names

    async def walk(
        self, recursive: bool = True, file_pattern: str = "*", max_depth: int | None = None
    ) -> AsyncIterator[File[T]]:
        """Do as `walk_sync`, for ``async for``."""
        for file in self.walk_sync(recursive, file_pattern, max_depth):
            yield file

    def list_files_sync(self) -> list[File[T]]:
        """List its own files, without those of its directories."""
        return list(self.walk_sync(recursive=False))

    async def list_files(self) -> list[File[T]]:
        """List its own files, in a thread."""
        from asyncio import to_thread

        return await to_thread(self.list_files_sync)

    def get_file_sync(self, file_name: str) -> File[T] | None:
        """Give one of its files, by its name or its path within; None when there is none."""
        if not self.path:
            return None
        file: File[T] = File(f"{self.path.rstrip('/')}/{file_name}")
        return file if file.exists_sync() else None

    async def get_file(self, file_name: str) -> File[T] | None:
        """Do as `get_file_sync`, in a thread."""
        from asyncio import to_thread

        return await to_thread(self.get_file_sync, file_name)

    def exists_sync(self) -> bool:
        """Tell whether it is there."""
        if not self.path:
            return False
        return local(self.path).is_dir() if is_local(self.path) else bool(filesystem_of(self.path).isdir(self.path))

    async def exists(self) -> bool:
        """Tell whether it is there, in a thread."""
        from asyncio import to_thread

        return await to_thread(self.exists_sync)

    def download_sync(self, local_path: str | Path | None = None) -> str:
        """Copy it to this machine and give the path of the copy.

        Parameters
        ----------
        local_path : str or Path, optional
            The directory that takes its files; a temporary one by default.

        Raises
        ------
        FileNotFoundError
            When there is no such directory.
        """
        target = Path(tempfile.mkdtemp(prefix="flyte-")) / (self.name or "") if local_path is None else Path(local_path)
        if self.path and not is_local(self.path):
            filesystem_of(self.path).get(f"{self.path.rstrip('/')}/", str(target), recursive=True)
        elif self.path:
            shutil.copytree(local(self.path), target, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
        return str(target)

    async def download(self, local_path: str | Path | None = None) -> str:
        """Do as `download_sync`, in a thread."""
        from asyncio import to_thread

        return await to_thread(self.download_sync, local_path)


@dataclass(repr=False)
class EmptyDir(Dir[Any]):
    """A directory without files that is nowhere; what ``Dir.empty()`` gives."""

    path: Annotated[str, Check(path_text, "a path as a str or a Path", before=True)] = ""
