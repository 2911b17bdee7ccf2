"""Image spelling: the calls that make an image, in the order in which a person would write them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from flyte_nb.environments.declaration import set_fields
from flyte_nb.environments.image import FLYTE_VERSION, Image
from flyte_nb.environments.image_fields import running_python
from flyte_nb.environments.layer import Layer
from flyte_nb.environments.layers import (
    AptPackages,
    Commands,
    DebianPackages,
    EnvVars,
    PipPackages,
    Requirements,
    WorkDir,
)
from flyte_nb.errors import FlyteError, UsageError

__all__ = ["ImageCall", "image_calls"]

#: the name of a method, its positional and its named arguments
ImageCall = tuple[str, tuple[Any, ...], dict[str, Any]]

_ADVICE = "bind the image to a variable first"


def image_calls(image: Image) -> list[ImageCall]:
    """Give the calls that make an image, the constructor first.

    Raises
    ------
    UsageError
        For an image with layers or settings that these calls do not have.
    """
    own = [layer for layer in image.layers if not isinstance(layer, DebianPackages)]
    calls = [*_start(image), *map(_with, own)]
    if _made(calls) != image:
        raise UsageError(f"{image!r:.120} cannot be written as code; {_ADVICE}")
    return calls


def _made(calls: list[ImageCall]) -> Image | None:
    image: Any = Image
    try:
        for method, positional, named in calls:
            image = getattr(image, method)(*positional, **named)
    except FlyteError:
        return None
    return image  # type: ignore[no-any-return]


def _start(image: Image) -> list[ImageCall]:
    if image._origin == "debian":
        return [("from_debian_base", (), _debian(image))]
    if image._origin == "dockerfile":
        named = {"file": str(image.dockerfile), "registry": image.registry, "name": image.name}
        return [("from_dockerfile", (), {**named, "platform": image.platform})]
    if image._origin == "reference":
        start: ImageCall = ("from_ref_name", (image.name,), {})
    else:
        start = ("from_base", (image.base_image,), {})
    plain = _made([start])
    fields = ("registry", "registry_secret", "name", "python_version", "extendable", "platform")
    changed = {f: getattr(image, f) for f in fields if getattr(image, f) != getattr(plain, f)}
    return [start, *([("clone", (), changed)] if image._cloned else [])]


def _debian(image: Image) -> dict[str, Any]:
    _, _, tag = (image.base_image or "").rpartition(":")
    version = tag.partition("-v")[2]
    installs = not any(isinstance(layer, DebianPackages) for layer in image.layers)
    usual: dict[str, Any] = {
        "python_version": running_python(),
        "flyte_version": FLYTE_VERSION,
        "install_flyte": True,
        "registry": None,
        "registry_secret": None,
        "name": "flyte",
        "platform": ("linux/amd64", "linux/arm64"),
    }
    given = {f: getattr(image, f) for f in ("python_version", "registry", "registry_secret", "name", "platform")}
    given |= {"install_flyte": installs, "flyte_version": version if installs else FLYTE_VERSION}
    return {name: value for name, value in given.items() if value != usual[name]}


@functools.singledispatch
def _with(layer: Layer) -> ImageCall:
    raise UsageError(f"the layer {layer!r:.120} cannot be written as code; {_ADVICE}")


def _options(layer: Layer, *positional: str) -> dict[str, Any]:
    accepted = {f.name for f in dataclasses.fields(layer)}
    return {name: value for name, value in set_fields(layer) if name in accepted - set(positional)}


def _packages(method: str) -> Callable[[Any], ImageCall]:
    return lambda layer: (method, tuple(layer.packages), _options(layer, "packages"))


_with.register(PipPackages)(_packages("with_pip_packages"))
_with.register(AptPackages)(_packages("with_apt_packages"))


@_with.register
def _requirements(layer: Requirements) -> ImageCall:
    return "with_requirements", (str(layer.file),), _options(layer, "file")


@_with.register
def _commands(layer: Commands) -> ImageCall:
    return "with_commands", (list(layer.commands),), _options(layer, "commands")


@_with.register
def _env_vars(layer: EnvVars) -> ImageCall:
    return "with_env_vars", (dict(layer.env_vars),), {}


@_with.register
def _workdir(layer: WorkDir) -> ImageCall:
    return "with_workdir", (layer.workdir,), {}
