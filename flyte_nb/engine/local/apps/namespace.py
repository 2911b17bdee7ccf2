"""Namespace: runs a command in a network of its own, so that any program can have the port it insists on.

A script of the standard library alone: ``python namespace.py LISTENING PORT COMMAND…``. ``LISTENING`` is the file
descriptor of a socket that is bound outside; it begins to listen when something inside listens on ``PORT``, and what
connects to it is connected there. The command can call nothing outside its network.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_SET_FLAGS, _UP = 0x8914, 0x1 | 0x40
_LOOK = 0.02
_CHUNK = 1 << 16


def main() -> None:
    """Run the command and end as it does."""
    outside, port, command = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3:]
    enter()
    sys.exit(asyncio.run(serve(outside, port, command)))


def enter() -> None:
    """Move this process into a network that has only a loopback address.

    Raises
    ------
    OSError
        Where that is not allowed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEW_NET | (_NEW_USER if user else 0)):
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        for name, text in {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}.items():
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    import fcntl

    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


async def serve(outside: socket.socket, port: int, command: list[str]) -> int:
    """Run the command, and connect the outside with it while it runs."""
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    ended = asyncio.get_running_loop().run_in_executor(None, process.wait)
    listening = asyncio.create_task(_listen(outside, port))
    code = await ended
    listening.cancel()
    return code if code >= 0 else 128 - code


async def _listen(outside: socket.socket, port: int) -> None:
    while not await _answers(port):
        await asyncio.sleep(_LOOK)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    server = await asyncio.start_server(connect, sock=outside)
    await server.serve_forever()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


if __name__ == "__main__":
    main()
