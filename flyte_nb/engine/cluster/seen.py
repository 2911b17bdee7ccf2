"""Seen: an app as a control plane says that it stands, read from the messages of the protocol."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from flyte_nb.engine.cluster import failures, sdk
from flyte_nb.engine.cluster.connection import Connection

__all__ = ["STATES", "Seen", "seen_of"]

#: where the protocol has what an app is to be
STATES = "flyteidl2.app.app_definition_pb2.Spec"
_STATUS = "flyteidl2.app.app_definition_pb2.Status"
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?(/.*)?")
_SERVING = ("ACTIVE", "STARTED", "SCALING_UP", "SCALING_DOWN")


@dataclass(frozen=True)
class Seen:
    """An app as the control plane said that it stands.

    Parameters
    ----------
    name : str
        The app's name.
    phase : str
        The value of an ``AppPhase``.
    revision : int
        How often it was changed; 1 for a new one.
    url : str
        Where people and programs reach it; empty while nobody knows.
    console : str
        The page about it.
    project, domain : str
        Where it belongs.
    replicas : int
        How many there are.
    why : str
        What the control plane says of it: why it failed, what it waits for; may be empty.
    links : tuple of (str, str)
        Path and title of pages of it.
    kind : str
        What kind of app it says it is: ``"connector"`` is one without pages.
    is_open : bool
        Whether anybody may call it.
    pb2 : object
        The message of the protocol.
    """

    name: str
    phase: str
    revision: int
    url: str
    console: str
    project: str
    domain: str
    replicas: int = 0
    why: str = ""
    links: tuple[tuple[str, str], ...] = ()
    kind: str = ""
    is_open: bool = False
    pb2: Any = field(default=None, repr=False, compare=False)

    def has_settled(self, wanted: str) -> bool:
        """Tell whether it has come to where it was to go: ``"active"`` or ``"stopped"``."""
        return self.phase in {"active": ("active", "idle"), "stopped": ("stopped",)}[wanted]


def seen_of(connection: Connection, app: Any) -> Seen:
    """Read the SDK's object of an app."""
    pb2 = app.pb2
    phase, why = _phase(pb2)
    identifier = pb2.metadata.id
    return Seen(
        name=identifier.name,
        phase=phase,
        revision=pb2.metadata.revision,
        url=_web(pb2.status.ingress.cname_url) or _web(pb2.status.ingress.public_url),
        console=app.url,
        project=identifier.project,
        domain=identifier.domain,
        replicas=pb2.status.current_replicas,
        why=failures.redacted(why, connection.secrets),
        links=tuple((link.path, link.title) for link in pb2.spec.links),
        kind=pb2.spec.profile.type,
        is_open=pb2.spec.security_context.allow_anonymous,
        pb2=pb2,
    )


def _web(address: str) -> str:
    """Give an address of the web; what is none is no address that anybody should open."""
    if _HOST.fullmatch(address):
        return f"https://{address}"
    return address if address.startswith(("https://", "http://")) else ""


def _phase(pb2: Any) -> tuple[str, str]:
    """Give the phase of an app, and what is said of it; what was said of an earlier revision does not count."""
    revision, said = pb2.metadata.revision, list(pb2.status.conditions)
    is_to_stop = pb2.spec.desired_state == sdk.find(STATES).DESIRED_STATE_STOPPED
    comes = "stopping" if is_to_stop else "restarting" if revision > 1 else "starting"
    last = said[-1] if said else None
    if last is None or 0 < last.revision < revision:
        return comes, ""
    status = _word(sdk.find(_STATUS).DeploymentStatus, last.deployment_status).removeprefix("DEPLOYMENT_STATUS_")
    part = _word(getattr(sdk.find(_STATUS), "Substate", None), getattr(last, "substate", 0))
    why = ": ".join(filter(None, ("" if part == "SUBSTATE_UNSPECIFIED" else _plain(part), last.message)))
    if status == "FAILED":
        return "failed", why or "the control plane does not say why"
    if status == "STOPPED" or (status == "UNASSIGNED" and is_to_stop):
        return "stopped", ""
    if status not in _SERVING or is_to_stop:
        return comes, why or _plain(status)
    return ("idle" if part == "SCALED_TO_ZERO" else "active"), ""


def _word(names: Any, value: int) -> str:
    """Give the name of an enumeration's value; empty for one that the installed protocol does not know."""
    return str(names.Name(value)) if names is not None and value in names.values() else ""


def _plain(word: str) -> str:
    return "" if word == "UNSPECIFIED" else word.lower().replace("_", " ")
