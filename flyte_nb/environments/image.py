"""Image: what is installed where a task runs."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_nb.environments.declaration import Declaration

__all__ = ["Image"]


@dataclass(frozen=True, repr=False)
class Image(Declaration):
    """A reference to a container image; made by `from_base`."""

    base_image: str

    @classmethod
    def from_base(cls, image_uri: str) -> Image:
        """Refer to an existing image by its URI."""
        return cls(image_uri)

    @property
    def uri(self) -> str:
        """The image's URI."""
        return self.base_image
