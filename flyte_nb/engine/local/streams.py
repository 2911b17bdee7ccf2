"""Streams: what a process prints, read from its two pipes as it comes."""

from __future__ import annotations

import asyncio
import codecs
import os
import select
import time
from collections.abc import Callable

__all__ = ["Streams"]

_CHUNK = 1 << 16
_MOST_CHUNKS = 32


class Streams:
    """The pipes of one process.

    Parameters
    ----------
    stdout, stderr : int
        The file descriptors of their ends here.
    take : callable
        Takes the stream's name, and a text.
    """

    def __init__(self, stdout: int, stderr: int, take: Callable[[str, str], None]) -> None:
        self._take = take
        self._pipes = {
            "stdout": (stdout, codecs.getincrementaldecoder("utf-8")("replace")),
            "stderr": (stderr, codecs.getincrementaldecoder("utf-8")("replace")),
        }
        self._open = set(self._pipes)
        self._ready = {"stdout": select.poll(), "stderr": select.poll()}
        for name, (fd, _) in self._pipes.items():
            self._ready[name].register(fd, select.POLLIN)
        self._loop = asyncio.get_running_loop()
        self._quiet = asyncio.Event()
        #: when what is being taken in at this moment was read, in seconds since 1970; 0 while nothing is
        self.reading = 0.0

    def listen(self) -> None:
        """Read from now on."""
        for name, (fd, _) in self._pipes.items():
            os.set_blocking(fd, False)
            self._loop.add_reader(fd, self._read, name)

    def drain(self) -> None:
        """Read what is there already."""
        for name in tuple(self._open):
            for _ in range(_MOST_CHUNKS):  # what it started may be printing on
                if not self._read(name):
                    break

    async def ended(self, seconds: float) -> None:
        """Wait so long at most for both to end: a process outside the group may hold them still."""
        if not self._open:
            return
        quiet = self._loop.create_task(self._quiet.wait())
        try:
            await asyncio.wait((quiet,), timeout=seconds)
        finally:
            quiet.cancel()

    def close(self) -> None:
        """Close the ends here."""
        for name in list(self._open):
            self._shut(name)

    def _read(self, name: str) -> bool:
        """Read once; tell whether there may be more."""
        if not self._ready[name].poll(0):
            return False
        fd, decoder = self._pipes[name]
        self.reading = time.time()  # after it is known to be there: whoever printed it has begun before
        try:
            data = os.read(fd, _CHUNK)
            if text := decoder.decode(data, final=not data):
                self._take(name, text)
        except BlockingIOError:
            return False
        finally:
            self.reading = 0.0
        if not data:
            self._shut(name)
        return len(data) == _CHUNK

    def _shut(self, name: str) -> None:
        fd, _ = self._pipes[name]
        self._open.discard(name)
        if not self._loop.is_closed():
            self._loop.remove_reader(fd)
        os.close(fd)
        if not self._open:
            self._quiet.set()
