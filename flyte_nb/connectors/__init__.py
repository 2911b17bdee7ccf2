"""Connectors: classes that run jobs elsewhere, how they are registered and served, and tasks that run through one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyte_nb.connectors import utils
from flyte_nb.connectors.connector import (
    AsyncConnector,
    ConnectorRegistry,
    FlyteConnectorNotFound,
    Resource,
    ResourceMeta,
)
from flyte_nb.connectors.endpoints import Endpoints
from flyte_nb.connectors.executor import AsyncConnectorExecutorMixin
from flyte_nb.connectors.utils import JobPhase

if TYPE_CHECKING:
    from flyte_nb.connectors.client import ConnectorClient
    from flyte_nb.connectors.server import ConnectorService

__all__ = [
    "AsyncConnector",
    "AsyncConnectorExecutorMixin",
    "ConnectorClient",
    "ConnectorRegistry",
    "ConnectorService",
    "Endpoints",
    "FlyteConnectorNotFound",
    "JobPhase",
    "Resource",
    "ResourceMeta",
    "utils",
]


def __getattr__(name: str) -> Any:
    """Import what needs the extra ``connectors``, or an event loop, when it is first used."""
    if name == "ConnectorService":
        from flyte_nb.connectors.server import ConnectorService

        return ConnectorService
    if name == "ConnectorClient":
        from flyte_nb.connectors.extra import insist

        insist("a ConnectorClient")
        from flyte_nb.connectors.client import ConnectorClient

        return ConnectorClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
