"""Needs: what an image asks of this machine, and what of it only a container could give."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from flyte_nb.environments.dockerignore import IgnoreRules
from flyte_nb.environments.image import Image
from flyte_nb.environments.image_fields import running_python
from flyte_nb.environments.layer import Layer, PipOptions
from flyte_nb.environments.layer_projects import PixiProject, PoetryProject, UVProject
from flyte_nb.environments.layer_sources import DockerIgnore, PythonWheels, SourceFile, SourceFolder
from flyte_nb.environments.layers import AptPackages, Commands, PipPackages, PixiScript, Requirements, UVScript, WorkDir
from flyte_nb.environments.secrets import Secret

__all__ = [
    "copies",
    "env_vars_of",
    "ignore_rules",
    "installs",
    "label",
    "missing_secrets",
    "needs_environment",
    "safe",
    "secret_values",
    "unmet",
]

_WORDS = {
    AptPackages: "with_apt_packages",
    Commands: "with_commands",
    PipPackages: "with_pip_packages",
    PixiProject: "with_pixi_project",
    PixiScript: "from_pixi_script",
    PoetryProject: "with_poetry_project",
    PythonWheels: "wheels",
    Requirements: "with_requirements",
    SourceFile: "with_source_file",
    SourceFolder: "with_source_folder",
    UVProject: "with_uv_project",
    UVScript: "from_uv_script",
    WorkDir: "with_workdir",
}
#: the setting that a reader knows a layer by
_TELLING = ("packages", "commands", "file", "script", "pyproject", "manifest_file", "src", "workdir", "package_name")
_REASONS = {
    AptPackages: "Debian packages are installed in containers only; what a task needs of them has to be here",
    Commands: "commands run only where a container is built",
    PixiProject: "pixi environments are made in containers only; name the Python packages in with_pip_packages",
    PixiScript: "pixi environments are made in containers only; name the Python packages in with_pip_packages",
    PoetryProject: "Poetry projects are installed in containers only; with_uv_project or with_requirements work here",
    WorkDir: "the working directory is set in containers only; here it stays that of the notebook",
}
_LONGEST = 60  # characters of a layer's setting
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def installs(image: Image) -> tuple[Layer, ...]:
    """Give the layers that install Python packages here."""
    return tuple(layer for layer in image.layers if isinstance(layer, PipOptions | PythonWheels))


def copies(image: Image) -> tuple[SourceFile | SourceFolder, ...]:
    """Give the layers that copy files; code bundles are not among them, as their code is on the path already."""
    return tuple(layer for layer in image.layers if isinstance(layer, SourceFile | SourceFolder))


def needs_environment(image: Image | str | None) -> bool:
    """Tell whether an image asks for something that the running interpreter does not give: see `ensure`."""
    if not isinstance(image, Image):
        return False
    return bool(installs(image) or copies(image)) or image.python_version != running_python()


def env_vars_of(image: Image | str | None) -> dict[str, str]:
    """Give the environment variables that an image sets; a later layer wins."""
    return image.env_vars if isinstance(image, Image) else {}


def unmet(image: Image | str | None) -> tuple[str, ...]:
    """Say what of an image needs a container and is not there when a task runs here; a sentence for each.

    Parameters
    ----------
    image : Image, str or None
        As declared; ``"auto"`` and None ask for nothing.
    """
    if isinstance(image, str) and image != "auto":
        return (f"the image {safe(image)!r} is not pulled: the task runs in the Python of this notebook",)
    return (*_start(image), *_layers(image)) if isinstance(image, Image) else ()


def _start(image: Image) -> Iterator[str]:
    """Say what an image starts from, where that is more than a Python."""
    instead = "its Python packages have to be added with with_pip_packages" if installs(image) else (
        "the task runs in the Python of this notebook")  # fmt: skip
    if image.dockerfile is not None:
        yield f"the Dockerfile {str(image.dockerfile)!r} is not built: {instead}"
    elif image._origin == "base":
        yield f"the base image {safe(image.base_image or '')!r} is not pulled: {instead}"
    elif image._origin == "reference":
        yield f"the configured image {image.name!r} is not pulled: {instead}"


def _layers(image: Image) -> Iterator[str]:
    for layer in image.layers:
        if reason := _REASONS.get(type(layer)):
            yield f"{label(layer)}: {reason}"
        elif isinstance(layer, SourceFile | SourceFolder) and posixpath.isabs(layer.dst):
            yield f"{label(layer)}: {layer.dst!r} exists in containers only; here its files are on the import path"
        for secret in missing_secrets(layer):
            yield (f"{label(layer)}: the secret {secret.key!r} is not in this process's environment, "
                   "and nothing is mounted while the environment is built")  # fmt: skip


def missing_secrets(layer: Layer) -> list[Secret]:
    """Give the secrets that a layer is to be installed with and that this process's environment does not hold."""
    return [secret for secret in _mounts(layer) if _value(secret) is None]


def secret_values(layer: Layer) -> dict[str, str]:
    """Give the variables that carry a layer's secrets while it is installed; never to be shown."""
    named = {secret.as_env_var or secret.key: _value(secret) for secret in _mounts(layer)}
    return {name: value for name, value in named.items() if value is not None}


def _mounts(layer: Layer) -> tuple[Secret, ...]:
    return getattr(layer, "secret_mounts", None) or () if isinstance(layer, PipOptions) else ()


def _value(secret: Secret) -> str | None:
    return os.environ.get(secret.as_env_var or secret.key, os.environ.get(secret.key))


def ignore_rules(image: Image) -> IgnoreRules | None:
    """Give the rules of the last ``.dockerignore`` that the image names; None lets each folder say it."""
    files = [layer.path for layer in image.layers_of(DockerIgnore)]
    return IgnoreRules.read(files[-1]) if files else None


def label(layer: Layer) -> str:
    """Name a layer as its author wrote it, such as ``with_apt_packages('ffmpeg')``."""
    given = next((getattr(layer, name) for name in _TELLING if hasattr(layer, name)), "")
    values = given if isinstance(given, tuple) else (str(given) if isinstance(given, Path) else given,)
    text = safe(", ".join(repr(value) for value in values))
    shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f"{_WORDS.get(type(layer), type(layer).__name__)}({shown})"


def safe(text: str, secrets: Iterable[str] = ()) -> str:
    """Give a text without the credentials of its URLs, and without the secrets given."""
    for secret in sorted((s for s in secrets if s), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _CREDENTIALS.sub("***@", text)
