"""Projects: those of a control plane, by name."""

from __future__ import annotations

from collections.abc import Sequence

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.connection import Connection

__all__ = ["names", "told"]

MOST = 100
_SHOWN = 8


async def names(connection: Connection, seconds: float | None = None) -> list[str]:
    """Ask for the names of the projects, at most 100, within some seconds.

    Raises
    ------
    UnionRpcError
        When they cannot be asked for; its ``code`` says how.
    """
    asked = "listing its projects"
    patience = connection.patience if seconds is None else seconds
    found: list[str] = await connection.call(asked, _names, patience=patience)
    return found


def told(found: Sequence[str]) -> str:
    """Word how many projects there are, and which."""
    if not found:
        return "none that it shows"
    count = f"{MOST} or more" if len(found) >= MOST else str(len(found))
    return f"{count}: {', '.join(found[:_SHOWN])}{' …' if len(found) > _SHOWN else ''}"


async def _names() -> list[str]:
    found: list[str] = []
    async for project in sdk.find("flyte.remote.Project").listall.aio():
        found.append(str(project.pb2.id))
        if len(found) == MOST:
            break
    return found
