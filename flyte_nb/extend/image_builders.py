"""Image builders: what builds an image and what knows whether one exists, and the engine that asks them."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from flyte_nb.environments.image import Architecture, Image, ImageBuild
from flyte_nb.errors import FlyteError, ImageBuildError, InitializationError, UsageTypeError

__all__ = ["ImageBuildEngine", "ImageBuilder", "ImageChecker"]


class ImageChecker(Protocol):
    """Knows whether an image exists, in a registry for example."""

    @classmethod
    async def image_exists(
        cls, repository: str, tag: str, arch: tuple[Architecture, ...] = ("linux/amd64",)
    ) -> str | None:
        """Give the URI of an image, or None when it does not exist; raise when that cannot be told.

        Parameters
        ----------
        repository : str
            Registry and name.
        tag : str
            The tag.
        arch : tuple of {"linux/amd64", "linux/arm64"}
            The machines that it has to be for.
        """
        ...


@runtime_checkable
class ImageBuilder(Protocol):
    """Builds images; any object with these methods is one."""

    async def build_image(self, image: Image, dry_run: bool, wait: bool = True, force: bool = False) -> ImageBuild:
        """Build an image.

        Parameters
        ----------
        image : Image
            What is built; its layers say how.
        dry_run : bool
            Only say what would be done.
        wait : bool
            Come back when the image is built, not when building has begun.
        force : bool
            Build it although it exists.
        """
        ...

    def get_checkers(self) -> list[type[ImageChecker]] | None:
        """Give those who know whether an image exists, the first to be asked first; None for nobody."""
        return None


class ImageBuildEngine:
    """Finds out whether an image exists, and has it built when it does not."""

    ImageBuilderType = Literal["local", "local-podman", "remote"]

    @staticmethod
    async def image_exists(image: Image, builder: ImageBuilder | None = None) -> str | None:
        """Give the URI of an image that exists; None when it does not, or when nobody knows.

        Parameters
        ----------
        image : Image
            One that is used as it was found exists; any other is asked for.
        builder : ImageBuilder, optional
            Whose checkers are asked.
        """
        uri = image.uri
        if uri == image.base_image:
            return uri
        repository, _, tag = uri.rpartition(":")
        for checker in (builder.get_checkers() if builder is not None else None) or ():
            try:
                return await checker.image_exists(repository, tag, image.platform)
            except Exception:
                continue
        return None

    @classmethod
    async def build(
        cls,
        image: Image,
        builder: ImageBuilderType | ImageBuilder | None = None,
        dry_run: bool = False,
        force: bool = False,
        wait: bool = True,
    ) -> ImageBuild:
        """Build an image, unless it exists.

        Parameters
        ----------
        image : Image
            What is built.
        builder : ImageBuilder, optional
            What builds it. The builders that the Flyte SDK has by name need the SDK itself.
        dry_run, force, wait : bool
            As for `ImageBuilder.build_image`.

        Raises
        ------
        InitializationError
            When the image does not exist and no builder is given.
        ImageBuildError
            When the builder fails, or what the image is made from is missing.
        UsageTypeError
            When ``image`` is no Image or ``builder`` no ImageBuilder.
        """
        if not isinstance(image, Image):
            raise UsageTypeError(f"ImageBuildEngine.build: given {image!r}; accepted: an Image")
        asked = builder if builder is not None and not isinstance(builder, str) else None
        if asked is not None and not isinstance(asked, ImageBuilder):
            raise UsageTypeError(f"ImageBuildEngine.build(builder=): given {asked!r}; accepted: an ImageBuilder")
        uri = None if force and image.uri != image.base_image else await cls.image_exists(image, asked)
        if uri is not None:
            return ImageBuild(uri)
        image.validate()
        if asked is None:
            raise InitializationError("NoImageBuilder", "user", _no_builder(image, builder))
        return await _built(asked, image, dry_run, wait, force)


def _no_builder(image: Image, named: object) -> str:
    builder = f"the builder {named!r} is the Flyte SDK's own" if named else "no builder is given"
    return (
        f"the image {image.uri} has to be built, and {builder}; give an object with build_image() as builder=, or "
        "build it with the flyte package and name it by its URI"
    )


async def _built(builder: ImageBuilder, image: Image, dry_run: bool, wait: bool, force: bool) -> ImageBuild:
    try:
        return await builder.build_image(image, dry_run=dry_run, wait=wait, force=force)
    except FlyteError:
        raise
    except Exception as error:  # a stranger's code
        raise ImageBuildError(f"{type(builder).__name__} failed to build {image.uri}: {error}") from error
