"""Cluster: whether one is configured, whether its address answers, and whether that speaks Flyte's protocol.

Where this process is connected already, its projects are asked for as it asks for everything; else without credentials,
so that nothing is signed in to by being looked at.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from flyte_nb.config import auto
from flyte_nb.context.settings import remembered
from flyte_nb.doctor.finding import Finding, Patient, State, notice, ok
from flyte_nb.engine.cluster import connection, projects
from flyte_nb.errors import FlyteError, InitializationError

__all__ = ["address", "look", "spoken"]

_PATIENCE = 3.0  # seconds
_LOCAL = "runs on this machine do not need it"
_LISTING = "/flyteidl2.project.ProjectService/ListProjects"


class _Configured(NamedTuple):
    """What is configured: an endpoint, whether it has no TLS, and where it was found; empty where there is none."""

    endpoint: str
    insecure: bool
    source: str


def look(patient: Patient) -> Iterator[Finding]:
    """Look for a cluster as ``engine="cluster"`` does, connect to its endpoint, and ask for its projects."""
    try:
        found = _configured()
    except InitializationError as error:
        yield notice("cluster", str(error), _LOCAL)
        return
    if not found.endpoint:
        yield ok("cluster", "none configured" + (f" ({found.source} names no endpoint)" if found.source else ""))
        return
    try:
        host, port = address(found.endpoint, found.insecure)
    except ValueError:
        yield notice("cluster", f"{found.source}: its endpoint is no address", "write it as host:port")
        return
    reached = _reached(host, port, found.source)
    yield reached
    if reached.state is State.OK:
        yield _listed(found, host, port)


def _configured() -> _Configured:
    told = remembered()
    if told.endpoint:
        return _Configured(told.endpoint, bool(told.options.get("insecure")), "flyte.init")
    config = auto(told.config)
    if config.platform.endpoint:
        return _Configured(config.platform.endpoint, config.platform.insecure, str(config.source))
    named = os.environ.get("FLYTE_ADMIN_ENDPOINT", "")
    insecure = os.environ.get("FLYTE_ADMIN_INSECURE", "").lower() in ("1", "true", "yes", "on")
    return _Configured(named, insecure, "FLYTE_ADMIN_ENDPOINT" if named else str(config.source or ""))


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


def _listed(found: _Configured, host: str, port: int) -> Finding:
    """Ask for the projects."""
    if connection.is_known():
        try:
            names = asyncio.run(projects.names(connection.connected(), _PATIENCE))
        except FlyteError as error:
            return notice("projects", f"this process is connected, but {error}", _LOCAL)
        return ok("projects", projects.told(names))
    host = f"[{host}]" if ":" in host else host
    plain = found.insecure or urlsplit(found.endpoint).scheme == "http"
    return spoken(f"{'http' if plain else 'https'}://{host}:{port}")


def spoken(url: str, seconds: float = _PATIENCE) -> Finding:
    """Ask for the projects without credentials; who asks for a sign-in speaks the protocol, too.

    Parameters
    ----------
    url : str
        The control plane.
    seconds : float
        How long it may take.
    """
    asked = urllib.request.Request(f"{url}{_LISTING}", b'{"limit": 100}', {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as answer:
            listed = json.load(answer).get("projects", {}).get("projects", [])
            return ok("projects", projects.told([str(one.get("id", "")) for one in listed]))
    except urllib.error.HTTPError as error:
        with error:
            return _refused(error)
    except (OSError, ValueError, AttributeError) as error:
        why = getattr(error, "reason", None) or error
        return notice("projects", f"what answers there does not speak Flyte's protocol: {why}", _advice(str(why)))


def _refused(error: urllib.error.HTTPError) -> Finding:
    try:
        code = str(json.load(error).get("code", ""))
    except (OSError, ValueError, AttributeError):
        code = ""
    if code in ("unauthenticated", "permission_denied") or error.code in (401, 403):
        return ok("projects", "it asks for a sign-in, which `%flyte connect` does, as the first use does")
    told = f"it answers with {error.code} {code or error.reason}".rstrip()
    return notice("projects", f"{told}, as no control plane of Flyte 2 does", _advice(""))


def _advice(why: str) -> str:
    if "SSL" in why or "TLS" in why:
        return f"say insecure: true where it has no TLS; look at its certificate where it has; {_LOCAL}"
    return f"look at the address: it is that of Flyte's control plane, not of a page; {_LOCAL}"
