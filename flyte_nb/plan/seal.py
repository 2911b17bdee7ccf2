"""Seal: whether a bundle that was written is still what was deployed.

The manifest has the digest of each file, the seal is the digest of the manifest, and the store keeps the seal. A file
is read once by a process for as long as its size and time stay the same.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from importlib.machinery import all_suffixes
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flyte_nb.errors import DeploymentError
from flyte_nb.notebook.module import FILE
from flyte_nb.plan.files import MANIFEST, digest_of

__all__ = ["insist_whole", "is_whole", "seal_of"]

_IMPORTED = tuple(all_suffixes())
_CACHE = "__pycache__"


def seal_of(home: Path) -> str:
    """Give the seal of a bundle: the digest of its manifest, in hex.

    Raises
    ------
    OSError
        When it is not there.
    """
    return digest_of(home / MANIFEST)


def is_whole(home: Path, seal: str = "", like: Mapping[str, Any] = MappingProxyType({})) -> bool:
    """Tell whether a bundle is there and as it was written.

    Parameters
    ----------
    home : Path
        Its folder.
    seal : str
        What the store has; empty where that is not known.
    like : mapping
        What its manifest shall say; the reasons for its files do not count, nor the numbers of cells.
    """
    try:
        insist_whole(home, seal or seal_of(home))
        return not like or _told(json.loads((home / MANIFEST).read_bytes())) == _told(like)
    except (DeploymentError, OSError, ValueError, KeyError, TypeError, AttributeError):  # or something else's file
        return False


def _told(manifest: Mapping[str, Any]) -> str:
    files = [(row["path"], row["digest"]) for row in manifest["files"]]
    captured = {path: digest for path, digest in manifest["parts"].items() if path != FILE}
    parts = [manifest["version"], manifest["digest"], captured, manifest["environments"], files]
    return json.dumps(parts, sort_keys=True)


def insist_whole(home: Path, seal: str) -> None:
    """Refuse a bundle that is not what was deployed.

    Parameters
    ----------
    home : Path
        Its folder.
    seal : str
        What `seal_of` gave; empty for a bundle of an older flyte_nb, which is not looked at.

    Raises
    ------
    DeploymentError
        When a file is gone or has other content, and when a module was added, with its name.
    """
    if not seal:
        return
    try:
        if seal_of(home) != seal:
            raise _edited(home, MANIFEST, "changed")
        known = _listed(home, seal)
        for path, digest in known.items():
            if digest_of(home / path) != digest:
                raise _edited(home, path, "changed")
    except OSError as error:
        raise _edited(home, os.path.relpath(error.filename or home, home), "gone") from None
    for path in _modules(home):
        if path not in known:
            raise _edited(home, path, "added")


@functools.lru_cache(maxsize=100)
def _listed(home: Path, seal: str) -> dict[str, str]:
    """Give the digests of the files that a manifest lists; a seal is of one manifest only."""
    told = json.loads((home / MANIFEST).read_bytes())
    return {**told.get("parts", {}), **{row["path"]: row["digest"] for row in told["files"]}}


def _modules(home: Path) -> list[str]:
    """Name the files of a folder that an import could find."""
    found = []
    for folder, folders, files in os.walk(home):
        folders[:] = [name for name in folders if name != _CACHE]
        inside = os.path.relpath(folder, home)
        found += [name if inside == "." else f"{inside}/{name}" for name in files if name.endswith(_IMPORTED)]
    return [name.replace(os.sep, "/") for name in found]


def _edited(home: Path, path: str, how: str) -> DeploymentError:
    hint = "deploy again, or go back to another version: flyte.rollback(NAME, version=V)"
    if how == "added":
        hint = "remove it, or deploy again"
    return DeploymentError(f"the bundle {home} is not what was deployed: {path} is {how}; {hint}")
