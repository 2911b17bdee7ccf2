"""Connecting: to a cluster that is named, or the one that is configured; and whether it answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flyte_nb.context.settings import remember, remembered
from flyte_nb.engine.cluster import projects, sdk
from flyte_nb.engine.cluster.connection import Connection, connect, connected
from flyte_nb.errors import FlyteError, InitializationError
from flyte_nb.session import Session
from flyte_nb.widgets.cluster import ClusterRecord

__all__ = ["configured", "newly_connected"]

PATIENCE = 10.0  # seconds for the projects
_SOURCES = {"flyte.init": "what flyte.init or %flyte connect was told"}


def newly_connected(session: Session, config: str | None, given: Mapping[str, Any]) -> ClusterRecord:
    """Connect this process as it is told, where that answers; what was connected before stays otherwise.

    Parameters
    ----------
    session : Session
        What asks.
    config : str, optional
        A configuration file.
    given : mapping of str to object
        What ``flyte.init`` takes.

    Raises
    ------
    InitializationError
        When the SDK is not installed, or no cluster is named.
    UnionRpcError
        When it does not answer, or does not know who asks.
    """
    before = remembered()
    try:
        made = connect(Path(config) if config else None, **given)
        return _record(made, _names(session, made))
    except BaseException:
        remember(before)
        raise


def configured(session: Session) -> ClusterRecord | str:
    """Say how it stands with the cluster that is configured; a text where there is none."""
    try:
        known = connected()
    except InitializationError as error:
        return f"no cluster is connected: {error}" if error.code == "PackageMissing" else str(error)
    try:
        return _record(known, _names(session, known))
    except FlyteError as error:
        return _record(known, None, str(error))


def _names(session: Session, connection: Connection) -> list[str]:
    job = session.portal.submit(projects.names(connection, PATIENCE))
    try:
        return job.done.result()
    except BaseException:
        job.cancel()
        raise


def _record(connection: Connection, names: list[str] | None, why: str = "") -> ClusterRecord:
    return ClusterRecord(
        endpoint=connection.endpoint,
        source=_SOURCES.get(connection.source, connection.source),
        project=connection.project or "",
        domain=connection.domain or "",
        org=remembered().org or "",
        version=sdk.version(),
        is_tested=sdk.version() in sdk.TESTED,
        projects=None if names is None else tuple(names),
        is_whole=names is not None and len(names) < projects.MOST,
        why=why,
    )
