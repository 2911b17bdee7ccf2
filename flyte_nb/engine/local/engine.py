"""LocalEngine: runs tasks in worker processes and records them; deploys into the store."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.base import Begun, Deployments, Emit, Outputs, Phase, Run, Work, now
from flyte_nb.engine.local.attempts import in_time, retried
from flyte_nb.engine.local.caching import cached
from flyte_nb.engine.local.calls import Call, Outcome, recorded
from flyte_nb.engine.local.failures import death, failure
from flyte_nb.engine.local.journal import Journal
from flyte_nb.engine.local.pool import Given, Pool, environment
from flyte_nb.engine.local.replica import Died
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.engine.local.surroundings import Surroundings
from flyte_nb.engine.policy import Policy, seconds
from flyte_nb.engine.segments import Segment, as_bytes
from flyte_nb.engine.store import Store
from flyte_nb.environments.policies import Timeout
from flyte_nb.errors import (
    BaseRuntimeError,
    FlyteError,
    MaxQueuedTimeExceededError,
    MaxRuntimeExceededError,
    RuntimeSystemError,
    RuntimeUserError,
)
from flyte_nb.plan.bundle import Bundle

__all__ = ["LocalEngine"]

_NO_LIMITS = Timeout()


class LocalEngine:
    """Tasks in isolated processes on this machine.

    Parameters
    ----------
    store : Store
        Takes the records.
    """

    name = "local"

    def __init__(self, store: Store) -> None:
        self.store = store
        self.pool = Pool()
        self.secrets = Secrets(store.home.parent)
        self._surroundings = Surroundings(self.secrets)
        self._numbers = itertools.count(1)
        self._handle = recorded(cached(store, retried(self._attempt)))

    async def run(self, work: Work, emit: Emit, begun: Begun | None = None) -> Run:
        """Run a task to its end; what failed it is in the run's ``error``."""
        name = work.settings.name or new_name(work.task)
        run = Run(name=name, task=work.task, inputs=work.shown, version=work.version)
        if work.settings.name:
            self.store.forget(name)
        run.log = self.store.log_of(run.name)
        journal = Journal(run, work, self.store, emit)
        call = _call(journal, work, None, environment())
        self._surroundings.check(call)
        journal.begin()
        if begun is not None:
            begun(run)
        try:
            outcome = await self._carry_out(call)
        finally:
            journal.close()
            self.pool.end_run(name)
        run.error = outcome.error
        if work.settings.keep == "always" or (work.settings.keep == "on-failure" and outcome.error is not None):
            await asyncio.to_thread(
                self.store.put_value, name, run.root.id, "inputs", tuple(map(as_bytes, work.inputs))
            )
        if outcome.error is None:
            _read_result(run, outcome)
        return run

    async def deploy(self, bundle: Bundle) -> Deployments:
        """Write the bundle, then make its environments current in one transaction."""
        home = bundle.write(self.store.bundles)
        return self.store.deploy(bundle.environments, bundle.version, home.name)

    async def stop(self) -> None:
        """End every worker."""
        await self.pool.close()
        self.store.close()

    async def _carry_out(self, call: Call) -> Outcome:
        """Carry out a call, its large inputs in shared memory while it lasts."""
        inputs = self.pool.shared(call.work.inputs)
        shared = [part for part in inputs if isinstance(part, Segment)]
        if shared:
            call.work = replace(call.work, inputs=inputs)
        try:
            return await self._handle(call)
        finally:
            for part in shared:
                part.remove()

    async def _attempt(self, call: Call) -> Outcome:
        """Carry out one attempt: wait for a place, then run in a worker."""
        timeout = call.work.policy.timeout or _NO_LIMITS
        limit, patience = seconds(timeout.max_runtime), seconds(timeout.max_queued_time)
        try:
            async with contextlib.AsyncExitStack() as held:
                entering = held.enter_async_context(self._worker(call))
                given = await in_time(entering, patience, MaxQueuedTimeExceededError(
                    f"{call.work.task} waited longer than {patience or 0:g} s"
                ))  # fmt: skip
                return await in_time(self._in_worker(call, given), limit, MaxRuntimeExceededError(
                    f"{call.work.task} ran longer than {limit or 0:g} s"
                ))  # fmt: skip
        except Died as died:
            return Outcome(error=death(died, call.work.task))
        except BaseRuntimeError as error:  # no time, no machine, no image, no secret
            return Outcome(error=error)

    @asynccontextmanager
    async def _worker(self, call: Call) -> AsyncIterator[Given]:
        """Give a worker for a call; the time until then is its time in the queue."""
        async with (
            self._surroundings.around(call) as need,
            self.pool.worker(call.work, need, call.journal.run.name, call.output) as given,
        ):
            call.given = given
            call.enter(Phase.RUNNING, started=call.action.started or now())
            try:
                yield given
            finally:
                call.given = None

    async def _in_worker(self, call: Call, given: Given) -> Outcome:
        head, parts = given.ready
        if not head.get("failed"):
            number = f"r{next(self._numbers)}"
            calling = given.replica.calling(call.output, lambda h, p: self._child(call, h, p), call.step)
            head, parts = await given.replica.call(number, call.work, calling, call.context())
        if head.get("failed"):
            return Outcome(error=failure(head, parts, call.work, call.clean), cause=tuple(parts))
        return Outcome(tuple(parts), tuple(head["outputs"]))

    async def _child(
        self, parent: Call, head: dict[str, Any], parts: list[codec.Part]
    ) -> tuple[dict[str, Any], tuple[codec.Part, ...]]:
        """Carry out a task that a task called, as an action of the same run."""
        call = _call(parent.journal, _work_of_child(parent.work, head, parts), parent.action.id, parent.env)
        call.parent_lease = parent.lease or parent.parent_lease
        parent.waits()
        try:
            self._surroundings.check(call)
            outcome = await self._carry_out(call)
        except BaseRuntimeError as error:  # a secret that is nowhere
            outcome = Outcome(error=error)
        except FlyteError as error:  # the store, most likely; whoever waits for this task must hear of it
            outcome = Outcome(error=RuntimeSystemError(type(error).__name__, str(error)))
        finally:
            parent.goes_on()
        if outcome.error is None:
            return {}, outcome.parts
        told = codec.encode(outcome.error)[0]
        return {"failed": True, "cause": len(told)}, (*told, *outcome.cause)


