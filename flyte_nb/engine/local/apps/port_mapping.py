"""Port mapping: a process that insists on a port listens on another one instead, on the loopback address alone.

Only the standard library: it also runs in the Pythons of other environments, where an app's command starts them.
Which port stands for which is in the variable ``FLYTE_NB_PORTS``, as ``8080:23107,9092:23108``.
"""

from __future__ import annotations

import os
import socket
from typing import Any

__all__ = ["VARIABLE", "install", "mapped", "mapping"]

VARIABLE = "FLYTE_NB_PORTS"
_LOOPBACK, _LOOPBACK_6, _LOOPBACK_BOTH = "127.0.0.1", "::1", "::ffff:127.0.0.1"
_EVERYWHERE = ("", "0.0.0.0", "::", "0")
_HERE = (*_EVERYWHERE, "localhost", _LOOPBACK, _LOOPBACK_6, _LOOPBACK_BOTH)


def mapping() -> dict[int, int]:
    """Give the ports that stand for others in this process."""
    pairs = (pair.partition(":") for pair in os.environ.get(VARIABLE, "").split(",") if pair)
    return {int(asked): int(used) for asked, _, used in pairs}


def mapped(port: int) -> int:
    """Give the port that stands for one: itself, where none does."""
    return mapping().get(port, port)


def install() -> None:
    """Let the sockets of this process bind and connect to the ports that stand for those they ask for."""
    ports = mapping()
    if not ports:
        return
    _patch("bind", lambda sock, address: _bound(sock, address, ports))
    for name in ("connect", "connect_ex"):
        _patch(name, lambda sock, address: _connected(sock, address, ports))


def _patch(name: str, translate: Any) -> None:
    plain = getattr(socket.socket, name)

    def patched(self: socket.socket, address: Any) -> Any:
        return plain(self, translate(self, address))

    setattr(socket.socket, name, patched)


def _is_inet(sock: socket.socket, address: Any) -> bool:
    return sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple) and len(address) >= 2


def _bound(sock: socket.socket, address: Any, ports: dict[int, int]) -> Any:
    """Give where a socket is bound; a server that asks for every address of the machine gets the loopback one."""
    if not _is_inet(sock, address):
        return address
    host, port, *rest = address
    serves = port in ports or (port and host in _EVERYWHERE and sock.type & socket.SOCK_STREAM)
    if not serves:
        return address
    return (_loopback(sock) if host in _HERE else host, ports.get(port, port), *rest)


def _loopback(sock: socket.socket) -> str:
    if sock.family == socket.AF_INET:
        return _LOOPBACK
    only_6 = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return _LOOPBACK_6 if only_6 else _LOOPBACK_BOTH


def _connected(sock: socket.socket, address: Any, ports: dict[int, int]) -> Any:
    """Give where a socket connects to; a port of another machine is not ours."""
    if not _is_inet(sock, address) or address[1] not in ports or address[0] not in _HERE:
        return address
    return (address[0], ports[address[1]], *address[2:])
