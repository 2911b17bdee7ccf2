"""Images: what an image starts from and the Python packages in it, as two texts."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.image import Image
from flyte_nb.environments.image_fields import running_python
from flyte_nb.environments.layer import Layer
from flyte_nb.environments.layers import DebianPackages, PipPackages
from flyte_nb.notebook.rewriting import RESET

__all__ = ["base_of", "other_layers", "packages_of", "with_base", "with_packages"]

_DEBIAN = re.compile(r"debian(?:\s+(\d+)\.(\d+))?")
_AUTO = "auto"


def base_of(env: Environment) -> Any:
    """Give what the image starts from: ``auto``, ``debian``, ``debian 3.12`` or a URI; itself where none says it."""
    image = env.image
    if not isinstance(image, Image):
        return image
    if image._origin == "debian":
        python = tuple(image.python_version)
        return "debian" if python == running_python() else f"debian {python[0]}.{python[1]}"
    return image.base_image if image._origin == "base" else image


def with_base(env: Environment, base: str | None) -> Any:
    """Give the image with another start and the same layers.

    Raises
    ------
    DeclarationError
        When there is no such start, or it cannot have the layers.
    """
    layers = _own_layers(env.image)
    if base is None:
        base = _AUTO
    found = _DEBIAN.fullmatch(base)
    if found is None and not (layers and base == _AUTO):
        return _based(base, env.name, layers) if layers else RESET if base == _AUTO else base
    version = (int(found[1]), int(found[2])) if found is not None and found[1] else None
    return _layered(Image.from_debian_base(python_version=version), layers)


def packages_of(env: Environment) -> tuple[str, ...]:
    """Give the Python packages of the last layer that installs some."""
    return next((layer.packages for layer in reversed(_own_layers(env.image)) if type(layer) is PipPackages), ())


def other_layers(env: Environment) -> int:
    """Give the number of layers that the packages are not of."""
    layers = _own_layers(env.image)
    return len(layers) - any(type(layer) is PipPackages for layer in layers)


def with_packages(env: Environment, packages: tuple[str, ...] | None) -> Any:
    """Give the image with other packages in the place of `packages_of`; a plain one is made to take them.

    Raises
    ------
    DeclarationError
        When the image cannot have layers.
    """
    image, layers = env.image, _own_layers(env.image)
    last = max((i for i, layer in enumerate(layers) if type(layer) is PipPackages), default=None)
    if last is None:
        changed = [*layers, *([PipPackages(packages=packages)] if packages else [])]
    elif packages:
        changed = [*layers[:last], dataclasses.replace(layers[last], packages=packages), *layers[last + 1 :]]
    else:
        changed = layers[:last] + layers[last + 1 :]
    if isinstance(image, Image) and _takes(image) and (changed or not _is_plain(image)):
        start = tuple(layer for layer in image.layers if isinstance(layer, DebianPackages))
        return _layered(dataclasses.replace(image, _layers=start), changed)
    base = base_of(env) or _AUTO
    if not changed:
        return RESET if base in (_AUTO, "debian") else base
    return _based(base, env.name, changed) if base != _AUTO else _layered(Image.from_debian_base(), changed)


def _takes(image: Image) -> bool:
    """Tell whether layers are added to an image itself; it refuses them where it cannot have any."""
    return image.extendable or image._origin != "base"


def _is_plain(image: Image) -> bool:
    """Tell whether an image is what a text alone would say, once its packages are gone."""
    bare = dataclasses.replace(image, _layers=(), _cloned=False)
    if image._origin == "debian":
        return bare == Image.from_debian_base()
    return image._origin == "base" and not image.registry and bool(image.base_image)


def _own_layers(image: Any) -> list[Any]:
    layers = image.layers if isinstance(image, Image) else ()
    return [layer for layer in layers if not isinstance(layer, DebianPackages)]


def _based(uri: str, name: str, layers: list[Layer]) -> Image:
    return _layered(Image.from_base(uri).clone(name=name, extendable=True), layers)


def _layered(image: Image, layers: list[Layer]) -> Image:
    for layer in layers:
        image = image.clone(addl_layer=layer)
    return image
