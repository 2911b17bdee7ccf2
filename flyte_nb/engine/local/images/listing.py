"""Listing: what the cache of environments holds, and taking away what nobody uses."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from flyte_nb.engine.local.images.environment import RECORD, image_shelf
from flyte_nb.engine.local.images.shelf import STAMP
from flyte_nb.engine.local.images.sources import source_shelf

__all__ = ["CachedImage", "cached_images", "prune"]


@dataclass(frozen=True)
class CachedImage:
    """An environment in the cache.

    Parameters
    ----------
    key : str
        Its name there.
    folder : Path
        Where it is.
    python : str
        The version of its interpreter.
    layers : tuple of str
        What is installed, a layer each.
    built, used : datetime
        When it was made and when a kernel last asked for it.
    seconds : float
        How long it took to make.
    size : int
        Bytes of its files; uv shares most of them with its own cache.
    in_use : bool
        Whether a process that is alive uses it.
    """

    key: str
    folder: Path
    python: str
    layers: tuple[str, ...]
    built: datetime
    used: datetime
    seconds: float
    size: int
    in_use: bool


def cached_images() -> list[CachedImage]:
    """Give the environments in the cache, the one used last first."""
    shelf = image_shelf()
    return [_described(folder, shelf.in_use(folder)) for folder in shelf.folders()]


def _described(folder: Path, in_use: bool) -> CachedImage:
    record = json.loads((folder / RECORD).read_text())
    return CachedImage(
        key=folder.name,
        folder=folder,
        python=record["python"],
        layers=tuple(record["layers"]),
        built=_time(record["built"]),
        used=_time((folder / STAMP).stat().st_mtime),
        seconds=record["seconds"],
        size=sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(folder) for name in names),
        in_use=in_use,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def prune(older_than: timedelta | None = None) -> int:
    """Remove the environments that no living process uses, and what interrupted builds left behind.

    Parameters
    ----------
    older_than : timedelta, optional
        Only those that no kernel has asked for in that time; by default all.

    Returns
    -------
    int
        The number of environments that were removed.
    """
    age = None if older_than is None else older_than.total_seconds()
    source_shelf().prune(age)
    return image_shelf().prune(age)
