"""Images as the Flyte SDK has them: where each starts, and every layer."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.kinds import Kind, translate
from flyte_nb.environments import layer_projects, layer_sources, layers
from flyte_nb.environments.image import FLYTE_VERSION, Image

__all__ = ["KINDS", "forget", "image", "image_of"]

_PUBLISHED = ":py{}.{}-v"
_LAYER = "flyte._image."
_CONDA = {"linux/amd64": "linux-64", "linux/arm64": "linux-aarch64"}


def forget() -> None:
    """Forget the images that were translated: the SDK's configuration, which names registries, may have changed."""
    _debian.cache_clear()
    _translated.cache_clear()


def image_of(declared: Any) -> Any:
    """Give the image of an environment, an app or a task; the same declaration is translated once.

    An image of projects is translated each time: its lock files are those that there are by then.
    """
    image = declared.image
    if not isinstance(image, Image):
        return image
    return translate(image) if any(image.layers_of(layer_projects.Project)) else _translated(image)


@lru_cache(maxsize=256)
def _translated(image: Image) -> Any:
    return translate(image)


def image(declared: Image, arguments: dict[str, Any]) -> Any:
    """Make the SDK's image: from its own start where the image is Debian's, with the layers that follow."""
    kind, start = sdk.find("flyte.Image"), _start(declared)
    if start is None:
        return kind._new(**arguments, _layers=_layers(declared))
    known = {f.name: getattr(start, f.name) for f in dataclasses.fields(kind) if f.init}
    known |= {name: arguments[name] for name in ("registry", "_image_registry_secret") if arguments.get(name)}
    known |= {"name": declared.name, "extendable": declared.extendable, "_layers": _layers(declared)}
    if "_is_cloned" in known:
        known["_is_cloned"] = start._is_cloned or declared._cloned
    return start if known == {name: getattr(start, name) for name in known} else kind._new(**known)


def _start(declared: Image) -> Any:
    """Give the image that the SDK itself starts from on Debian; None for an image that is anybody else's."""
    if declared._origin != "debian":
        return None
    plain = any(isinstance(layer, layers.DebianPackages) for layer in declared.layers)
    version = None if plain else _version(declared)
    return _debian(declared.python_version, version, not plain, declared.platform)


@lru_cache(maxsize=64)
def _debian(python: tuple[int, int], version: str | None, with_flyte: bool, platform: tuple[str, ...]) -> Any:
    return sdk.find("flyte.Image").from_debian_base(
        python_version=python, flyte_version=version, install_flyte=with_flyte, platform=platform
    )


def _version(declared: Image) -> str | None:
    """Give the version that was asked for; None for the one this package names by itself: the SDK names its own."""
    version = str(declared.base_image).partition(_PUBLISHED.format(*declared.python_version))[2]
    return None if version == FLYTE_VERSION else version


def _layers(declared: Image) -> tuple[Any, ...]:
    made: list[Any] = []
    for layer in declared.layers:
        if isinstance(layer, layers.DebianPackages):
            made += _debian(declared.python_version, None, False, declared.platform)._layers
        elif isinstance(layer, layers.PixiScript):
            made.append(_pixi_script(layer, declared))
        else:
            made.append(translate(layer))
    return tuple(made)


def _pixi_script(layer: layers.PixiScript, declared: Image) -> Any:
    """Translate the layer of a pixi script, which names the platforms of its image."""
    made = translate(layer)
    return dataclasses.replace(made, platforms=tuple(_CONDA[platform] for platform in declared.platform))


def _is_built(declared: Image) -> bool:
    """Tell whether the image is built when it is not there, rather than taken as it was found."""
    return declared._cloned or declared._origin == "dockerfile"


def _reference(declared: Image) -> str | None:
    return declared.name if declared._origin == "reference" else None


def _lock(layer: Any) -> Any:
    return layer.lock


def _copied(path_type: int) -> dict[str, Any]:
    return {"path_type": lambda layer: path_type}


KINDS = (
    Kind(
        Image,
        "flyte.Image",
        renamed={"registry_secret": "_image_registry_secret"},
        instead={
            "_origin": "the constructor of the SDK that the image starts from",
            "_cloned": "flyte.Image._is_cloned; a version that has none builds every image that is not there",
            "_layers": "its layers, each translated; those of a plain Debian are the SDK's own",
        },
        extra={"_ref_name": _reference, "_is_cloned": _is_built},
        make=image,
    ),
    Kind(layers.PipPackages, _LAYER + "PipPackages"),
    Kind(layers.Requirements, _LAYER + "Requirements"),
    Kind(layers.UVScript, _LAYER + "UVScript"),
    Kind(layers.PixiScript, _LAYER + "PixiScript"),
    Kind(layers.AptPackages, _LAYER + "AptPackages"),
    Kind(layers.DebianPackages, _LAYER + "Layer", instead={"packages": "the layers that the SDK's own image has"}),
    Kind(layers.Commands, _LAYER + "Commands"),
    Kind(layers.EnvVars, _LAYER + "Env"),
    Kind(layers.WorkDir, _LAYER + "WorkDir"),
    Kind(layer_projects.UVProject, _LAYER + "UVProject", values={"uvlock": _lock}),
    Kind(layer_projects.PoetryProject, _LAYER + "PoetryProject", values={"poetry_lock": _lock}),
    Kind(
        layer_projects.PixiProject,
        _LAYER + "PixiProject",
        renamed={"manifest_file": "manifest"},
        values={"manifest_file": lambda layer: layer.manifest, "pixi_lock": _lock},
    ),
    Kind(layer_sources.PythonWheels, _LAYER + "PythonWheels"),
    Kind(layer_sources.DockerIgnore, _LAYER + "DockerIgnore", values={"path": lambda layer: str(layer.path)}),
    Kind(layer_sources.SourceFolder, _LAYER + "CopyConfig", extra=_copied(1)),
    Kind(layer_sources.SourceFile, _LAYER + "CopyConfig", extra=_copied(0)),
    Kind(layer_sources.CodeBundle, _LAYER + "CodeBundleLayer"),
)
