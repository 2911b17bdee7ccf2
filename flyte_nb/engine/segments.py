"""Segments: large buffers in memory that the processes of one engine share, so that no pipe copies them.

A segment is a file in a private folder of the memory file system (or of the temporary folder, where there is none).
Whoever encodes a value writes it once; the reader maps it privately, so that what it changes is its own. The inputs
of a call are removed by its engine when the call has ended, a result by its last reader as soon as it is mapped. An
engine uses a segment again that nobody maps any more, since its memory is there already.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import mmap
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Part", "Segment", "Segments", "as_bytes", "mapped", "named", "received", "release", "sweep", "tracked"]

#: bytes from which a buffer is shared
LEAST = 1 << 19
#: bytes that are kept for use again, at most
MOST_FREE = 1 << 28
PREFIX, LOCK = "flyte-nb-", "lock"
YOUNG = 60.0  # seconds after which a folder without a lock is one that was left
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Segment:
    """A buffer in shared memory.

    Parameters
    ----------
    path : str
        Its file.
    nbytes : int
        Its size in bytes.
    """

    path: str
    nbytes: int

    def view(self) -> memoryview:
        """Map it into this process; changes stay in this process."""
        with open(self.path, "rb") as file:
            mapping = mmap.mmap(file.fileno(), self.nbytes, access=mmap.ACCESS_COPY)
        if (found := _mapped.get()) is not None:
            found.append(mapping)
        return memoryview(mapping)

    def remove(self) -> None:
        """Remove its file; who has mapped it keeps it."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)


#: what one call has mapped; None where nobody keeps account
_mapped: ContextVar[list[mmap.mmap] | None] = ContextVar("mapped", default=None)


@contextlib.contextmanager
def tracked() -> Iterator[list[mmap.mmap]]:
    """Keep account of what is mapped in the block, for `release`."""
    found: list[mmap.mmap] = []
    token = _mapped.set(found)
    try:
        yield found
    finally:
        _mapped.reset(token)


def release(mappings: list[mmap.mmap]) -> bool:
    """Unmap what was mapped; tell whether all of it could be: whether nothing holds on to it."""
    held = False
    while mappings:
        try:
            mappings.pop().close()
        except BufferError:  # an array, or a view of one, is still alive
            held = True
    return not held


#: one part of a frame
Part = bytes | memoryview | Segment


def as_bytes(part: Part) -> bytes:
    """Give the bytes of a part."""
    return bytes(part.view() if isinstance(part, Segment) else part)


class Segments:
    """The folder of the segments of one engine.

    Parameters
    ----------
    folder : Path, optional
        The folder; a new one, private to the user, by default.
    made : callable, optional
        Hears of a new folder, before there is anything in it.
    """

    def __init__(self, folder: Path | None = None, made: Callable[[Path], None] | None = None) -> None:
        self._folder, self._made = folder, made
        self._numbers = itertools.count(1)
        self._lock: int | None = None
        self._maps: dict[str, mmap.mmap] = {}  # those that were free once, mapped still
        self._free: list[str] = []

    @property
    def folder(self) -> Path:
        """The folder, made when it is first asked for."""
        if self._folder is None:
            memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
            self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=memory))
            self._lock = _locked(self._folder)
            sweep(self._folder.parent)
            if self._made is not None:
                self._made(self._folder)
        return self._folder

    def shared(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Give the parts with the large buffers among them moved into segments, as far as there is room."""
        return tuple(self._share(part) if _size(part) >= LEAST else part for part in parts)

    def _share(self, part: Part) -> Part:
        if isinstance(part, Segment):
            return part
        data = memoryview(part).cast("B")
        if (again := self._again(data)) is not None:
            return again
        path = self.folder / f"{os.getpid()}-{next(self._numbers)}"
        segment = Segment(str(path), _size(part))
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as file:
                rest = data
                while rest:
                    rest = rest[file.write(rest) :]
        except OSError:  # no room in memory: it goes through the pipe
            segment.remove()
            return part
        return segment

    def _again(self, data: memoryview) -> Segment | None:
        """Write into the smallest free segment that is large enough, and not much larger."""
        fit = [path for path in self._free if data.nbytes <= len(self._maps[path]) <= 2 * data.nbytes]
        if not fit:
            return None
        path = min(fit, key=lambda path: len(self._maps[path]))
        self._free.remove(path)
        self._maps[path][: data.nbytes] = data
        return Segment(path, data.nbytes)

    def recycle(self, segment: Segment) -> None:
        """Keep a segment that nobody maps for the next buffer of its size; the oldest beyond a limit are removed.

        It stays mapped here, so that the next buffer is a mere copy.
        """
        try:
            if segment.path not in self._maps:
                with open(segment.path, "r+b") as file:
                    self._maps[segment.path] = mmap.mmap(file.fileno(), 0)
        except OSError:
            return
        self._free.append(segment.path)
        while sum(len(self._maps[path]) for path in self._free) > MOST_FREE:
            self.discard(Segment(self._free[0], 0))

    def discard(self, segment: Segment) -> None:
        """Remove a segment; whoever has mapped it keeps what it held."""
        if segment.path in self._free:
            self._free.remove(segment.path)
        if (mapping := self._maps.pop(segment.path, None)) is not None:
            mapping.close()
        segment.remove()

    def trim(self) -> None:
        """Remove the segments that are kept for later."""
        for path in list(self._free):
            self.discard(Segment(path, 0))

    def remove(self) -> None:
        """Remove the folder with all that is left in it."""
        self.trim()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(where: Path) -> None:
    """Remove the folders of engines that ended without doing it; those of others, and those in use, stay.

    An engine holds a lock on its folder while it lives, which the system takes away as it ends: so neither a number
    that is another process's by now nor a process of another container is taken for it.
    """
    with contextlib.suppress(OSError), os.scandir(where) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and _is_left(entry):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(entry: os.DirEntry[str]) -> bool:
    """Tell whether a folder is this user's and of an engine that has ended."""
    try:
        found = entry.stat(follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or time.time() - found.st_mtime < YOUNG:
            return False
        lock = os.open(Path(entry.path) / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # it ended before it had the lock
        return True
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its engine lives
        return False
    finally:
        os.close(lock)
    return True


def _locked(folder: Path) -> int:
    """Say that a folder is in use, as long as the file that is returned is open."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks: then nothing there is taken for left
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _size(part: Part) -> int:
    return len(part) if isinstance(part, bytes) else part.nbytes


def named(head: dict[str, Any], parts: Sequence[Part]) -> tuple[dict[str, Any], list[bytes | memoryview]]:
    """Give the head and the parts of a frame with each segment replaced by its name in the head."""
    found = {str(n): [part.path, part.nbytes] for n, part in enumerate(parts) if isinstance(part, Segment)}
    plain = [b"" if isinstance(part, Segment) else part for part in parts]
    return ({**head, "segments": found} if found else head), plain


def received(head: dict[str, Any], parts: list[Part]) -> list[Part]:
    """Give the parts of a frame that has arrived, with the segments that its head names."""
    for number, (path, size) in head.get("segments", {}).items():
        parts[int(number)] = Segment(path, size)
    return parts


def mapped(parts: Sequence[Part], last: bool = False) -> list[bytes | memoryview]:
    """Give the parts with each segment mapped into this process; ``last`` says that nobody else will read them."""
    views = [part.view() if isinstance(part, Segment) else part for part in parts]
    for part in parts if last else ():
        if isinstance(part, Segment):
            part.remove()
    return views
