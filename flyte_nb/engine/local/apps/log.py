"""Log: what the replicas of an app print, kept in a file of bounded size and heard as it comes."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

__all__ = ["AppLog", "Writer", "tail_of"]

MOST = 4 << 20  # bytes of a file; there are two: the newest, and the one before
_LINES = 1_000  # that are kept in memory
_LONGEST = 16_384  # characters of a line


class AppLog:
    """The log of one app.

    Parameters
    ----------
    path : Path
        The file; what it held before stays until there is too much of it.
    """

    def __init__(self, path: Path, most: int = MOST) -> None:
        self.path, self._most = path, most
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._size = path.stat().st_size if path.exists() else 0
        self._heard: list[Callable[[str], None]] = []
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, who: str, line: str) -> None:
        """Take a line of a replica, or of the service itself."""
        told = f"{who} | {line[:_LONGEST]}"
        self._lines.append(told)
        data = f"{told}\n".encode("utf-8", "replace")
        with contextlib.suppress(OSError):  # a full disk is no reason to stop serving
            if self._size + len(data) > self._most:
                os.replace(self.path, self.before)
                self._size = 0
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._size += os.write(fd, data)
            finally:
                os.close(fd)
        for hear in list(self._heard):
            hear(told)

    @property
    def before(self) -> Path:
        """The file that holds what came before."""
        return self.path.with_suffix(".before.log")

    def last(self, lines: int) -> list[str]:
        """Give the last lines that were printed since it was opened."""
        return list(self._lines)[-lines:] if lines > 0 else []

    def hear(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Have every further line told; give what ends that."""
        self._heard.append(listener)
        return lambda: self._heard.remove(listener) if listener in self._heard else None


def tail_of(path: Path, lines: int) -> list[str]:
    """Give the last lines of a log's file, of another process too."""
    found: list[str] = []
    for file in (path.with_suffix(".before.log"), path):
        with contextlib.suppress(OSError):
            found += file.read_text("utf-8", "replace").splitlines()
    return found[-lines:]


class Writer:
    """Cuts what a replica prints into lines.

    Parameters
    ----------
    write : callable
        Takes a line.
    clean : callable
        Takes the values of secrets out of a piece of a stream: the stream's name, and the text.
    """

    def __init__(self, write: Callable[[str], None], clean: Callable[[str, str], str]) -> None:
        self._write, self._clean = write, clean
        self._rest = {"stdout": "", "stderr": ""}

    def __call__(self, stream: str, text: str) -> None:
        """Take a piece of what is printed."""
        *lines, rest = (self._rest[stream] + self._clean(stream, text)).split("\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], ""
        self._rest[stream] = rest
        for line in lines:
            self._write(line)

    def close(self) -> None:
        """Give out what has no end of line yet."""
        for stream, rest in self._rest.items():
            if rest:
                self._rest[stream] = ""
                self._write(rest)
