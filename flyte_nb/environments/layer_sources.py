"""Layer sources: the steps of an image that copy files into it, and what stays out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flyte_nb.environments.declaration import refuse
from flyte_nb.environments.dockerignore import IgnoreRules, files_under
from flyte_nb.environments.image_tag import loaded_files
from flyte_nb.environments.layer import FilePath, Layer, OptionalPath
from flyte_nb.errors import ImageBuildError

__all__ = [
    "CodeBundle",
    "CopyStyle",
    "DockerIgnore",
    "PythonWheels",
    "SourceFile",
    "SourceFolder",
    "folder_name",
]

CopyStyle = Literal["loaded_modules", "all"]


@dataclass(frozen=True, repr=False)
class PythonWheels(Layer):
    """The wheels of one package in a folder."""

    wheel_dir: FilePath
    package_name: str

    def validate(self) -> None:
        """Check that the folder is there; an `ImageBuildError` says that it is not."""
        _require_source(self, self.wheel_dir, self.wheel_dir.is_dir(), "folder of wheels")

    def sources(self, rules: IgnoreRules | None = None) -> Iterator[tuple[str, Path]]:
        """Give the package's wheels."""
        for wheel in sorted(self.wheel_dir.glob(f"{self.package_name.replace('-', '_')}-*.whl")):
            yield wheel.name, wheel


@dataclass(frozen=True, repr=False)
class DockerIgnore(Layer):
    """The file that says what stays out of the folders that are copied; it may be missing."""

    path: FilePath

    def validate(self) -> None:
        """Accept that the file is missing."""

    def sources(self, rules: IgnoreRules | None = None) -> Iterator[tuple[str, Path]]:
        """Give the file, if there is one."""
        if self.path.is_file():
            yield "path", self.path


@dataclass(frozen=True, repr=False)
class SourceFolder(Layer):
    """The files of a folder, copied into the folder ``dst`` of the image."""

    src: FilePath
    dst: str = "."

    def validate(self) -> None:
        """Check that the folder is there; an `ImageBuildError` says that it is not."""
        _require_source(self, self.src, self.src.is_dir(), "folder")

    def sources(self, rules: IgnoreRules | None = None) -> Iterator[tuple[str, Path]]:
        """Give the files that are copied, by their path in the folder."""
        return files_under(self.src, rules)


@dataclass(frozen=True, repr=False)
class SourceFile(Layer):
    """A file, copied into the folder ``dst`` of the image."""

    src: FilePath
    dst: str = "."

    def validate(self) -> None:
        """Check that the file is there; an `ImageBuildError` says that it is not."""
        _require_source(self, self.src, self.src.is_file(), "file")

    def sources(self, rules: IgnoreRules | None = None) -> Iterator[tuple[str, Path]]:
        """Give the file, by the name that its copy has."""
        yield self.src.name, self.src


def _require_source(layer: Layer, path: Path, is_there: bool, kind: str) -> None:
    if not is_there:
        raise ImageBuildError(f"{type(layer).__name__}: there is no {kind} {str(path)!r}")


@dataclass(frozen=True, repr=False)
class CodeBundle(Layer):
    """The user's own code below a root directory, which is known only when something runs.

    Parameters
    ----------
    copy_style : {"loaded_modules", "all"}
        The modules that are imported, or every file.
    dst : str
        The folder of the image that it is copied into.
    root_dir : path, optional
        The root directory.
    """

    copy_style: CopyStyle = "loaded_modules"
    dst: str = "."
    root_dir: OptionalPath = None

    def validate(self) -> None:
        """Check the root directory once there is one; an `ImageBuildError` says that it does not exist."""
        if self.root_dir is not None:
            _require_source(self, self.root_dir, self.root_dir.is_dir(), "folder")

    def sources(self, rules: IgnoreRules | None = None) -> Iterator[tuple[str, Path]]:
        """Give the files of the bundle; a `DeclarationValueError` says that there is no root yet."""
        if self.root_dir is None:
            raise refuse(self, "root_dir", None, "a folder", "it is known only when a task runs or is deployed")
        return files_under(self.root_dir, rules) if self.copy_style == "all" else loaded_files(self.root_dir)


def folder_name(folder: str | Path) -> str:
    """Give the name of a folder, ``.`` and ``..`` included, without asking whether it exists."""
    return Path(os.path.abspath(folder)).name
