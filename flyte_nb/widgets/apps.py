"""Apps as cards: where one stands, its address and replicas, what it has to do, its last lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from flyte_nb.engine.local.apps.spec import AppPhase, ReplicaRecord
from flyte_nb.engine.local.apps.traffic import Load
from flyte_nb.views import Card, Table, Text, View
from flyte_nb.widgets.sparkline import characters

__all__ = ["AppRecord", "apps", "card"]

LINES = 8  # of its log


@dataclass(frozen=True)
class AppRecord:
    """An app as it is now.

    Parameters
    ----------
    name : str
        Its name.
    phase : AppPhase
        Where it stands.
    url : str
        Its address.
    why : str
        Why it failed.
    replicas : tuple of ReplicaRecord
        Its replicas.
    load : Load, optional
        What it has to do; None where nobody counts it here.
    lines : tuple of str
        The last lines of its log.
    links : tuple of (str, str)
        Path and title of pages of it.
    needs_token : bool
        Whether callers have to show a token.
    has_pages : bool
        Whether a browser can look at it; a server of connectors speaks gRPC.
    history : (tuple of float, tuple of float)
        Requests per second, and latency in seconds, of each second of the last minute; the newest last.
    note : str
        Who may call it, where that is another than on this machine.
    count : int, optional
        How many replicas there are, where nobody knows more of them.
    place : str
        Where it is served; empty for this machine.
    """

    name: str
    phase: AppPhase
    url: str
    why: str = ""
    replicas: tuple[ReplicaRecord, ...] = ()
    load: Load | None = field(default_factory=Load)
    lines: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    needs_token: bool = False
    has_pages: bool = True
    history: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    note: str = ""
    count: int | None = None
    place: str = ""


def card(app: AppRecord) -> Card:
    """Show one app."""
    rows = [("address", app.url or "none yet", told_callers(app))]
    rows += [("served by", app.place, "")] if app.place else []
    if app.why:
        rows.append((label_of(app), app.why, ""))
    rows.append(("replicas", told_replicas(app), ""))
    rows += [("requests", told_requests(app.load), "")] if app.load is not None else []
    if latency := told_latency(app.load):
        rows.append(("latency", latency, "half of the last requests were quicker"))
    if any(app.history[0]):
        rows.append(
            ("last minute", characters(app.history[0]), f"requests, at most {max(app.history[0]):.1f} per second")
        )
    rows += [(title, f"{app.url.rstrip('/')}/{path.lstrip('/')}", "") for path, title in app.links]
    told = [f"{r.id}  {r.phase.value}  pid {r.pid}{f'  {r.note}' if r.note else ''}" for r in app.replicas]
    sections = [("replicas", told), ("log", list(app.lines))]
    return Card(app.name, "app", [app.phase.value], rows, [section for section in sections if section[1]])


def told_callers(app: AppRecord) -> str:
    """Word who may call."""
    return app.note or ("asks for the token" if app.needs_token else "anybody on this machine may call")


def label_of(app: AppRecord) -> str:
    """Name what is told of how it stands."""
    return "failed" if app.phase is AppPhase.FAILED else "state"


def told_replicas(app: AppRecord) -> str:
    """Word how many replicas there are, by where they stand."""
    if app.count is not None and (app.count or app.phase is AppPhase.ACTIVE):
        return str(app.count or "not told by the cluster")
    counts = Counter(replica.phase.value for replica in app.replicas)
    if not counts:
        return "none: the next request starts one" if app.phase is AppPhase.IDLE else "none"
    return ", ".join(f"{count} {phase}" for phase, count in counts.items())


def told_requests(load: Load | None) -> str:
    """Word what there was and is to do; empty where nobody counts it."""
    if load is None:
        return ""
    words = [f"{load.requests:,} so far", f"{load.rate:.1f} per second"] if load.requests else ["none so far"]
    words += [f"{load.failures:,} failed"] if load.failures else []
    words += [f"{load.in_flight} in flight"] if load.in_flight else []
    words += [f"{load.waiting} waiting"] if load.waiting else []
    return ", ".join(words)


def told_latency(load: Load | None) -> str:
    """Word how long requests take; empty where there was none lately."""
    return f"{load.latency * 1e3:.1f} ms" if load is not None and load.latency else ""


def apps(records: list[AppRecord], elsewhere: list[dict[str, Any]]) -> View:
    """Show all that are served, a line each; those of other kernels after this one's."""
    rows = [(a.name, a.phase.value, a.url, told_replicas(a), told_requests(a.load)) for a in records]
    rows += [(str(a["name"]), "another kernel's", str(a["url"]), f"pid {a['pid']}", "") for a in elsewhere]
    if not rows:
        return Text("no app is served; serve one with  %flyte serve NAME")
    return Table(("app", "", "address", "replicas", "requests"), rows)
