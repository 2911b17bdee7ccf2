"""Layers: the steps of an image that install packages or set something, one small class for each kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from flyte_nb.environments.layer import (
    FilePath,
    InstallOptions,
    Layer,
    PipOptions,
    SecretMounts,
    TextFile,
    Texts,
    Variables,
    require_file,
    require_name,
)

__all__ = [
    "AptPackages",
    "Commands",
    "DebianPackages",
    "EnvVars",
    "PipPackages",
    "PixiScript",
    "Requirements",
    "UVScript",
    "WorkDir",
]


@dataclass(frozen=True, repr=False)
class PipPackages(PipOptions):
    """Python packages, as requirement specifiers."""

    packages: Texts


@dataclass(frozen=True, repr=False)
class Requirements(PipOptions):
    """The Python packages of a requirements file."""

    file: TextFile


@dataclass(frozen=True, repr=False)
class UVScript(PipOptions):
    """The Python packages that a script asks for in its inline metadata, read by uv."""

    script: FilePath

    def validate(self) -> None:
        """Check the script as `Layer.validate` does, and that it is a ``.py`` file."""
        _require_script(self, self.script)


@dataclass(frozen=True, repr=False)
class PixiScript(InstallOptions):
    """The packages that a script asks for in its inline metadata, read by pixi."""

    in_container: ClassVar[bool] = True
    script: FilePath
    environment: str = "default"

    def validate(self) -> None:
        """Check the script as `Layer.validate` does, and that it is a ``.py`` file."""
        _require_script(self, self.script)


def _require_script(layer: Layer, script: Path) -> None:
    require_file(layer, "script", script)
    require_name(layer, "script", script, "a file that ends in .py", script.suffix == ".py")


@dataclass(frozen=True, repr=False)
class AptPackages(Layer):
    """Debian packages."""

    in_container: ClassVar[bool] = True
    packages: Texts
    secret_mounts: SecretMounts = None


@dataclass(frozen=True, repr=False)
class DebianPackages(Layer):
    """What an image on a plain Debian Python starts with: a compiler and the certificates, as everywhere."""

    packages: Texts = ("build-essential", "ca-certificates")


@dataclass(frozen=True, repr=False)
class Commands(Layer):
    """Shell commands."""

    in_container: ClassVar[bool] = True
    commands: Texts
    secret_mounts: SecretMounts = None


@dataclass(frozen=True, repr=False)
class EnvVars(Layer):
    """Environment variables, as pairs of name and value."""

    env_vars: Variables

    def __repr__(self) -> str:
        return f"EnvVars({', '.join(name for name, _ in self.env_vars)})"  # a value may be a credential


@dataclass(frozen=True, repr=False)
class WorkDir(Layer):
    """The working directory of what follows and of what runs."""

    workdir: str
