"""ImageBuild: what building an image gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flyte_nb.environments.declaration import Declaration

__all__ = ["ImageBuild"]


@dataclass(repr=False)
class ImageBuild(Declaration):
    """What building an image gave.

    Parameters
    ----------
    uri : str or None
        The image's URI; None when it is still being built.
    remote_run : optional
        The run that built it, where a service did.
    build_run : optional
        The run that builds it, where it is waited for.
    """

    uri: str | None
    remote_run: Any = None
    build_run: Any = None
