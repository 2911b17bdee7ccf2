"""Probing: whether a replica answers yet."""

from __future__ import annotations

import asyncio
import contextlib

from flyte_nb.engine.local.apps.waiting import within

__all__ = ["answers"]

_HOSTS = ("127.0.0.1", "::1")
_WAIT = 2.0  # seconds for an answer


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
            if await within(_asked(host, port, path), _WAIT):
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
