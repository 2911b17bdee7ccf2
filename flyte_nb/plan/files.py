"""Files that travel with a bundle: what they are, where they lie in it, and why each one is there."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from flyte_nb.errors import DeploymentError
from flyte_nb.notebook.module import FILE

__all__ = ["MANIFEST", "Shipped", "copy_files", "digest_of", "includes_files", "one_of_each", "shipped"]

MANIFEST = "manifest.json"
_OURS = (FILE, "captured", MANIFEST)


@dataclass(frozen=True)
class Shipped:
    """A file that travels with the code.

    Parameters
    ----------
    path : str
        Where it lies in the bundle, ``/`` between the parts.
    source : Path
        Where it is copied from.
    why : str
        What asked for it.
    size : int
        Bytes.
    digest : str
        SHA-256 of its content, in hex.
    is_included : bool
        Whether an environment's ``include`` names it; else an import does.
    """

    path: str
    source: Path = field(compare=False)
    why: str = field(compare=False)
    size: int
    digest: str
    is_included: bool = field(default=False, compare=False)

    def row(self) -> dict[str, object]:
        """Describe it as JSON data, for the manifest."""
        return {
            "path": self.path,
            "size": self.size,
            "digest": self.digest,
            "why": self.why,
            "included": self.is_included,
        }


def shipped(path: str, source: Path, why: str, is_included: bool = False) -> Shipped:
    """Read a file's size and digest.

    Raises
    ------
    DeploymentError
        When it is not a file that can be read, and when its place in the bundle is taken.
    """
    if path.partition("/")[0] in _OURS:
        raise DeploymentError(
            f"{source} ({why}): a bundle has a {path.partition('/')[0]} of its own; rename the file or the folder"
        )
    if not source.is_file():
        raise DeploymentError(f"{source} ({why}) is not a regular file")
    try:
        size, digest = source.stat().st_size, digest_of(source)
    except OSError as error:
        raise DeploymentError(f"{source} ({why}) cannot be read: {error.strerror}") from None
    return Shipped(path, source, why, size, digest, is_included)


def digest_of(source: Path) -> str:
    """Give the SHA-256 of a file's content, in hex."""
    found = source.stat()
    return _digest(source, found.st_size, found.st_mtime_ns, found.st_ino)


@functools.lru_cache(maxsize=10_000)
def _digest(source: Path, *as_it_was: int) -> str:
    """Read a file once for as long as its size and time stay the same: a view asks for it each time it is shown."""
    total = hashlib.sha256()
    with source.open("rb") as file:
        while data := file.read(1 << 20):
            total.update(data)
    return total.hexdigest()


def one_of_each(files: Iterable[Shipped]) -> tuple[Shipped, ...]:
    """Keep one of each place in the bundle, in the order of their paths.

    Raises
    ------
    DeploymentError
        When two different files want the same place.
    """
    found: dict[str, Shipped] = {}
    for file in files:
        first = found.setdefault(file.path, file)
        if first.digest != file.digest:
            raise DeploymentError(
                f"{first.source} ({first.why}) and {file.source} ({file.why}) would both be {file.path} in the bundle; "
                "rename one of them"
            )
        if file.is_included:
            found[file.path] = file
    return tuple(found[path] for path in sorted(found))


def copy_files(files: Iterable[Shipped], folder: Path) -> None:
    """Copy files into the folder of a bundle, to be read only.

    Raises
    ------
    DeploymentError
        When one of them has changed since it was read.
    """
    for file in files:
        target = folder / file.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copyfile(file.source, target)
        except FileNotFoundError:
            raise DeploymentError(
                f"{file.source} ({file.why}) was removed before it was bundled; deploy again"
            ) from None
        if shipped(file.path, target, file.why).digest != file.digest:
            raise DeploymentError(f"{file.source} ({file.why}) changed while it was bundled; deploy again")
        os.chmod(target, 0o500 if os.access(file.source, os.X_OK) else 0o400)


def includes_files(home: Path) -> bool:
    """Tell whether a bundle that was written holds files that an environment includes."""
    try:
        manifest = json.loads((home / MANIFEST).read_text())
    except (OSError, ValueError):  # the worker says that the bundle is gone
        return False
    return any(row["included"] for row in manifest.get("files", ()))
