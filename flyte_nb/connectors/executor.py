"""AsyncConnectorExecutorMixin: a task whose work a connector does, in this process or behind a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.connectors.connector import Resource
from flyte_nb.connectors.jobs import Around, Job, around, start
from flyte_nb.connectors.utils import JobPhase, is_terminal_phase
from flyte_nb.context.records import SerializationContext
from flyte_nb.context.task_context import TaskContext, current_context
from flyte_nb.environments.annotations import EMPTY
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.template import TaskTemplate
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
LAST = 5.0  # seconds that a connector has to end a job that nobody watches any more


class AsyncConnectorExecutorMixin:
    """Runs a task through the connector of its task type; mixed in before ``TaskTemplate``.

    A task that has a function of its own runs that here. Secrets are named in the task's ``custom_config``, under
    ``"secrets"``: the keyword of the connector, and the environment variable that holds its value.
    """

    @property
    def is_connected(self) -> bool:
        """Whether a connector does its work, and no function of its own."""
        own = type(self).execute is AsyncConnectorExecutorMixin.execute
        return own and not isinstance(self, AsyncFunctionTaskTemplate)

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
        context, given = current_context.get(), around.get() or Around()
        if context is None:
            raise NotInTaskContextError("NotInTaskContext", f"{task.name} runs through a connector, in a run only")
        bound = task.interface.complete(*args, **kwargs)
        whole = {name: bound.get(name, default) for name, (_, default) in task.interface.inputs.items()}
        inputs = {name: value for name, value in whole.items() if value is not EMPTY}
        job = await start(task, inputs, context, _secrets(task, context, given.variables), given)
        try:
            ended = await _watched(job, given.tell)
        except BaseException:  # whatever ends the watching ends the job
            await _end(job)
            raise
        finally:
            await job.close()
        _insist(task.name, ended)
        return _returned(task, ended.outputs or {})


def _secrets(task: Any, context: TaskContext, variables: Mapping[str, str]) -> dict[str, str]:
    action = context.action
    settings = SerializationContext(context.version, action.project, action.domain, action.org)
    named = task.custom_config(settings).get("secrets") or {}
    missing = [variable for variable in named.values() if variable not in variables]
    if missing:
        raise InputError(f"{task.name}: the environment variable {missing[0]!r}, which holds a secret, is not set")
    return {keyword: variables[variable] for keyword, variable in named.items()}


async def _watched(job: Job, tell: Callable[[Resource], object]) -> Resource:
    """Look at a job at short and growing intervals until it has ended."""
    from asyncio import sleep

    pause = SHORTEST
    while True:
        resource = await job.look()
        tell(resource)
        if is_terminal_phase(resource.phase):
            return resource
        await sleep(pause)
        pause = min(pause * GROWTH, LONGEST)


async def _end(job: Job) -> None:
    """End a job that nobody watches any more, unless its connector takes long or fails."""
    from asyncio import wait_for

    with contextlib.suppress(Exception):
        await wait_for(job.delete(), LAST)


def _returned(task: TaskTemplate, outputs: Mapping[str, Any]) -> Any:
    """Give outputs as a function would return them: None, one value, or a tuple, in the order of the declaration."""
    declared = task.interface.outputs
    names = list(declared) if declared.keys() == outputs.keys() else list(outputs)
    values = tuple(outputs[name] for name in names)
    return values if len(values) > 1 else next(iter(values), None)


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
