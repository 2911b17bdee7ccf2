"""Shelf: folders by key, each made once for all kernels, made beside its place and renamed into it in one step."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = ["STAMP", "Shelf", "cache_home"]

STAMP = "last-used"  # its modification time says when the folder was last used
_TICK = 0.1  # seconds between two looks at a lock that another holds

#: the folders that this process uses, each by the lock that says so to others until the process ends
_held: dict[Path, int] = {}
_holding = threading.Lock()


def cache_home() -> Path:
    """Give the folder of what all kernels of this user share: ``FLYTE_NB_CACHE``, else in the user's cache folder."""
    if stated := os.environ.get("FLYTE_NB_CACHE"):
        return Path(stated).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flyte_nb"


class Shelf:
    """The folders of one kind.

    Parameters
    ----------
    root : Path
        The folder that holds them.
    is_sound : Callable, optional
        Whether a folder that is there can be used; one that cannot is made anew.
    """

    def __init__(self, root: Path, is_sound: Callable[[Path], bool] = Path.is_dir) -> None:
        self._root = root
        self._locks = root / ".locks"
        self._is_sound = is_sound

    def holds(self, key: str) -> bool:
        """Tell whether the folder of a key is there and can be used."""
        return self._is_sound(self._root / key)

    async def take(
        self, key: str, make: Callable[[Path], Awaitable[None]], tell: Callable[[str], None]
    ) -> tuple[Path, bool]:
        """Give the folder of a key, and whether it was made just now; it is in use until this process ends.

        Parameters
        ----------
        key : str
            Its name.
        make : Callable
            Fills an empty folder; when it fails or is cancelled, nothing is left of the folder.
        tell : Callable
            Hears that another process is making the folder.
        """
        place = self._root / key
        self._locks.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._hold, key)
        if not self._is_sound(place):
            async with self._making(key, tell):
                if not self._is_sound(place):  # whoever had the lock may have made it
                    await self._make(key, make)
                    return place, True
        (place / STAMP).touch()
        return place, False

    async def _make(self, key: str, make: Callable[[Path], Awaitable[None]]) -> None:
        await asyncio.to_thread(self._sweep, key)
        part = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=self._root))
        try:
            await make(part)
            (part / STAMP).touch()
            if (self._root / key).exists():
                await asyncio.to_thread(self._remove, self._root / key)
            part.rename(self._root / key)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
            raise

    @asynccontextmanager
    async def _making(self, key: str, tell: Callable[[str], None]) -> AsyncIterator[None]:
        """Hold the lock of whoever makes a folder; the system gives it back when a process ends, however it does."""
        lock = os.open(self._locks / f"{key}.make", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _locked(lock):
                tell("waiting for the environment, which is being built already")
                while not _locked(lock):
                    await asyncio.sleep(_TICK)
            yield
        finally:
            os.close(lock)

    def _hold(self, key: str) -> None:
        """Say to others that this process uses a folder."""
        path = self._locks / f"{key}.use"
        with _holding:
            with contextlib.suppress(FileNotFoundError):  # somebody may have removed the cache by hand
                if path in _held and os.path.samestat(os.fstat(_held[path]), path.stat()):
                    return
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_SH)
            if path in _held:
                os.close(_held[path])
            _held[path] = lock

    def folders(self) -> list[Path]:
        """Give the folders that are complete, the one used last first."""
        found = [path for path in self._root.glob("[!.]*") if (path / STAMP).exists()]
        return sorted(found, key=lambda path: (path / STAMP).stat().st_mtime, reverse=True)

    def in_use(self, folder: Path) -> bool:
        """Tell whether a process that is alive uses a folder."""
        with self._free(folder.name) as free:
            return not free

    def prune(self, older_than: float | None) -> int:
        """Remove what nobody uses, and what was left half-made; give the number of folders that were complete.

        Parameters
        ----------
        older_than : float or None
            Seconds since its last use; None removes whatever its age.
        """
        count = 0
        for folder in self.folders():
            age = time.time() - (folder / STAMP).stat().st_mtime
            with self._free(folder.name) as free:
                if free and (older_than is None or age > older_than):
                    self._remove(folder)
                    count += 1
        for part in self._root.glob(".*.*"):
            key = part.name[1:].rpartition(".")[0]
            with self._free(key) as free:
                if free:
                    shutil.rmtree(part, ignore_errors=True)
        return count

    @contextlib.contextmanager
    def _free(self, key: str) -> Iterator[bool]:
        """Lock a folder against its makers and users, where there is none of them now."""
        self._locks.mkdir(parents=True, exist_ok=True)
        locks = [os.open(self._locks / f"{key}.{kind}", os.O_RDWR | os.O_CREAT, 0o600) for kind in ("use", "make")]
        try:
            yield all(_locked(lock) for lock in locks)
        finally:
            for lock in locks:
                os.close(lock)

    def _sweep(self, key: str) -> None:
        """Remove what a process that was killed had half-made; the caller has the lock."""
        for part in self._root.glob(f".{key}.*"):
            shutil.rmtree(part, ignore_errors=True)

    def _remove(self, folder: Path) -> None:
        """Take a folder away in one step, and then its files."""
        gone = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=self._root))
        folder.rename(gone / "gone")
        shutil.rmtree(gone, ignore_errors=True)


def _locked(lock: int) -> bool:
    """Try to lock a file for this process alone."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
