"""The configuration file of the Flyte SDK: which project, domain and control plane are meant."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyte_nb.environments.declaration import Declaration
from flyte_nb.errors import InitializationError

__all__ = ["Config", "ImageConfig", "PlatformConfig", "TaskConfig", "auto"]


@dataclass(frozen=True, repr=False)
class PlatformConfig(Declaration):
    """The control plane.

    Parameters
    ----------
    endpoint : str, optional
        Its address.
    insecure : bool
        Whether it is reached without TLS.
    """

    endpoint: str | None = None
    insecure: bool = False


@dataclass(frozen=True, repr=False)
class TaskConfig(Declaration):
    """Where runs and deployments belong."""

    org: str | None = None
    project: str | None = None
    domain: str | None = None


@dataclass(frozen=True, repr=False)
class ImageConfig(Declaration):
    """How images are built.

    Parameters
    ----------
    builder : str
        Who builds them.
    """

    builder: str = "local"


@dataclass(frozen=True, repr=False)
class Config(Declaration):
    """A configuration, read with `auto`.

    Parameters
    ----------
    platform, task, image
        Its sections.
    source : Path, optional
        The file that it was read from.
    """

    platform: PlatformConfig = field(default_factory=PlatformConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    source: Path | None = None


def auto(config_file: str | Path | Config | None = None) -> Config:
    """Read a configuration file.

    Parameters
    ----------
    config_file : str, Path or Config, optional
        The file. By default the first that exists of ``config.yaml`` and ``.flyte/config.yaml`` here, the one that
        ``FLYTECTL_CONFIG`` names, and ``~/.flyte/config.yaml``; without any, an empty configuration.

    Returns
    -------
    Config
        What it says; a `Config` that is given comes back itself.

    Raises
    ------
    InitializationError
        When the named file does not exist, cannot be read, or PyYAML is not installed.
    """
    if isinstance(config_file, Config):
        return config_file
    path = Path(config_file).expanduser() if config_file is not None else _found()
    if path is None:
        return Config()
    sections = _read(path)
    platform, task, image = (_section(sections, name, path) for name in ("admin", "task", "image"))
    return Config(
        PlatformConfig(platform.get("endpoint"), bool(platform.get("insecure", False))),
        TaskConfig(task.get("org"), task.get("project"), task.get("domain")),
        ImageConfig(image.get("builder") or "local"),
        path,
    )


def _found() -> Path | None:
    named = os.environ.get("FLYTECTL_CONFIG")
    places = [Path("config.yaml"), Path(".flyte/config.yaml"), *([Path(named)] if named else []),
              Path.home() / ".flyte" / "config.yaml"]  # fmt: skip
    return next((place for place in places if place.is_file()), None)


def _read(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise _unreadable(path, "it needs the package PyYAML: pip install pyyaml") from None
    try:
        read = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unreadable(path, str(error)) from None
    if not isinstance(read, dict | type(None)):
        raise _unreadable(path, "it holds no sections")
    return read or {}


def _section(sections: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    section = sections.get(name) or {}
    if not isinstance(section, dict):
        raise _unreadable(path, f"{name} is {section!r:.40}, not a section")
    return section


def _unreadable(path: Path, why: str) -> InitializationError:
    return InitializationError("ConfigurationUnreadable", "user", f"the configuration {path} cannot be read: {why}")
