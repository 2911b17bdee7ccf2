"""Cluster serving: what ``flyte.serve(…, engine="cluster")`` does, and the apps that a cluster has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from flyte_nb.app_specs import insist_on_a_program, insist_on_parameters, log_variables
from flyte_nb.cluster_app import START, ClusterApp
from flyte_nb.engine.cluster import served
from flyte_nb.engine.cluster.connection import Connection, connected
from flyte_nb.engine.cluster.containers import Wanted
from flyte_nb.engine.cluster.seen import Seen
from flyte_nb.engine.cluster.serving import deployed
from flyte_nb.engine.cluster.translation import Translation, translation_of
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.errors import UnionRpcError, UnknownNameError
from flyte_nb.session import Session

if TYPE_CHECKING:
    from flyte_nb.serve_context import ServeContext

__all__ = ["Asked", "all_apps", "app_named", "serve_there"]

#: hears how a start goes: a line of text
Tell = Callable[[str], None]


class Asked:
    """Apps that a cluster is to serve, as they are declared now.

    Parameters
    ----------
    session : Session
        What they are declared in.
    apps : list of AppEnvironment
        Each after those that it needs; the one asked for is the last.
    how : ServeContext
        How.

    Raises
    ------
    UsageError
        When one has nothing to serve with.
    SliceError, DeploymentError
        When something they read cannot leave the kernel, or a file that they include is not there.
    UnknownNameError
        When a value is given for a parameter that an app does not have.
    """

    def __init__(self, session: Session, apps: list[AppEnvironment], how: ServeContext) -> None:
        self.session, self.name, self.how = session, apps[-1].name, how
        self.wanted = {app.name: _wanted(app, how) for app in apps}
        self.version = how.version or session.shipping.bundle(apps).version
        self.project = session.shipping.for_sdk(apps)

    def translated(self) -> Translation:
        """Give them as the SDK has them."""
        return translation_of(self.project, self.session.store.modules)


def _wanted(app: AppEnvironment, how: ServeContext) -> Wanted:
    insist_on_a_program(app)
    values = (how.parameter_values or {}).get(app.name, {})
    insist_on_parameters(app, values)
    return Wanted({**log_variables(how), **(how.env_vars or {})}, values, how.cluster_pool, how.cluster)


async def serve_there(asked: Asked, connection: Connection, tell: Tell) -> ClusterApp:
    """Have the cluster serve apps, and wait until the one asked for answers.

    Raises
    ------
    DeploymentError
        When the installed SDK cannot express one of them.
    RuntimeUserError
        When it does not start: it failed, or is not active in time. It is still there.
    UnionRpcError
        When the cluster refuses one, or cannot be asked.
    """
    how = asked.how
    connection = replace(connection, project=how.project or connection.project, domain=how.domain or connection.domain)
    translation = await asyncio.to_thread(asked.translated)
    loop = asyncio.get_running_loop()

    def hear(said: str) -> None:
        loop.call_soon_threadsafe(tell, said)

    patience = how.activate_timeout or START
    await deployed(connection, translation, asked.version, asked.wanted, hear)
    seen = await served.settled(connection, asked.name, "active", patience, lambda seen: tell(_told(seen)))
    return ClusterApp(asked.session.portal, connection, seen, patience)


def _told(seen: Seen) -> str:
    return f"{seen.phase}: {seen.why}" if seen.why and seen.why != seen.phase else seen.phase


def app_named(session: Session, name: str) -> ClusterApp:
    """Give an app of the connected cluster, whoever had it served.

    Raises
    ------
    UnknownNameError
        When the project has no app of that name.
    InitializationError, UnionRpcError
        When no cluster is known, or it cannot be asked.
    """
    connection = connected()
    try:
        seen = session.portal.submit(served.look(connection, name)).done.result()
    except UnionRpcError as error:
        if error.code != "NotFound":
            raise
        known = [app.name for app in _listed(session, connection)]
        raise UnknownNameError(f"app in {connection.project}/{connection.domain}", name, known) from None
    return ClusterApp(session.portal, connection, seen)


def all_apps(session: Session) -> list[ClusterApp]:
    """Give the apps of the project that this process is connected to.

    Raises
    ------
    InitializationError, UnionRpcError
        When no cluster is known, or it cannot be asked.
    """
    connection = connected()
    return [ClusterApp(session.portal, connection, seen) for seen in _listed(session, connection)]


def _listed(session: Session, connection: Connection) -> Iterable[Seen]:
    return session.portal.submit(served.listed(connection)).done.result()
