"""Connectors: classes that run jobs elsewhere, how they are registered, and tasks that run through one.

The gRPC service that offers them to a cluster is not part of this package yet.
"""

from flyte_nb.connectors import utils
from flyte_nb.connectors.connector import (
    AsyncConnector,
    ConnectorRegistry,
    FlyteConnectorNotFound,
    Resource,
    ResourceMeta,
)
from flyte_nb.connectors.executor import AsyncConnectorExecutorMixin
from flyte_nb.connectors.utils import JobPhase

__all__ = [
    "AsyncConnector",
    "AsyncConnectorExecutorMixin",
    "ConnectorRegistry",
    "FlyteConnectorNotFound",
    "JobPhase",
    "Resource",
    "ResourceMeta",
    "utils",
]