def _call(journal: Journal, work: Work, parent: str | None, env: dict[str, str]) -> Call:
    action = journal.new_action(work, parent)
    return Call(journal, action, work, env, journal.output_of(action))


def _work_of_child(parent: Work, head: dict[str, Any], parts: list[codec.Part]) -> Work:
    """Give the work that a ``call`` frame of a worker asks for; the file is its parent's."""
    by_value = bool(head["by_value"])
    found = parent.definition
    if by_value or head["module"] not in (found.module, found.main) or found.pickled:
        found = replace(found, module=head["module"], pickled=as_bytes(parts[0]) if by_value else b"")
    return replace(parent, task=head["task"], definition=found, inputs=tuple(parts[by_value:]),
                   env_vars=head["env_vars"], shown="", texts=False, root=False, group=head["group"],
                   inputs_key=head["inputs_key"],
                   policy=Policy.from_json(head["policy"]), custom_context=head["custom_context"])  # fmt: skip


def new_name(task: str) -> str:
    """Give a name to a run: the function's, and a few random digits."""
    function = re.sub(r"[^a-z0-9]+", "-", task.rpartition(".")[2].lower()).strip("-") or "run"
    return f"{function}-{secrets.token_hex(4)}"


def _read_result(run: Run, outcome: Outcome) -> None:
    try:
        value = codec.decode(outcome.parts, last=True)
    except Exception as error:  # a class that this process does not have, or one whose __setstate__ raises
        run.error = RuntimeUserError(
            "ResultUnreadable",
            f"{run.task} succeeded, but what it returned cannot be read here: {error}. Return plain data, or import "
            "the class where the result is used",
        )
        return
    run.result = Outputs.of(value, outcome.names)
