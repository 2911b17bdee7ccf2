"""Ports: free ones for replicas, and who has one that is taken."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

import psutil

from flyte_nb.engine.local.apps.port_mapping import VARIABLE
from flyte_nb.errors import UsageError

__all__ = ["free_port", "insist_free", "listening_ports", "owner_of", "variables"]

_FIRST, _LAST = 20_000, 32_000  # below those that systems give to outgoing connections
_TRIES = 200
#: those given to replicas of this process, which may not listen yet
_given: set[int] = set()


def free_port() -> int:
    """Give a port of the loopback address that nobody has, and that nobody else is given here until `give_back`.

    Raises
    ------
    UsageError
        When none is found.
    """
    for _ in range(_TRIES):
        port = random.randrange(_FIRST, min(_LAST, _ephemeral()))
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise UsageError(f"no free port between {_FIRST} and {_LAST} was found for a replica; end what listens there")


def give_back(port: int) -> None:
    """Let others have a port."""
    _given.discard(port)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server can listen on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def insist_free(port: int, what: str, host: str = "127.0.0.1") -> None:
    """Refuse a port that somebody has.

    Raises
    ------
    UsageError
        Naming who has it, as far as the system tells.
    """
    if not is_free(port, host):
        raise UsageError(f"port {port} of {what} is taken by {owner_of(port)}; give another port, or end it")


def owner_of(port: int) -> str:
    """Word who listens on a port."""
    with contextlib.suppress(psutil.Error):
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr.port == port and found.pid:
                with contextlib.suppress(psutil.Error):
                    return f"{psutil.Process(found.pid).name()} (pid {found.pid})"
                return f"process {found.pid}"
    return "another process"


def listening_ports(pid: int) -> set[int]:
    """Give the ports that a process and its descendants listen on, as far as the system tells."""
    found: set[int] = set()
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                connections = process.net_connections("tcp")
                found |= {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}
    return found


def variables(ports: dict[int, int]) -> dict[str, str]:
    """Give the variable that makes ports stand for others in a replica's processes."""
    return {VARIABLE: ",".join(f"{asked}:{used}" for asked, used in ports.items())}


def _ephemeral() -> int:
    """Give the first port that this system gives to outgoing connections."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return _LAST
