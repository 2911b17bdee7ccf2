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
from types import MappingProxyType
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.base import Begun, Custom, Deployments, Emit, Phase, Run, Tell, Work, now
from flyte_nb.engine.local.apps.serving import Apps
from flyte_nb.engine.local.attempts import in_time, retried
from flyte_nb.engine.local.caching import cached
from flyte_nb.engine.local.calls import Call, Outcome, recorded
from flyte_nb.engine.local.connected import Connected, task_here
from flyte_nb.engine.local.deployment import Deploying
from flyte_nb.engine.local.direct import Direct, GoesOn
from flyte_nb.engine.local.exchange import Exchange
from flyte_nb.engine.local.failures import death, failure
from flyte_nb.engine.local.forking import TRIES
from flyte_nb.engine.local.journal import Journal
from flyte_nb.engine.local.lines import may_be_direct
from flyte_nb.engine.local.need import Need
from flyte_nb.engine.local.pool import Given, Pool, environment
from flyte_nb.engine.local.processes import peak_of, reset_peak
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
    NonRecoverableError,
    RuntimeSystemError,
)
from flyte_nb.plan.bundle import Bundle

__all__ = ["LocalEngine"]

MOST_DEEP = 128  # tasks that wait in a row, each for the one that it called
KEEP = 10.0  # seconds that free shared memory is kept for further runs


