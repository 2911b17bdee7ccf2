"""Jobs: what a task of a connector has become — started, looked at and ended, in this process or through a server."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from flyte_nb.connectors.connector import AsyncConnector, ConnectorRegistry, Resource
from flyte_nb.connectors.endpoints import Endpoint, Endpoints
from flyte_nb.connectors.extra import insist
from flyte_nb.context.task_context import TaskContext
from flyte_nb.environments.template import TaskTemplate

if TYPE_CHECKING:
    from flyte_nb.connectors.client import ConnectorClient

__all__ = ["Around", "Job", "around", "start", "text_of"]


def text_of(link: Any) -> str:
    """Word a link to a log: its name and its address."""
    name, uri = link if isinstance(link, tuple | list) else (getattr(link, "name", ""), getattr(link, "uri", link))
    return f"{name or 'log'}: {uri}"


def _log(resource: Resource) -> None:
    for link in resource.log_links or ():
        logging.getLogger("flyte").info(text_of(link))


@dataclass(frozen=True)
class Around:
    """What a task of a connector has around it.

    Parameters
    ----------
    variables : mapping
        Environment variables: the values of its secrets, and the address of a server.
    tell : callable
        Hears of each look at the job.
    """

    variables: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    tell: Callable[[Resource], object] = _log


#: set by an engine, around the task
around: ContextVar[Around | None] = ContextVar("around", default=None)


class Job(Protocol):
    """A job that has been started."""

    async def look(self) -> Resource:
        """Give it as it is now."""

    async def delete(self) -> None:
        """End it."""

    async def close(self) -> None:
        """Let go of what it was looked at through."""


async def start(
    task: TaskTemplate, inputs: dict[str, Any], context: TaskContext, secrets: dict[str, str], given: Around
) -> Job:
    """Start the job of a task: through the server that serves its type, else through its connector in this process.

    Raises
    ------
    FlyteConnectorNotFound
        When nothing here knows the task type, or the server does not.
    InitializationError
        When the extra ``connectors`` is not installed.
    """
    insist(f"{task.name}, which runs through a connector,")
    from flyte_nb.connectors.templates import template_of

    endpoint = await Endpoints.find(task.task_type, task.task_type_version, given.variables)
    if endpoint is not None:
        return await _start_served(endpoint, task, inputs, context, secrets)
    connector = ConnectorRegistry.get_connector(task.task_type, task.task_type_version)
    template = template_of(task, context, inputs)
    job = await connector.create(
        task_template=template, output_prefix=context.raw_data_path.path, inputs=inputs, **secrets
    )
    return _Here(connector, job, secrets)


@dataclass(frozen=True)
class _Here:
    """A job whose connector is in this process."""

    connector: AsyncConnector[Any]
    job: Any
    secrets: dict[str, str] = field(repr=False)

    async def look(self) -> Resource:
        return await self.connector.get(self.job, **self.secrets)

    async def delete(self) -> None:
        await self.connector.delete(self.job, **self.secrets)

    async def close(self) -> None:
        """Hold nothing."""


async def _start_served(
    endpoint: Endpoint, task: TaskTemplate, inputs: dict[str, Any], context: TaskContext, secrets: dict[str, str]
) -> Job:
    from flyte_nb.connectors.client import ConnectorClient
    from flyte_nb.connectors.literals import to_literals
    from flyte_nb.connectors.templates import template_of

    literals = to_literals(inputs, task.interface.get_input_types(), task.name)
    client = ConnectorClient(endpoint.address, token=endpoint.token)
    try:
        template = template_of(task, context, inputs)
        job = await client.create(template, literals, context.raw_data_path.path, secrets)
    except BaseException:
        await client.close()
        raise
    return _Served(client, task, job, secrets)


@dataclass(frozen=True)
class _Served:
    """A job whose connector is behind a server."""

    client: ConnectorClient
    task: TaskTemplate
    job: bytes
    secrets: dict[str, str] = field(repr=False)

    @property
    def _category(self) -> tuple[str, int]:
        return self.task.task_type, self.task.task_type_version

    async def look(self) -> Resource:
        from flyte_nb.connectors.answers import resource_of

        return resource_of(await self.client.get(self._category, self.job, self.secrets), self.task)

    async def delete(self) -> None:
        await self.client.delete(self._category, self.job, self.secrets)

    async def close(self) -> None:
        await self.client.close()
