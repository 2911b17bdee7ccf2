"""Connectors: what a class that runs jobs elsewhere consists of, and where it is found."""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from flyte_nb.errors import UnknownNameError, UsageError, UsageTypeError

__all__ = ["AsyncConnector", "ConnectorRegistry", "FlyteConnectorNotFound", "Resource", "ResourceMeta"]


class FlyteConnectorNotFound(UnknownNameError):  # noqa: N818 - the Flyte SDK's name
    """No connector is registered for a task type and version."""


@dataclass
class ResourceMeta:
    """What a connector needs to find a job again; subclasses are dataclasses whose fields are JSON data."""

    def encode(self) -> bytes:
        """Give the fields as JSON."""
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def decode(cls: type[Meta], data: bytes) -> Meta:
        """Make it from what `encode` gave."""
        return cls(**json.loads(data))


Meta = TypeVar("Meta", bound=ResourceMeta)


@dataclass
class Resource:
    """A job as it is now.

    Parameters
    ----------
    phase : JobPhase
        Where it stands; ``JobPhase.of`` says what else is taken for one.
    message : str, optional
        What is to be said about it.
    log_links : list, optional
        Where its logs are.
    outputs : dict, optional
        What it gave, by name.
    custom_info : dict, optional
        Anything else.
    """

    phase: Any
    message: str | None = None
    log_links: list[Any] | None = None
    outputs: dict[str, Any] | None = None
    custom_info: dict[str, Any] | None = None


class AsyncConnector(ABC, Generic[Meta]):
    """Creates, watches and deletes jobs of one type elsewhere."""

    name: ClassVar[str] = "Async Connector"
    task_type_name: ClassVar[str]
    task_type_version: ClassVar[int] = 0
    metadata_type: ClassVar[type[ResourceMeta]]

    @abstractmethod
    async def create(
        self,
        task_template: Any,
        output_prefix: str,
        inputs: dict[str, Any] | None = None,
        task_execution_metadata: Any = None,
        **kwargs: Any,
    ) -> Meta:
        """Start a job, and give what it is found again with."""

    @abstractmethod
    async def get(self, resource_meta: Meta, **kwargs: Any) -> Resource:
        """Give the job as it is now."""

    @abstractmethod
    async def delete(self, resource_meta: Meta, **kwargs: Any) -> None:
        """End the job; ending it again does nothing."""

    async def get_metrics(self, resource_meta: Meta, **kwargs: Any) -> Any:
        """Give the job's metrics; optional.

        Raises
        ------
        NotImplementedError
            When the connector has none.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no metrics")

    async def get_logs(self, resource_meta: Meta, **kwargs: Any) -> Any:
        """Give the job's logs; optional.

        Raises
        ------
        NotImplementedError
            When the connector has none.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no logs")


class ConnectorRegistry:
    """The connectors known to this process, by task type and version."""

    _known: dict[tuple[str, int], AsyncConnector[Any]] = {}

    @staticmethod
    def register(connector: AsyncConnector[Any], override: bool = False) -> None:
        """Make a connector known; one whose class was defined again, by a cell that ran again, replaces the older.

        Raises
        ------
        TypeError
            When it is not a connector.
        ValueError
            When its task type and version have one, unless ``override``.
        """
        if not isinstance(connector, AsyncConnector):
            raise UsageTypeError(f"ConnectorRegistry.register: given {connector!r:.80}; accepted: an AsyncConnector")
        key = (connector.task_type_name, connector.task_type_version)
        if key in ConnectorRegistry._known and not override and not _again(ConnectorRegistry._known[key], connector):
            raise UsageError(
                f"task type {key[0]!r}, version {key[1]}, has the connector {ConnectorRegistry._known[key].name!r}; "
                "override=True replaces it"
            )
        ConnectorRegistry._known[key] = connector

    @staticmethod
    def known() -> dict[tuple[str, int], AsyncConnector[Any]]:
        """Give the connectors by task type and version."""
        return dict(ConnectorRegistry._known)

    @staticmethod
    def get_connector(task_type_name: str, task_type_version: int = 0) -> AsyncConnector[Any]:
        """Give the connector of a task type.

        Raises
        ------
        FlyteConnectorNotFound
            When there is none; a ``ValueError``.
        """
        key = (task_type_name, task_type_version)
        if key not in ConnectorRegistry._known:
            known = [f"{name} (version {version})" for name, version in ConnectorRegistry._known]
            raise FlyteConnectorNotFound("connector", f"{task_type_name} (version {task_type_version})", known)
        return ConnectorRegistry._known[key]


def _again(known: object, given: object) -> bool:
    """Tell whether the class of one is a newer definition of the class of the other."""
    old, new = type(known), type(given)
    return old is not new and (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)