class LocalEngine:
    """Tasks in isolated processes on this machine.

    Parameters
    ----------
    store : Store
        Takes the records.
    secrets : Secrets, optional
        Where the values of secrets come from; the usual sources beside the store by default.
    fills : bool
        Whether warm workers are started up to their minimum, for calls to come.
    """

    name = "local"

    def __init__(self, store: Store, secrets: Secrets | None = None, fills: bool = True) -> None:
        self.store = store
        self.running: dict[str, Run] = {}
        self.pool = Pool(fills)
        self.secrets = secrets or Secrets(store.home.parent)
        self._exchange = Exchange(self._idle, self._child)
        self._surroundings = Surroundings(self.secrets, self._exchange.hang_up)
        self._connected = Connected(self._surroundings)
        self.pool.crowded = self._exchange.hang_up
        #: the apps that are served
        self.apps = Apps(self.pool, self._surroundings, self.secrets, store.home)
        self._direct = Direct(self._exchange, self._begin)
        self._numbers = itertools.count(1)
        self._trimming: asyncio.TimerHandle | None = None
        self._handle = recorded(cached(store, retried(self._attempt)))

    async def run(self, work: Work, emit: Emit, begun: Begun | None = None) -> Run:
        """Run a task to its end; what failed it is in the run's ``error``."""
        self.pool.enter_loop()
        if work.settings.name:
            self.store.forget(work.settings.name)
        call, run = self._begin(work, emit)
        self._surroundings.check(call)
        call.journal.begin()
        self.running[run.name] = run
        if begun is not None:
            begun(run)
        try:
            outcome = await self._carry_out(call)
            kept = _kept(work, outcome)
            outcome.tell(run)
        finally:
            call.journal.close()
            self.pool.end_run(run.name)
            del self.running[run.name]
        for kind, parts in kept.items():
            await asyncio.to_thread(self.store.put_value, run.name, run.root.id, kind, parts)
        if outcome.error is None:
            self._direct.consider(call, self._surroundings.plain(call))
        return run

    def run_at_once(self, work: Work, show: Emit) -> Run | GoesOn | None:
        """Run a warm task in the thread that asks for it, where that is possible; see `Direct.run`."""
        if not may_be_direct(work.policy):
            return None
        return self._direct.run(work, Need({**environment(), **work.env_vars, **work.settings.env_vars}), show)

    def _begin(self, work: Work, emit: Emit) -> tuple[Call, Run]:
        """Give the call and the run that some work becomes."""
        run = Run(work.settings.name or new_name(work.task), work.task, inputs=work.shown, version=work.version)
        run.log = self.store.log_of(run.name)
        call = _call(Journal(run, work, self.store, emit), work, None, environment())
        call.action.notice = "\n".join(work.definition.values)
        return call, run

    async def deploy(
        self, bundle: Bundle, tell: Tell = lambda progress: None, custom: Custom = MappingProxyType({})
    ) -> Deployments:
        """Write the bundle, then make the environments current that are not yet as they are in it."""
        return await Deploying(self.store, bundle, tell, custom).run()

    async def planned(self, bundle: Bundle) -> Deployments:
        """Say what `deploy` would do, without doing it."""
        return self.store.targets(bundle.environments, bundle.version, bundle.folder, bundle.named)

    async def stop(self) -> None:
        """Stop every app, and end every worker."""
        await self.apps.close()
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
            self._let_go(call, shared)

    def _let_go(self, call: Call, inputs: list[Segment]) -> None:
        """Use the memory of inputs again where nobody maps it: its process has ended, or says so."""
        for segment in inputs:
            if call.work.root and (call.work.policy.reusable is None or call.released):
                self.pool.segments.recycle(segment)
            else:
                self.pool.segments.discard(segment)
        if inputs:
            if self._trimming is not None:
                self._trimming.cancel()
            self._trimming = asyncio.get_running_loop().call_later(KEEP, self.pool.segments.trim)

    async def _attempt(self, call: Call) -> Outcome:
        """Carry out one attempt; in another worker, where one ends before it has read the call."""
        try:
            for _ in range(TRIES):
                try:
                    return await self._tried(call)
                except Died as died:
                    ended = died
                if not ended.unread:
                    break
            return Outcome(error=death(ended, call.work.task))
        finally:
            if call.work.policy.container:  # it is no child of the worker, and may outlive it
                await _remove_containers()

    async def _tried(self, call: Call) -> Outcome:
        """Wait for a place, then run in a worker."""
        timeout = call.work.policy.timeout
        try:
            if (task := task_here(call.work)) is not None:
                limit = seconds(timeout.max_runtime) if timeout is not None else None
                return await in_time(self._connected.carry_out(call, task), limit, _slow(call, limit))
            need = self._surroundings.plain(call)
            if need is not None and timeout is None:
                return await self._plainly(call, need)
            return await self._within(call, timeout or Timeout())
        except BaseRuntimeError as error:  # no time, no machine, no image, no secret
            return Outcome(error=error)

    async def _plainly(self, call: Call, need: Need) -> Outcome:
        """Run a call that has no limits."""
        given = await self._take(call, need)
        failed = True
        try:
            outcome = await self._in_worker(call, given)
            failed = False
        finally:
            call.given = None
            await given.give_back(failed)
        return outcome

    async def _within(self, call: Call, timeout: Timeout) -> Outcome:
        """Run a call within its limits: of the time in the queue, and of the time it runs."""
        limit, patience = seconds(timeout.max_runtime), seconds(timeout.max_queued_time)
        late = MaxQueuedTimeExceededError(f"{call.work.task} waited longer than {patience or 0:g} s")
        async with contextlib.AsyncExitStack() as held:
            given = await in_time(held.enter_async_context(self._worker(call)), patience, late)
            return await in_time(self._in_worker(call, given), limit, _slow(call, limit))

    @asynccontextmanager
    async def _worker(self, call: Call) -> AsyncIterator[Given]:
        """Give a worker for a call, once the machine has a share for it."""
        async with self._surroundings.around(call) as need:
            given = await self._take(call, need)
            failed = True
            cores = call.lease.cores if call.lease is not None and call.work.policy.reusable is not None else None
            try:
                with given.replica.binding.held(cores):
                    yield given
                failed = False
            finally:
                call.given = None
                await given.give_back(failed)

    async def _take(self, call: Call, need: Need) -> Given:
        """Take a worker from the pool; the call runs from then on."""
        journal, work = call.journal, call.work
        given = await self.pool.take(work, need, journal.fit(work.definition), journal.run.name, call.output)
        call.given = given
        call.enter(Phase.RUNNING, started=call.action.started or now())
        return given

    async def _in_worker(self, call: Call, given: Given) -> Outcome:
        head, parts = given.ready
        measured = _is_measured(call, given)
        if not head.get("failed"):
            number = f"r{next(self._numbers)}"
            calling = given.replica.calling(call.output, lambda h, p: self._child(call, h, p), call.step)
            try:
                head, parts = await given.replica.call(number, call.work, calling, call.context(given.replica.runs))
            finally:
                await self._exchange.end(call)
        if measured:
            call.action.peak_memory = peak_of(given.replica.pid) or 0
        call.released = bool(head.get("released"))
        if head.get("failed"):
            return Outcome(error=failure(head, parts, call.work, call.clean), cause=tuple(parts))
        return Outcome(tuple(parts), tuple(head["outputs"]))

    async def _child(
        self, parent: Call, head: dict[str, Any], parts: list[codec.Part]
    ) -> tuple[dict[str, Any], tuple[codec.Part, ...]]:
        """Carry out a task that a task called, as an action of the same run; or take note of one that a line failed."""
        if "line" in head:
            return _told(await self._exchange.settle(parent, head, parts))
        work = _work_of_child(parent, head, parts)
        call = _call(parent.journal, work, parent.action.id, parent.env)
        call.parent_lease = parent.lease or parent.parent_lease
        call.callers = (*parent.callers, parent.work.task)
        parent.waits()
        try:
            self._surroundings.check(call)
            _insist_on_end(call)
            outcome = await self._carry_out(call)
        except BaseRuntimeError as error:  # a secret that is nowhere, a recursion without end
            outcome = Outcome(error=error)
        except FlyteError as error:  # the store, most likely; whoever waits for this task must hear of it
            outcome = Outcome(error=RuntimeSystemError(type(error).__name__, str(error)))
        finally:
            parent.goes_on()
        if outcome.error is None:
            self._exchange.consider(parent, call, head)
        return _told(outcome)

    def _idle(self, call: Call) -> Given | None:
        """Give an idle warm worker that fits a call, if there is one and no call waits for anything."""
        need = self._surroundings.plain(call)
        if need is None or self._surroundings.is_crowded:
            return None
        return self.pool.take_idle(call.work, need, call.journal.fit(call.work.definition), call.journal.run.name)


