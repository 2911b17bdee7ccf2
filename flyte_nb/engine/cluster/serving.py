"""Serving: the apps of a translation at a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.connection import Connection
from flyte_nb.engine.cluster.containers import Wanted, as_served
from flyte_nb.engine.cluster.deploying import UPLOAD, uploaded
from flyte_nb.engine.cluster.seen import Seen, seen_of
from flyte_nb.engine.cluster.translation import Translation

__all__ = ["deployed"]


async def deployed(
    connection: Connection,
    translation: Translation,
    version: str,
    wanted: Mapping[str, Wanted],
    hear: Callable[[str], None] = lambda said: None,
) -> dict[str, Seen]:
    """Upload the code of apps, and have a cluster serve them: new ones, and those that have changed.

    Parameters
    ----------
    connection : Connection
        The cluster.
    translation : Translation
        The apps, and what they depend on, as the SDK has them.
    version : str
        The version of their code.
    wanted : mapping of str to Wanted
        Which of the apps, each after those that it needs, and what is wanted of each.
    hear : callable
        Takes what is done, in words.

    Raises
    ------
    UnionRpcError
        When the cluster refuses one, or cannot be asked; those before it are deployed.
    """
    context = await connection.call(
        "uploading the code", uploaded, translation, connection, version, patience=UPLOAD, hear=hear
    )
    found = {}
    for name, one in wanted.items():
        app = await connection.call(f"deploying app {name!r}", _deployed, translation, name, one, context, hear=hear)
        found[name] = seen_of(connection, app)
    return found


async def _deployed(translation: Translation, name: str, wanted: Wanted, context: Any) -> Any:
    deploy = sdk.find("flyte.app._deploy._deploy_app")
    async with as_served(translation, name, wanted) as env:
        return await deploy(env, context)
