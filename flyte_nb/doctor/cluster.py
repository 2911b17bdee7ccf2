"""Cluster: whether a configuration names one, and whether its address answers; no credentials are sent."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from flyte_nb.config import auto
from flyte_nb.doctor.finding import Finding, Patient, notice, ok
from flyte_nb.errors import InitializationError

__all__ = ["address", "look"]

_PATIENCE = 3.0  # seconds
_LOCAL = "runs on this machine do not need it"


def look(patient: Patient) -> Iterator[Finding]:
    """Look for a configuration of the Flyte SDK, and connect to its endpoint."""
    try:
        config = auto()
    except InitializationError as error:
        yield notice("cluster", str(error), _LOCAL)
        return
    if not config.platform.endpoint:
        yield ok("cluster", "none configured" + (f" ({config.source} names no endpoint)" if config.source else ""))
        return
    try:
        host, port = address(config.platform.endpoint, config.platform.insecure)
    except ValueError:
        yield notice("cluster", f"{config.source}: its endpoint is no address", "write it as host:port")
        return
    yield _reached(host, port, str(config.source))


def address(endpoint: str, insecure: bool) -> tuple[str, int]:
    """Give host and port of an endpoint such as ``dns:///host``, ``host:port`` or a URL.

    Raises
    ------
    ValueError
        When it is none of these.
    """
    text = endpoint.removeprefix("dns:///")
    parts = urlsplit(text if "://" in text else f"//{text}")
    if not parts.hostname:
        raise ValueError(endpoint)
    return parts.hostname, parts.port or (80 if insecure or parts.scheme == "http" else 443)


def _reached(host: str, port: int, source: str) -> Finding:
    began = time.monotonic()
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError as error:
        told = f"{host}:{port} of {source} cannot be reached: {error.strerror or error}"
        return notice("cluster", told, f"look at the address and your network; {_LOCAL}")
    return ok("cluster", f"{host}:{port} of {source} answers after {(time.monotonic() - began) * 1000:.0f} ms")
