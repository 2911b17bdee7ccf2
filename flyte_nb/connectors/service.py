"""Service: the registered connectors behind gRPC, as Flyte's connector service has them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any

import grpc
from flyteidl2.connector import connector_pb2 as pb
from flyteidl2.connector.service_pb2_grpc import AsyncConnectorServiceServicer, ConnectorMetadataServiceServicer
from flyteidl2.core import security_pb2

from flyte_nb import tracebacks
from flyte_nb.connectors.answers import log_responses, message_of, metrics_response
from flyte_nb.connectors.connector import AsyncConnector, ConnectorRegistry, FlyteConnectorNotFound
from flyte_nb.connectors.literal_types import kind_of_type
from flyte_nb.connectors.literals import from_literals
from flyte_nb.connectors.metrics import measured, note_failure, note_inputs
from flyte_nb.errors import RuntimeDataValidationError

__all__ = ["Connectors", "Metadata"]

# The names of the methods are the protocol's.
# ruff: noqa: N802

_Context = Any  # grpc.aio.ServicerContext, which is generic in its stubs only


class Connectors(AsyncConnectorServiceServicer):  # type: ignore[misc]
    """Creates, watches and deletes jobs through the connector of their task type."""

    async def CreateTask(self, request: pb.CreateTaskRequest, context: _Context) -> pb.CreateTaskResponse:
        """Start a job."""
        task_type = request.template.type
        note_inputs(task_type, request.inputs.ByteSize())

        async def create() -> pb.CreateTaskResponse:
            connector = ConnectorRegistry.get_connector(task_type, request.template.task_type_version)
            kinds = {entry.key: kind_of_type(entry.value.type) for entry in request.template.interface.inputs.variables}
            job = await connector.create(
                task_template=request.template,
                output_prefix=request.output_prefix,
                inputs=from_literals(request.inputs.literals, kinds, request.template.id.name or task_type),
                task_execution_metadata=request.task_execution_metadata,
                **_given(request.connection),
            )
            return pb.CreateTaskResponse(resource_meta=job.encode())

        return await _answered("create", task_type, create, context, request.connection)

    async def GetTask(self, request: pb.GetTaskRequest, context: _Context) -> pb.GetTaskResponse:
        """Tell a job as it is now."""

        async def get() -> pb.GetTaskResponse:
            connector, job = _job(request)
            resource = await connector.get(resource_meta=job, **_given(request.connection))
            return pb.GetTaskResponse(resource=message_of(resource, type(connector).__name__))

        return await _answered("get", request.task_category.name, get, context, request.connection)

    async def DeleteTask(self, request: pb.DeleteTaskRequest, context: _Context) -> pb.DeleteTaskResponse:
        """End a job."""

        async def delete() -> pb.DeleteTaskResponse:
            connector, job = _job(request)
            await connector.delete(resource_meta=job, **_given(request.connection))
            return pb.DeleteTaskResponse()

        return await _answered("delete", request.task_category.name, delete, context, request.connection)

    async def GetTaskMetrics(self, request: pb.GetTaskMetricsRequest, context: _Context) -> pb.GetTaskMetricsResponse:
        """Tell the metrics of a job."""

        async def get_metrics() -> pb.GetTaskMetricsResponse:
            connector, job = _job(request)
            return metrics_response(await connector.get_metrics(resource_meta=job))

        return await _answered("get metrics of", request.task_category.name, get_metrics, context)

    async def GetTaskLogs(
        self, request: pb.GetTaskLogsRequest, context: _Context
    ) -> AsyncIterator[pb.GetTaskLogsResponse]:
        """Tell the log of a job, part by part."""
        try:
            connector, job = _job(request)
            async for part in log_responses(connector.get_logs(resource_meta=job, token=request.token)):
                yield part
        except Exception as error:  # the connector's own code
            await _refuse(error, "get logs of", request.task_category.name, context, ())


class Metadata(ConnectorMetadataServiceServicer):  # type: ignore[misc]
    """Tells which connectors there are."""

    async def GetConnector(self, request: pb.GetConnectorRequest, context: _Context) -> pb.GetConnectorResponse:
        """Tell one connector, by its name."""
        found = [connector for connector in _listed() if connector.name == request.name]
        if not found:
            known = ", ".join(connector.name for connector in _listed()) or "none"
            text = f"Cannot find connector for name: {request.name}. This server has: {known}"
            await context.abort(grpc.StatusCode.NOT_FOUND, text)
        return pb.GetConnectorResponse(connector=found[0])

    async def ListConnectors(self, request: pb.ListConnectorsRequest, context: _Context) -> pb.ListConnectorsResponse:
        """Tell all connectors."""
        return pb.ListConnectorsResponse(connectors=_listed())


def _listed() -> list[pb.Connector]:
    """List the connectors by name, each with the task types that it has."""
    named: dict[str, list[pb.TaskCategory]] = {}
    for (task_type, version), connector in ConnectorRegistry.known().items():
        named.setdefault(connector.name, []).append(pb.TaskCategory(name=task_type, version=version))
    return [pb.Connector(name=name, supported_task_categories=categories) for name, categories in named.items()]


def _job(request: Any) -> tuple[AsyncConnector[Any], Any]:
    """Give the connector and the job that a request is about."""
    connector = ConnectorRegistry.get_connector(request.task_category.name, request.task_category.version)
    return connector, connector.metadata_type.decode(request.resource_meta)


def _given(connection: security_pb2.Connection) -> dict[str, str]:
    """Give what a connector is told of a connection: its secrets and its settings, as keywords."""
    return {**connection.secrets, **connection.configs}


async def _answered(
    operation: str,
    task_type: str,
    answer: Callable[[], Awaitable[Any]],
    context: _Context,
    connection: security_pb2.Connection | None = None,
) -> Any:
    """Answer a request, or end it with the status of what failed it."""
    try:
        with measured(task_type, operation):
            return await answer()
    except Exception as error:  # the connector's own code
        hidden = tuple(connection.secrets.values()) if connection is not None else ()
        await _refuse(error, operation, task_type, context, hidden)


async def _refuse(error: Exception, operation: str, task_type: str, context: _Context, hidden: tuple[str, ...]) -> None:
    """End a request with the status and the words for what failed it; secrets are taken out of them."""
    code, status = grpc.StatusCode.INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR
    text = f"failed to {operation} {task_type} task with error:\n {type(error).__name__}: {error}."
    if isinstance(error, FlyteConnectorNotFound):
        code, status = grpc.StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND
        text = f"Cannot find connector for task type: {task_type}. This server: {error}"
    elif isinstance(error, NotImplementedError):
        code, status = grpc.StatusCode.UNIMPLEMENTED, HTTPStatus.NOT_IMPLEMENTED
    elif isinstance(error, RuntimeDataValidationError):
        code, status = grpc.StatusCode.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST
    trace = tracebacks.told(tracebacks.frames(error.__traceback__))
    for value in filter(None, hidden):
        text, trace = text.replace(value, "•••"), trace.replace(value, "•••")
    print("\n".join(filter(None, (text, trace))), file=sys.stderr, flush=True)
    note_failure(task_type, operation, status)
    await context.abort(code, text)
