"""Connected: calls whose work a connector does, carried out in this process instead of a worker.

There is nothing to isolate but waiting, and the connectors that are registered are here. They run in a thread with an
event loop of their own, so that one that blocks holds up nothing of the engine.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from flyte_nb import pickling
from flyte_nb.connectors.connector import Resource
from flyte_nb.connectors.jobs import Around, around, text_of
from flyte_nb.connectors.utils import JobPhase
from flyte_nb.context.task_context import TaskContext, context_from, entered
from flyte_nb.engine import codec
from flyte_nb.engine.base import Phase, Work, now
from flyte_nb.engine.definition import tasks_in
from flyte_nb.engine.local.calls import Call, Outcome
from flyte_nb.engine.local.execution import failure as told
from flyte_nb.engine.local.execution import pickled, returned
from flyte_nb.engine.local.failures import failure
from flyte_nb.engine.local.surroundings import Surroundings
from flyte_nb.engine.outputs import checked
from flyte_nb.environments.interface import check_value
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.portal import Portal
from flyte_nb.report import Report

__all__ = ["Connected"]

PATIENCE = 6.0  # seconds for a job to be ended by its connector
_PHASES = {
    JobPhase.QUEUED: Phase.QUEUED, JobPhase.WAITING_FOR_RESOURCES: Phase.WAITING_FOR_RESOURCES,
    JobPhase.INITIALIZING: Phase.INITIALIZING, JobPhase.RUNNING: Phase.RUNNING,
}  # fmt: skip


class Connected:
    """Carries out calls of connectors' tasks.

    Parameters
    ----------
    surroundings : Surroundings
        Gives the variables of a call, with its secrets.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._portal = Portal()

    async def carry_out(self, call: Call, task: TaskTemplate) -> Outcome:
        """Carry out a call to the end of its job; a call that is cancelled ends its job."""
        call.enter(Phase.RUNNING, started=call.action.started or now())
        loop = asyncio.get_running_loop()
        with self._surroundings.variables_of(call) as variables:
            given = Around(variables, lambda resource: loop.call_soon_threadsafe(_note, call, resource))
            job = self._portal.submit(_executed(call, task, given))
            ended = asyncio.wrap_future(job.done)
            try:
                return await asyncio.shield(ended)
            except asyncio.CancelledError:
                job.cancel()
                ended.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody asks how it ended
                await asyncio.wait((ended,), timeout=PATIENCE)
                raise


def task_here(work: Work) -> TaskTemplate | None:
    """Give the task that some work is for, where it is of a connector and this process has it."""
    if not work.policy.connector or work.definition.folder is not None:
        return None
    if work.live is not None and work.live[0].name == work.task:
        return work.live[0]
    if work.definition.pickled:
        task: TaskTemplate = pickling.loads(work.definition.pickled)
        return task
    module = sys.modules.get(work.definition.module)
    return tasks_in(module).get(work.task) if module is not None else None


async def _executed(call: Call, task: TaskTemplate, given: Around) -> Outcome:
    """Execute a task on the connectors' own loop."""
    try:
        around.set(given)
        with entered(_context(call, task)):
            value = await task.execute(**_inputs(call.work, task))
        return Outcome(returned(checked(value, task), task, call.work.root), tuple(task.interface.outputs))
    except Exception as error:  # the connector's own code
        return Outcome(error=failure(told(error), pickled(error), call.work, call.clean), cause=pickled(error))


def _context(call: Call, task: TaskTemplate) -> TaskContext:
    own = call.context(set())
    context = context_from({**own["of_run"], "action": call.action.id, "custom_context": {}}, Report(task.name))
    return context.replace(custom_context=dict(own.get("custom_context", {})))


def _inputs(work: Work, task: TaskTemplate) -> dict[str, Any]:
    inputs = codec.decode(list(work.inputs))
    if work.texts:
        return task.interface.complete(**task.interface.parse(inputs))
    kinds = task.interface.get_input_types()
    return {name: check_value(f"input {name!r}", value, kinds[name], task.name) for name, value in inputs.items()}


def _note(call: Call, resource: Resource) -> None:
    """Take note of what a look at the job has told: its phase, where its logs are."""
    for link in resource.log_links or ():
        call.notice(call.clean(text_of(link)))
    phase = _PHASES.get(JobPhase.of(resource.phase))
    if phase is not None and phase is not call.action.phase:
        call.enter(phase)
