"""Layer projects: the steps of an image that install a whole project, with its lock file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from flyte_nb.environments.dockerignore import IgnoreRules, files_under
from flyte_nb.environments.layer import FilePath, InstallOptions, OptionalPath, PipOptions, require_file, require_name

__all__ = ["InstallMode", "PixiProject", "PoetryProject", "Project", "UVProject"]

InstallMode = Literal["dependencies_only", "install_project"]


@dataclass(frozen=True, repr=False, kw_only=True)
class Project(InstallOptions):
    """A project that is installed from its manifest and its lock file, or its dependencies only."""

    project_install_mode: InstallMode = "dependencies_only"

    @property
    def manifest(self) -> Path:
        """The file that describes the project."""
        raise NotImplementedError

    @property
    def lock(self) -> Path | None:
        """The file that pins its dependencies: the given one, else the one beside the manifest."""
        raise NotImplementedError

    def validate(self) -> None:
        """Check the manifest and the lock file as `Layer.validate` does."""
        require_file(self, "manifest", self.manifest)
        if self.lock is not None:
            require_file(self, "lock", self.lock)

    def sources(self, rules: IgnoreRules | None = None) -> Iterator[tuple[str, Path]]:
        """Give the manifest, the lock file and, where the project itself is installed, all of its files."""
        yield "manifest", self.manifest
        if self.lock is not None:
            yield "lock", self.lock
        if self.project_install_mode == "install_project":
            for name, path in files_under(self.manifest.parent, rules):
                yield f"project/{name}", path

    def _beside(self, name: str) -> Path | None:
        beside = self.manifest.parent / name
        return beside if beside.is_file() else None


@dataclass(frozen=True, repr=False)
class UVProject(PipOptions, Project):
    """A project that uv installs."""

    pyproject: FilePath
    uvlock: OptionalPath = None

    @property
    def manifest(self) -> Path:
        """The project's ``pyproject.toml``."""
        return self.pyproject

    @property
    def lock(self) -> Path | None:
        """The given lock file, else the ``uv.lock`` beside it."""
        return self.uvlock or self._beside("uv.lock")


@dataclass(frozen=True, repr=False)
class PoetryProject(Project):
    """A project that Poetry installs."""

    in_container: ClassVar[bool] = True
    pyproject: FilePath
    poetry_lock: OptionalPath = None

    @property
    def manifest(self) -> Path:
        """The project's ``pyproject.toml``."""
        return self.pyproject

    @property
    def lock(self) -> Path:
        """The given lock file, else the ``poetry.lock`` beside it, which has to be there: Poetry needs one."""
        return self.poetry_lock or self.manifest.parent / "poetry.lock"


@dataclass(frozen=True, repr=False)
class PixiProject(Project):
    """A project that pixi installs; a folder stands for the manifest in it."""

    in_container: ClassVar[bool] = True
    manifest_file: FilePath
    pixi_lock: OptionalPath = None
    environment: str = "default"

    @property
    def manifest(self) -> Path:
        """The manifest; in a folder the ``pixi.toml``, else the ``pyproject.toml``."""
        if not self.manifest_file.is_dir():
            return self.manifest_file
        own = self.manifest_file / "pixi.toml"
        return own if own.is_file() else self.manifest_file / "pyproject.toml"

    @property
    def lock(self) -> Path | None:
        """The given lock file, else the ``pixi.lock`` beside the manifest."""
        return self.pixi_lock or self._beside("pixi.lock")

    def validate(self) -> None:
        """Check the files as `Project.validate` does, and that pixi finds the manifest by its name."""
        super().validate()
        names = ("pixi.toml", "pyproject.toml")
        require_name(self, "manifest", self.manifest, " or ".join(map(repr, names)), self.manifest.name in names)