async def _remove_containers() -> None:
    """Remove the containers of workers that have ended."""
    from flyte_nb.containers.engine import remove_left  # most tasks have no container

    await asyncio.to_thread(remove_left)


def _kept(work: Work, outcome: Outcome) -> dict[str, tuple[bytes, ...]]:
    """Give what is kept of a run, by kind, as its settings say; its outputs are read no more once they are told."""
    keep = work.settings.keep
    if keep == "never" or (keep == "on-failure" and outcome.error is None):
        return {}
    kept = {"inputs": tuple(map(as_bytes, work.inputs))}
    return kept if outcome.error is not None else {**kept, "outputs": outcome.kept()}


def _slow(call: Call, limit: float | None) -> MaxRuntimeExceededError:
    return MaxRuntimeExceededError(f"{call.work.task} ran longer than {limit or 0:g} s")


def _told(outcome: Outcome) -> tuple[dict[str, Any], tuple[codec.Part, ...]]:
    """Give what the task that called is told of what became of its call."""
    if outcome.error is None:
        return {}, outcome.parts
    told = codec.encode(outcome.error)[0]
    return {"failed": True, "cause": len(told)}, (*told, *outcome.cause)


def _call(journal: Journal, work: Work, parent: str | None, env: dict[str, str]) -> Call:
    action = journal.new_action(work, parent)
    return Call(journal, action, work, env, journal.output_of(action))


def _work_of_child(parent: Call, head: dict[str, Any], parts: list[codec.Part]) -> Work:
    """Give the work that a ``call`` frame of a worker asks for; the file is its parent's.

    What a frame tells of its task is told once for each call that makes frames, and is known by a number after that.
    """
    if told := head.get("told"):
        parent.called[head["token"]] = _work_of_task(parent.work, told, parts)
    known = parent.called[head["token"]]
    return known.varied(
        inputs=tuple(parts[1:] if known.definition.pickled else parts), group=head.get("group", ""),
        inputs_key=head.get("inputs_key", ""), custom_context=head.get("custom_context") or {},
    )  # fmt: skip


def _work_of_task(parent: Work, told: dict[str, Any], parts: list[codec.Part]) -> Work:
    found, by_value = parent.definition, bool(told["by_value"])
    if by_value or told["module"] not in (found.module, found.main) or found.pickled:
        found = replace(found, module=told["module"], pickled=as_bytes(parts[0]) if by_value else b"")
    return replace(parent, task=told["task"], definition=found, inputs=(), env_vars=told["env_vars"], shown="",
                   texts=False, root=False, policy=Policy.from_json(told["policy"]))  # fmt: skip


def _is_measured(call: Call, given: Given) -> bool:
    """Tell whether the peak of a process's memory is that of the call.

    It is where the process has this call only. A warm worker that runs one call at a time begins to count anew; that
    takes a little time, and is done where the task says something of its memory.
    """
    policy = call.work.policy
    if policy.reusable is None:
        return True
    asks = policy.resources is not None and policy.resources.memory is not None
    return asks and given.replica.at_once == 1 and reset_peak(given.replica.pid)


def _insist_on_end(call: Call) -> None:
    """Refuse a task when too many wait for it, each for the one that it called.

    Raises
    ------
    NonRecoverableError
        As trying again at every level would multiply.
    """
    task, callers = call.work.task, call.callers
    if len(callers) > MOST_DEEP:
        chain = " → ".join((*callers[:2], "…", *callers[-1:], task))
        raise NonRecoverableError(
            f"{task}: {len(callers)} tasks wait, each for the one that it called ({chain}); at most {MOST_DEEP} may. "
            "Let the recursion end earlier, or call the function itself for its inner steps: "
            f"{task.rpartition('.')[2]}.forward(…)",
            "TooDeep",
        )


def new_name(task: str) -> str:
    """Give a name to a run: the function's, and a few random digits."""
    function = re.sub(r"[^a-z0-9]+", "-", task.rpartition(".")[2].lower()).strip("-") or "run"
    return f"{function}-{secrets.token_hex(4)}"
