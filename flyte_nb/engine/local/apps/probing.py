"""Probing: whether a replica answers yet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

__all__ = ["Patience", "answers"]

_HOSTS = ("127.0.0.1", "::1")
_WAIT = 2.0  # seconds for an answer
_STEP = 1.0


class Patience:
    """A limit of time that only counts while this process runs: a laptop that sleeps does not use it up.

    Parameters
    ----------
    seconds : float
        The limit.
    clock : callable
        Seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.left, self._clock = seconds, clock
        self._last = clock()

    def is_over(self) -> bool:
        """Tell whether the limit has passed; a second at most counts since it was last asked."""
        now = self._clock()
        self.left -= min(max(now - self._last, 0.0), _STEP)
        self._last = now
        return self.left <= 0


async def answers(port: int, path: str = "") -> str | None:
    """Give the address of this machine on which a port answers; None where it does not.

    Parameters
    ----------
    port : int
        The port.
    path : str
        What is asked for with HTTP: a status below 500 is an answer. Where it is empty, listening is one.
    """
    for host in _HOSTS:
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            if await asyncio.wait_for(_asked(host, port, path), _WAIT):
                return host
    return None


async def _asked(host: str, port: int, path: str) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        if not path:
            return True
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).split()
        return len(status) > 1 and status[1].isdigit() and int(status[1]) < 500
    finally:
        writer.close()
