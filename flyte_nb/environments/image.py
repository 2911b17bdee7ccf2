"""Image: what is installed where a task or an app runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from flyte_nb.environments.declaration import mask, plain, refuse, refuse_type, set_fields
from flyte_nb.environments.dockerignore import IgnoreRules
from flyte_nb.environments.image_build import ImageBuild
from flyte_nb.environments.image_fields import (
    Architecture,
    Platforms,
    PythonVersion,
    RegistrySecret,
    running_python,
)
from flyte_nb.environments.image_methods import AnyPath, Indexes, LayerMethods
from flyte_nb.environments.image_tag import file_digest, tag_of
from flyte_nb.environments.layer import Layer, require_file
from flyte_nb.environments.layer_sources import CodeBundle, DockerIgnore
from flyte_nb.environments.layers import DebianPackages, EnvVars, PixiScript, UVScript
from flyte_nb.environments.secrets import Secret, SecretRequest
from flyte_nb.errors import DeclarationTypeError, ImageBuildError

__all__ = ["FLYTE_VERSION", "Architecture", "Image", "ImageBuild"]

#: the version of the Flyte SDK that this package follows, and that the published images have
FLYTE_VERSION = "2.12.1"

_PUBLISHED = "ghcr.io/flyteorg/flyte"
_NAME = "flyte"
_BOTH: tuple[Architecture, ...] = ("linux/amd64", "linux/arm64")
_Layer = TypeVar("_Layer", bound=Layer)


@dataclass(frozen=True, repr=False)
class Image(LayerMethods):
    """What is installed where a task or an app runs; made by one of the ``from_*`` constructors.

    An image is inert, ordered data: each ``with_*`` method gives a new one, and nothing is read or built
    before `uri` or `validate` is asked for.

    Parameters
    ----------
    base_image : str, optional
        The URI of the image that it starts from.
    dockerfile : Path, optional
        The Dockerfile that it is built from instead.
    registry : str, optional
        Where it is pushed to.
    name : str, optional
        Its name there; an image needs one before layers are added.
    platform : tuple of {"linux/amd64", "linux/arm64"}
        The machines that it is for.
    python_version : tuple of int
        Major and minor version; that of the running Python by default.
    extendable : bool
        Whether layers may be added.
    registry_secret : Secret, optional
        The credentials of the registry.

    Raises
    ------
    DeclarationTypeError
        When the class is called directly.
    """

    base_image: str | None = None
    dockerfile: Path | None = None
    registry: str | None = None
    name: str | None = None
    platform: Platforms = ("linux/amd64",)
    python_version: PythonVersion = field(default_factory=running_python)
    extendable: bool = False
    registry_secret: RegistrySecret = None
    _layers: tuple[Layer, ...] = ()
    #: the constructor it comes from; a direct call has none
    _origin: Literal["debian", "base", "reference", "dockerfile"] | None = None
    _cloned: bool = False

    def __post_init__(self) -> None:
        if self._origin is None:
            accepted = "Image.from_debian_base, from_base, from_ref_name, from_dockerfile, from_uv_script"
            raise DeclarationTypeError("Image", "a direct call", f"{accepted} or from_pixi_script")
        super().__post_init__()

    def __repr__(self) -> str:
        settings = ((name, value) for name, value in set_fields(self) if name not in ("_origin", "_cloned"))
        shown = (f"{name.removeprefix('_')}={mask(name, value)}" for name, value in settings)
        return f"Image({', '.join(shown)})"

    @classmethod
    def from_debian_base(
        cls,
        python_version: tuple[int, int] | None = None,
        flyte_version: str | None = None,
        install_flyte: bool = True,
        registry: str | None = None,
        registry_secret: str | Secret | None = None,
        name: str | None = None,
        platform: tuple[Architecture, ...] | None = None,
    ) -> Image:
        """Start from a Debian image with Python, where layers can be added.

        Parameters
        ----------
        python_version : tuple of int, optional
            Major and minor version; that of the running Python by default.
        flyte_version : str, optional
            The version of the Flyte SDK in the image, with or without a leading ``v``.
        install_flyte : bool
            Whether the Flyte SDK is in the image; without it the image is built on a plain Python.
        registry, name : str, optional
            Where the image is pushed to; without either it is the image that Flyte publishes.
        registry_secret : str or Secret, optional
            The credentials of the registry.
        platform : tuple of {"linux/amd64", "linux/arm64"}, optional
            The machines that it is for; both by default.
        """
        if not isinstance(install_flyte, bool):
            raise refuse_type(cls, "from_debian_base(install_flyte=)", install_flyte, "bool")
        plain_start = cls(
            name=_NAME,
            platform=_BOTH if platform is None else platform,
            python_version=running_python() if python_version is None else python_version,
            extendable=True,
            registry_secret=registry_secret,  # type: ignore[arg-type]  # converted by the field
            _origin="debian",
        )
        image = _on_published(plain_start, flyte_version) if install_flyte else _on_plain_python(plain_start)
        return image.clone(registry=registry, name=name) if registry or name else image

    @classmethod
    def from_base(cls, image_uri: str) -> Image:
        """Refer to an existing image by its URI; `clone` can make it extendable."""
        return cls(base_image=image_uri, _origin="base")

    @classmethod
    def from_ref_name(cls, name: str = "default") -> Image:
        """Refer to an image by its name in the configuration, which is looked up when something runs."""
        return cls(name=name, _origin="reference")

    @classmethod
    def from_dockerfile(
        cls, file: AnyPath, registry: str, name: str, platform: tuple[Architecture, ...] | None = None
    ) -> Image:
        """Build the image from a Dockerfile, which is read when the URI is; no layers can be added.

        Parameters
        ----------
        file : path
            The Dockerfile.
        registry, name : str
            Where the image is pushed to.
        platform : tuple of {"linux/amd64", "linux/arm64"}, optional
            The machines that it is for; ``("linux/amd64",)`` by default.
        """
        if not isinstance(file, str | Path):
            raise refuse_type(cls, "dockerfile", file, "a path, as str or Path")
        platform = ("linux/amd64",) if platform is None else platform
        return cls(dockerfile=Path(file), registry=registry, name=name, platform=platform, _origin="dockerfile")

    @classmethod
    def from_uv_script(
        cls,
        script: AnyPath,
        *,
        name: str,
        registry: str | None = None,
        registry_secret: str | Secret | None = None,
        python_version: tuple[int, int] | None = None,
        index_url: str | None = None,
        extra_index_urls: Indexes = None,
        pre: bool = False,
        extra_args: str | None = None,
        platform: tuple[Architecture, ...] | None = None,
        secret_mounts: SecretRequest | None = None,
    ) -> Image:
        """Start from a Debian image with what a script asks for in its inline metadata (PEP 723).

        Parameters
        ----------
        script : path
            The script; it is read when the image's URI is.
        name, registry, registry_secret, python_version, platform
            As for `from_debian_base`.
        index_url, extra_index_urls, pre, extra_args, secret_mounts
            As for `with_pip_packages`.
        """
        image = cls.from_debian_base(python_version, None, False, registry, registry_secret, name, platform)
        return image._add(
            UVScript,
            script,
            index_url=index_url,
            extra_index_urls=extra_index_urls,
            pre=pre,
            extra_args=extra_args,
            secret_mounts=secret_mounts,
        )

    @classmethod
    def from_pixi_script(
        cls,
        script: AnyPath,
        *,
        name: str,
        registry: str | None = None,
        registry_secret: str | Secret | None = None,
        environment: str = "default",
        extra_args: str | None = None,
        platform: tuple[Architecture, ...] | None = None,
        secret_mounts: SecretRequest | None = None,
    ) -> Image:
        """Start from a Debian image with what a script asks pixi for; see `from_uv_script`."""
        image = cls.from_debian_base(None, None, False, registry, registry_secret, name, platform)
        return image._add(PixiScript, script, environment, extra_args=extra_args, secret_mounts=secret_mounts)

    def clone(
        self,
        registry: str | None = None,
        registry_secret: str | Secret | None = None,
        name: str | None = None,
        base_image: str | None = None,
        python_version: tuple[int, int] | None = None,
        addl_layer: Layer | None = None,
        extendable: bool | None = None,
        platform: tuple[Architecture, ...] | None = None,
    ) -> Image:
        """Give a copy with other settings, which is an image of its own to build; None keeps a setting.

        Parameters
        ----------
        registry, registry_secret, name, base_image, python_version, platform
            As the image's attributes.
        addl_layer : Layer, optional
            A layer to add after the others.
        extendable : bool, optional
            Whether layers may be added, this one included.

        Raises
        ------
        DeclarationValueError
            When a layer is added to an image from a Dockerfile, that is not extendable or that has no name.
        """
        given = {
            "registry": registry,
            "registry_secret": registry_secret,
            "name": name,
            "base_image": base_image,
            "python_version": python_version,
            "extendable": extendable,
            "platform": platform,
        }
        changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if base_image is not None and self._origin != "dockerfile":
            changes["_origin"] = "base"
        image = replace(self, _cloned=True, **changes)
        return image if addl_layer is None else image._extended(addl_layer)

    def _with(self, layer: Layer) -> Image:
        return self.clone(addl_layer=layer)

    def _extended(self, layer: Layer) -> Image:
        if not isinstance(layer, Layer):
            raise refuse_type(self, "clone(addl_layer=)", layer, "a Layer")
        if self.dockerfile is not None:
            raise refuse(self, "layers", layer, "no layer", "the image is made from a Dockerfile")
        if not self.extendable:
            hint = "the image is not extendable: clone(extendable=True, name=…) it first"
            raise refuse(self, "layers", layer, "no layer", hint)
        if not self.name:
            raise refuse(self, "name", self.name, "a name, before a layer is added", "clone(name=…) it first")
        return replace(self, _layers=(*self._layers, layer))

    @property
    def uri(self) -> str:
        """The name that the image has, or will have once it is built.

        An image as it was found keeps its own URI; any other is ``[registry/]name:tag``; the tag is made
        from the declaration and from the bytes of the files that it names, read anew each time.

        Raises
        ------
        ImageBuildError
            When there is no base image or no name, when the image is a reference, or a source is missing.
        FileNotFoundError
            When a file that a layer reads is missing.
        DeclarationValueError
            When the image holds a code bundle whose root directory is not known yet.
        """
        if self._origin == "reference" and not self.base_image:
            raise ImageBuildError(f"the image named {self.name!r} is looked up in the configuration when it is used")
        if self.dockerfile is None and not self.base_image:
            raise ImageBuildError("the image has no base image: Image.from_base needs its URI")
        if self.base_image and not (self._cloned or self._layers or self.dockerfile):
            return self.base_image
        if not self.name:
            raise ImageBuildError(f"the image based on {self.base_image!r} has no name: clone(name=…) it")
        return (f"{self.registry}/" if self.registry else "") + f"{self.name}:{tag_of(self._content())}"

    def _content(self) -> dict[str, Any]:
        """Give what determines the image as JSON data; where it is pushed to is not a part of that."""
        self._validate_dockerfile()
        rules = self._ignore_rules()
        return {
            "base_image": self.base_image,
            "dockerfile": file_digest(self.dockerfile) if self.dockerfile else None,
            "platform": plain(self.platform),
            "layers": [layer.content(rules) for layer in self._layers],
        }

    def _ignore_rules(self) -> IgnoreRules | None:
        """Read the last ``.dockerignore`` that was given; None lets each folder say it."""
        files = [layer.path for layer in self.layers_of(DockerIgnore)]
        return IgnoreRules.read(files[-1]) if files else None

    def validate(self) -> None:
        """Check that the files that the image is made from are there.

        Raises
        ------
        FileNotFoundError
            When a Dockerfile, a script, a requirements file, a manifest or a lock file is missing.
        DeclarationValueError
            When one of these is not a file.
        ImageBuildError
            When a source file or folder is missing.
        """
        self._validate_dockerfile()
        for layer in self._layers:
            layer.validate()

    def _validate_dockerfile(self) -> None:
        if self.dockerfile is not None:
            require_file(self, "dockerfile", self.dockerfile)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in the order in which they were added."""
        return self._layers

    def layers_of(self, kind: type[_Layer]) -> Iterator[_Layer]:
        """Give the layers of one kind, in order, such as `PipPackages` or `SourceFolder`."""
        return (layer for layer in self._layers if isinstance(layer, kind))

    @property
    def env_vars(self) -> dict[str, str]:
        """The environment variables that its layers set; a later one wins."""
        return {name: value for layer in self.layers_of(EnvVars) for name, value in layer.env_vars}

    def container_reasons(self) -> list[str]:
        """List what a plain Python environment cannot stand in for; empty when one will do."""
        origin = {
            "base": f"the base image {self.base_image!r}",
            "reference": f"the configured image {self.name!r}",
            "dockerfile": f"the Dockerfile {str(self.dockerfile)!r}",
        }.get(str(self._origin))
        return ([origin] if origin else []) + [repr(layer) for layer in self._layers if layer.in_container]

    def rooted(self, root_dir: Path) -> Image:
        """Give the image with its code bundles taken from ``root_dir``, so that its URI can be read."""
        layers = tuple(
            replace(layer, root_dir=root_dir) if isinstance(layer, CodeBundle) else layer for layer in self._layers
        )
        return replace(self, _layers=layers)


def _on_published(image: Image, flyte_version: str | None) -> Image:
    version = FLYTE_VERSION if flyte_version is None else flyte_version
    if not isinstance(version, str):
        raise refuse_type(Image, "from_debian_base(flyte_version=)", version, "a version, such as '2.12.1'")
    tag = f"py{_dotted(image)}-v{version.removeprefix('v')}".replace("+", "-")  # a tag cannot hold a '+'
    return replace(image, base_image=f"{_PUBLISHED}:{tag}")


def _on_plain_python(image: Image) -> Image:
    return replace(image, base_image=f"python:{_dotted(image)}-slim-bookworm", _layers=(DebianPackages(),))


def _dotted(image: Image) -> str:
    return ".".join(str(part) for part in image.python_version)
