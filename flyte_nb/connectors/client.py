"""ConnectorClient: speaks to a connector server, this package's or the Flyte SDK's, over gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import grpc
from flyteidl2.connector import connector_pb2 as pb
from flyteidl2.connector.service_pb2_grpc import AsyncConnectorServiceStub, ConnectorMetadataServiceStub
from flyteidl2.core import security_pb2, tasks_pb2
from flyteidl2.task import common_pb2

from flyte_nb.connectors.answers import texts_of
from flyte_nb.connectors.connector import FlyteConnectorNotFound
from flyte_nb.connectors.literal_types import dict_of
from flyte_nb.errors import BaseRuntimeError, RuntimeSystemError, RuntimeUserError

__all__ = ["ConnectorClient"]

DEADLINE = 60.0  # seconds that a connector has to answer one request
PATIENCE = 10.0  # seconds that a server which has gone away has to come back
CONNECT = 2.0  # seconds for which the first connection may be refused
WAKE = 60.0  # seconds that a server which sleeps has to take it
SHORTEST, LONGEST = 0.05, 1.0  # seconds between two tries
_RECONNECT = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]


class ConnectorClient:
    """A connection to one connector server; used with ``async with``, in the event loop that it was made in.

    Parameters
    ----------
    address : str
        ``host:port``.
    deadline : float
        Seconds that the server has to answer one request.
    token : str, optional
        What the server asks for, if it does.
    patience : float, optional
        Seconds for which requests that may be repeated are tried again when nobody answers; 10 by default.
    """

    def __init__(
        self, address: str, deadline: float = DEADLINE, patience: float | None = None, token: str | None = None
    ) -> None:
        self.address, self._deadline = address, deadline
        self._patience = PATIENCE if patience is None else patience
        shown = f"Bearer {token}".encode("ascii", "backslashreplace").decode()  # as gRPC wants it
        self._told = (("authorization", shown),) if token else ()
        self._channel = grpc.aio.insecure_channel(address, options=_RECONNECT)
        self._jobs = AsyncConnectorServiceStub(self._channel)
        self._metadata = ConnectorMetadataServiceStub(self._channel)

    async def __aenter__(self) -> ConnectorClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def connectors(self) -> dict[str, list[tuple[str, int]]]:
        """Give the connectors that the server has: by name, their task types and versions.

        Raises
        ------
        RuntimeSystemError
            When nobody answers.
        """
        told = await self._repeated("list connectors", self._metadata.ListConnectors, pb.ListConnectorsRequest())
        return {c.name: [(t.name, t.version) for t in c.supported_task_categories] for c in told.connectors}

    async def create(
        self,
        template: tasks_pb2.TaskTemplate,
        inputs: Iterable[common_pb2.NamedLiteral],
        output_prefix: str,
        secrets: Mapping[str, str],
    ) -> bytes:
        """Start a job; give what it is found again with. It is asked for once: it is not known to start only one.

        Parameters
        ----------
        template, inputs
            The task, and its inputs, as the protocol has them.
        output_prefix : str
            Where the job may leave data.
        secrets : mapping
            The values of secrets, by the connector's keyword.

        Raises
        ------
        FlyteConnectorNotFound
            When the server has no connector for the task type.
        RuntimeUserError
            When the connector refused or failed.
        RuntimeSystemError
            When nobody answers, or not in time.
        """
        category = (template.type, template.task_type_version)
        request = pb.CreateTaskRequest(
            template=template,
            inputs=common_pb2.Inputs(literals=inputs),
            output_prefix=output_prefix,
            connection=_connection(secrets),
        )
        await self._connected()
        return bytes((await self._once("create", self._jobs.CreateTask, request, category)).resource_meta)

    async def get(self, category: tuple[str, int], job: bytes, secrets: Mapping[str, str]) -> pb.Resource:
        """Give a job as it is now, as the protocol has it; raises as `create`."""
        request = pb.GetTaskRequest(
            task_category=_category(category), resource_meta=job, connection=_connection(secrets)
        )
        return (await self._repeated("get", self._jobs.GetTask, request, category)).resource

    async def delete(self, category: tuple[str, int], job: bytes, secrets: Mapping[str, str]) -> None:
        """End a job; raises as `create`."""
        request = pb.DeleteTaskRequest(
            task_category=_category(category), resource_meta=job, connection=_connection(secrets)
        )
        await self._repeated("delete", self._jobs.DeleteTask, request, category)

    async def logs(self, category: tuple[str, int], job: bytes, token: str = "") -> AsyncIterator[str]:
        """Give the lines of a job's log; raises as `create`, and NotImplementedError where the connector has none."""
        request = pb.GetTaskLogsRequest(task_category=_category(category), resource_meta=job, token=token)
        try:
            async for part in self._jobs.GetTaskLogs(request, timeout=self._deadline, metadata=self._told):
                for text in texts_of(part):
                    yield text
        except grpc.aio.AioRpcError as error:
            raise await self._meaning(error, "get logs of", category) from None

    async def metrics(self, category: tuple[str, int], job: bytes) -> dict[str, Any]:
        """Give a job's metrics by name; raises as `logs`."""
        request = pb.GetTaskMetricsRequest(task_category=_category(category), resource_meta=job)
        told = await self._repeated("get metrics of", self._jobs.GetTaskMetrics, request, category)
        return {result.metric: dict_of(result.data) for result in told.results}

    # --- one request ---

    async def _connected(self) -> None:
        """Wait until there is a connection: a request that must not be sent twice needs one."""
        ready, failing = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE
        began, refused = time.monotonic(), 0.0
        while (state := self._channel.get_state(try_to_connect=True)) is not ready:
            waited = time.monotonic() - began
            refused = refused or (time.monotonic() if state is failing else 0.0)
            if waited > WAKE or (refused and time.monotonic() - refused > CONNECT):
                raise self._nobody(f"{waited:.1f} s")
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._channel.wait_for_state_change(state), 0.2)

    async def _once(self, operation: str, call: Callable[..., Any], request: Any, category: tuple[str, int]) -> Any:
        try:
            return await call(request, timeout=self._deadline, metadata=self._told)
        except grpc.aio.AioRpcError as error:
            raise await self._meaning(error, operation, category) from None

    async def _repeated(
        self, operation: str, call: Callable[..., Awaitable[Any]], request: Any, category: tuple[str, int] = ("", 0)
    ) -> Any:
        """Ask again while nobody answers, for a bounded time: a server may be about to start again."""
        began, pause = time.monotonic(), SHORTEST
        while True:
            try:
                return await call(request, timeout=self._deadline, metadata=self._told)
            except grpc.aio.AioRpcError as error:
                waited = time.monotonic() - began
                if error.code() is not grpc.StatusCode.UNAVAILABLE or waited > self._patience:
                    raise await self._meaning(error, operation, category, waited) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)

    async def _meaning(
        self, error: grpc.aio.AioRpcError, operation: str, category: tuple[str, int], waited: float = 0.0
    ) -> Exception:
        """Give what a status means to whoever runs a task."""
        code, details = error.code(), error.details() or ""
        if code is grpc.StatusCode.UNAVAILABLE:
            return self._nobody(f"{waited:.1f} s: {details}" if waited else details)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            text = f"the connector server at {self.address} did not {operation} the job within {self._deadline:g} s"
            return RuntimeSystemError("ConnectorTimeout", text)
        if code is grpc.StatusCode.NOT_FOUND:
            known = [one for types in (await self.connectors()).values() for one in types]
            return FlyteConnectorNotFound(f"connector at {self.address}", _told(category), map(_told, known))
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return RuntimeUserError("ConnectorRefused", f"the connector server at {self.address} {details}")
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return NotImplementedError(details)
        if code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNKNOWN):
            return RuntimeUserError("ConnectorFailed", f"the connector server at {self.address} {details}")
        return RuntimeSystemError("ConnectorFailed", f"the connector server at {self.address}: {code.name}: {details}")

    def _nobody(self, why: str) -> BaseRuntimeError:
        text = f"no connector server answers at {self.address} ({why}); is it running, and is that its port?"
        return RuntimeSystemError("ConnectorUnavailable", text)


def _told(category: tuple[str, int]) -> str:
    return f"{category[0]} (version {category[1]})"


def _category(category: tuple[str, int]) -> pb.TaskCategory:
    return pb.TaskCategory(name=category[0], version=category[1])


def _connection(secrets: Mapping[str, str]) -> security_pb2.Connection | None:
    return security_pb2.Connection(secrets=dict(secrets)) if secrets else None
