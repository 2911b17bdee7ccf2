"""Answers: what a connector gives, as the protocol's messages, and the other way round."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

from flyteidl2.connector import connector_pb2 as pb
from flyteidl2.core import execution_pb2, metrics_pb2
from flyteidl2.logs.dataplane import payload_pb2
from flyteidl2.task import common_pb2

from flyte_nb.connectors.connector import Resource
from flyte_nb.connectors.literal_types import dict_of, struct_of
from flyte_nb.connectors.literals import from_literals, to_literals
from flyte_nb.connectors.utils import JobPhase
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import UsageError, UsageTypeError

__all__ = ["log_responses", "message_of", "metrics_response", "resource_of", "texts_of"]


def message_of(resource: Any, connector: str) -> pb.Resource:
    """Give the message for what ``get`` returned.

    Raises
    ------
    UsageError
        When it is not a `Resource`, or its phase is none.
    RuntimeDataValidationError
        For an output that cannot be written.
    """
    if not isinstance(resource, Resource):
        raise UsageTypeError(f"{connector}.get returned {resource!r:.80}; accepted: a Resource")
    return pb.Resource(
        phase=int(JobPhase.of(resource.phase)),
        message=resource.message,
        log_links=[_link(link) for link in resource.log_links or ()],
        outputs=_outputs(resource.outputs, connector),
        custom_info=struct_of(resource.custom_info) if resource.custom_info else None,
    )


def _outputs(given: Any, connector: str) -> common_pb2.Outputs | None:
    if not given or isinstance(given, common_pb2.Outputs):
        return given or None
    values = dict(given) if isinstance(given, dict) else dict(given.literals)  # a LiteralMap
    return common_pb2.Outputs(literals=to_literals(values, {}, f"what {connector} gave"))


def _link(given: Any) -> execution_pb2.TaskLog:
    """Give the message for a link: one of the protocol's, an address, or a name and an address."""
    if isinstance(given, execution_pb2.TaskLog):
        return given
    if isinstance(given, str):
        return execution_pb2.TaskLog(name="log", uri=given)
    if isinstance(given, tuple | list) and len(given) == 2:
        return execution_pb2.TaskLog(name=str(given[0]), uri=str(given[1]))
    uri = getattr(given, "uri", None)
    if uri is None:
        raise UsageTypeError(f"log_links: given {given!r:.80}; accepted: an address, or a name and an address")
    return execution_pb2.TaskLog(name=str(getattr(given, "name", "log")), uri=str(uri))


def resource_of(message: pb.Resource, task: TaskTemplate) -> Resource:
    """Give what a server tells of a job; its outputs as the types that the task declares, by name or else in order.

    Raises
    ------
    UsageError
        When the phase is none.
    RuntimeDataValidationError
        For an output that does not have its type.
    """
    if message.phase not in list(JobPhase):
        raise UsageError(f"the connector server told the phase {message.phase}; accepted: {[*map(int, JobPhase)]}")
    literals, kinds = message.outputs.literals, task.interface.outputs
    if kinds.keys() != {literal.name for literal in literals}:
        kinds = dict(zip((literal.name for literal in literals), kinds.values(), strict=False))
    return Resource(
        JobPhase(message.phase),
        message.message or None,
        list(message.log_links),
        from_literals(literals, kinds, task.name, trusted=True) or None,
        dict_of(message.custom_info) if message.HasField("custom_info") else None,
    )


async def log_responses(given: Any) -> AsyncIterator[pb.GetTaskLogsResponse]:
    """Give the messages for what ``get_logs`` returned: an async generator of parts, or one part to be awaited.

    A part is a message of the protocol, a text, or a list of texts.
    """
    if inspect.isasyncgen(given):
        async for part in given:
            yield _log_response(part)
    else:
        yield _log_response(await given)


def _log_response(part: Any) -> pb.GetTaskLogsResponse:
    if isinstance(part, pb.GetTaskLogsResponse):
        return part
    texts = part.splitlines() if isinstance(part, str) else [str(text) for text in part]
    lines = [payload_pb2.LogLine(message=text, originator=payload_pb2.LogLineOriginator.USER) for text in texts]
    return pb.GetTaskLogsResponse(body=pb.GetTaskLogsResponseBody(results=texts, lines=lines))


def texts_of(response: pb.GetTaskLogsResponse) -> list[str]:
    """Give the lines of a part of a log."""
    lines = [line.message for line in response.body.lines]
    return lines or list(response.body.results)


def metrics_response(given: Any) -> pb.GetTaskMetricsResponse:
    """Give the message for what ``get_metrics`` returned: one of the protocol's, or JSON data by metric."""
    if isinstance(given, pb.GetTaskMetricsResponse):
        return given
    rows = {name: data if isinstance(data, dict) else {"value": data} for name, data in dict(given).items()}
    results = [metrics_pb2.ExecutionMetricResult(metric=name, data=struct_of(data)) for name, data in rows.items()]
    return pb.GetTaskMetricsResponse(results=results)
