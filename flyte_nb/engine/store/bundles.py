"""Bundles on disk: which of them a process uses, and those that go when nothing needs them any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from flyte_nb.engine.base import Deployment, now
from flyte_nb.engine.store.deployments import DeploymentRecords, told_deployment
from flyte_nb.plan.files import MANIFEST

__all__ = ["Bundles", "Pruned", "held", "hold"]

DRAFT = 24 * 60 * 60.0  # seconds after which an unfinished bundle is taken to be left by a process that was killed
_held: dict[tuple[str, int], int] = {}
_holding = threading.Lock()


def hold(home: Path) -> bool:
    """Mark a bundle as used by this process for as long as it lives, so that nobody removes it; False when it is gone.

    The mark is a shared lock on the manifest, so it goes with the process however that ends.
    """
    with _holding:
        try:
            key = str(home), (home / MANIFEST).stat().st_ino
        except OSError:
            return False
        if key not in _held:
            fd = _shared(home)
            if fd is None:
                return False
            _held[key] = fd
    return True


@contextlib.contextmanager
def held(home: Path) -> Iterator[bool]:
    """Mark a bundle as used for a while; gives False when it is gone."""
    fd = _shared(home)
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


def _shared(home: Path) -> int | None:
    """Lock a bundle against removal; None when it is gone, or about to be."""
    try:
        fd = os.open(home / MANIFEST, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        is_there = os.fstat(fd).st_ino == (home / MANIFEST).stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        is_there = False
    except OSError:  # a file system without locks: nothing can be known there
        is_there = True
    if not is_there:
        os.close(fd)
    return fd if is_there else None


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Parameters
    ----------
    versions : tuple of Deployment
        Versions that were not current for long.
    bundles : tuple of Path
        Folders of bundles that no version has any more.
    size : int
        Their bytes.
    kept : tuple of str
        What is old but stays, with the reason.
    dry_run : bool
        Whether nothing was done yet.
    """

    versions: tuple[Deployment, ...] = ()
    bundles: tuple[Path, ...] = field(default=(), repr=False)
    size: int = 0
    kept: tuple[str, ...] = ()
    dry_run: bool = True


class Bundles(DeploymentRecords):
    """The part of a store that removes deployments; the current ones and those in use stay, whatever their age."""

    def prune(self, older_than: timedelta, dry_run: bool = True) -> Pruned:
        """Remove the versions that have not been current for long, and bundles that no version has.

        Parameters
        ----------
        older_than : timedelta
            How long ago they were made or current last.
        dry_run : bool
            Only say what would be removed.
        """
        before = now() - older_than
        old = self.old_deployments(before)
        busy = {name for name in {row["bundle"] for row in old} if _is_held(self.bundles / name)}
        gone = [row for row in old if row["bundle"] not in busy]
        kept = [f"{row['environment']} at {row['version']}: a running process uses it" for row in old
                if row["bundle"] in busy]  # fmt: skip
        names = {(row["environment"], row["version"]) for row in gone}
        if not dry_run:
            self.forget_deployments(gone, before)
            still = {(row["environment"], row["version"]) for row in self.old_deployments(before)}
            gone = [row for row in gone if (row["environment"], row["version"]) not in still]
        used = self.used_bundles(without=names if dry_run else ())
        folders = [path for path in self._unused(used, older_than, {row["bundle"] for row in gone})
                   if not _is_held(path)]  # fmt: skip
        size = sum(map(_size, folders))
        if not dry_run:
            folders = [path for path in folders if self._remove_bundle(path)]
        versions = tuple(told_deployment(row, current=False) for row in gone)
        return Pruned(versions, tuple(folders), size, tuple(kept), dry_run)

    def _unused(self, used: Collection[str], older_than: timedelta, freed: Collection[str]) -> list[Path]:
        """Give the bundles that no version has: those just freed, the old ones, and what killed processes left."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self.bundles.iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    age = time.time() - path.lstat().st_mtime
                    limit = DRAFT if path.name.startswith(".") else older_than.total_seconds()
                    if path.name not in used and (path.name in freed or age > limit):
                        found.append(path)
        return found

    def _remove_bundle(self, home: Path) -> bool:
        """Remove a bundle unless a process uses it, or it was deployed again meanwhile; tell whether it is gone."""
        with contextlib.ExitStack() as held:
            try:
                file = held.enter_context((home / MANIFEST).open("rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:  # an unfinished one
                pass
            if home.name in self.used_bundles():
                return False
            aside = Path(tempfile.mkdtemp(dir=self.bundles, prefix=".removed."))
            os.rename(home, aside)
        shutil.rmtree(aside, ignore_errors=True)
        return True


def _is_held(home: Path) -> bool:
    try:
        with (home / MANIFEST).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total
