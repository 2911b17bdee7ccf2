"""AsyncConnectorExecutorMixin: a task whose work a connector does, run from this machine."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Any

from flyte_nb.connectors.connector import AsyncConnector, ConnectorRegistry, Resource
from flyte_nb.connectors.utils import JobPhase, is_terminal_phase
from flyte_nb.context.records import SerializationContext
from flyte_nb.context.task_context import TaskContext, current_context
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.errors import (
    ActionAbortedError,
    BaseRuntimeError,
    InputError,
    NotInTaskContextError,
    RuntimeSystemError,
    RuntimeUserError,
)

__all__ = ["AsyncConnectorExecutorMixin"]

SHORTEST, LONGEST, GROWTH = 0.05, 3.0, 1.5  # seconds between two looks at a job, and how they grow


class AsyncConnectorExecutorMixin:
    """Runs a task through the connector of its task type; mixed in before ``TaskTemplate``.

    A task that has a function of its own runs that here. Secrets are named in the task's ``custom_config``, under
    ``"secrets"``: the keyword of the connector, and the environment variable that holds its value.
    """

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Start the job, watch it to its end, and give its outputs: None, the value of one, or a tuple of several.

        What interrupts it ends the job.

        Raises
        ------
        FlyteConnectorNotFound
            When no connector is registered for the task type; a ``ValueError``.
        ValueError
            When the variable of a secret is not set.
        NotInTaskContextError
            Outside a task.
        RuntimeError
            When the job did not succeed.
        """
        task: Any = self
        if isinstance(self, AsyncFunctionTaskTemplate):
            return await AsyncFunctionTaskTemplate.execute(self, *args, **kwargs)
        connector = ConnectorRegistry.get_connector(task.task_type, task.task_type_version)
        context = current_context.get()
        if context is None:
            raise NotInTaskContextError("NotInTaskContext", f"{task.name} runs through a connector, in a run only")
        inputs = task.interface.complete(*args, **kwargs)
        secrets = _secrets(task, context)
        job = await connector.create(
            task_template=task, output_prefix=context.raw_data_path.path, inputs=inputs, **secrets
        )
        try:
            ended = await _watched(connector, job, secrets)
        except BaseException:  # whatever ends the watching ends the job
            with contextlib.suppress(Exception):
                await connector.delete(job, **secrets)
            raise
        _insist(task.name, ended)
        values = tuple((ended.outputs or {}).values())
        return values if len(values) > 1 else next(iter(values), None)


def _secrets(task: Any, context: TaskContext) -> dict[str, str]:
    action = context.action
    settings = SerializationContext(context.version, action.project, action.domain, action.org)
    named = task.custom_config(settings).get("secrets") or {}
    missing = [variable for variable in named.values() if variable not in os.environ]
    if missing:
        raise InputError(f"{task.name}: the environment variable {missing[0]!r}, which holds a secret, is not set")
    return {keyword: os.environ[variable] for keyword, variable in named.items()}


async def _watched(connector: AsyncConnector[Any], job: Any, secrets: dict[str, str]) -> Resource:
    """Ask for a job at short and growing intervals until it has ended."""
    from asyncio import sleep

    pause, told = SHORTEST, set()
    while True:
        resource = await connector.get(job, **secrets)
        for link in resource.log_links or ():
            uri = str(getattr(link, "uri", link))
            if uri not in told:
                logging.getLogger("flyte").info("%s: %s", getattr(link, "name", "log"), uri)
                told.add(uri)
        if is_terminal_phase(resource.phase):
            return resource
        await sleep(pause)
        pause = min(pause * GROWTH, LONGEST)


def _insist(task: str, ended: Resource) -> None:
    """Raise what a job that did not succeed means."""
    phase = JobPhase.of(ended.phase)
    if phase is JobPhase.SUCCEEDED:
        return
    told = f"the job of {task} ended as {phase.name.lower()}: {ended.message or 'its connector does not say why'}"
    errors: dict[JobPhase, BaseRuntimeError] = {
        JobPhase.ABORTED: ActionAbortedError(told),
        JobPhase.RETRYABLE_FAILED: RuntimeSystemError("ConnectorJobFailed", told),
    }
    raise errors.get(phase, RuntimeUserError("ConnectorJobFailed", told))
