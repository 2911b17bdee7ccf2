"""InlineEngine: runs tasks in this process, for breakpoints and for tests; the plainest engine there is.

It keeps the same records as the others. What it does not do is isolate: a task that ends its process ends this one,
its environment variables are this process's own, and limits, images and warm workers are not acted on. What a task
prints goes straight to where this process prints, and not into the run's log.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from flyte_nb.context.scopes import get_custom_context
from flyte_nb.context.task_context import TaskContext, context_from, current_context, entered
from flyte_nb.engine import codec
from flyte_nb.engine.base import (
    Action,
    Begun,
    Custom,
    Deployments,
    Emit,
    Event,
    Outputs,
    Phase,
    Run,
    Tell,
    Work,
    now,
)
from flyte_nb.engine.outputs import checked
from flyte_nb.engine.store import Store
from flyte_nb.environments.calling import current_runner
from flyte_nb.environments.container_task import ContainerTask
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import BaseRuntimeError, RuntimeUserError, UsageError
from flyte_nb.plan.bundle import Bundle
from flyte_nb.plugins.surrounding import surrounded
from flyte_nb.report import Report

__all__ = ["InlineEngine"]


class InlineEngine:
    """Tasks as plain calls in this process, recorded as runs.

    Parameters
    ----------
    store : Store
        Takes the records.
    """

    name = "inline"

    def __init__(self, store: Store) -> None:
        self.store = store
        self.running: dict[str, Run] = {}

    async def run(self, work: Work, emit: Emit, begun: Begun | None = None) -> Run:
        """Run a task to its end in this thread; what failed it is in the run's ``error``.

        Raises
        ------
        UsageError
            For a deployed task, which has no live function here.
        """
        if work.live is None:
            raise UsageError("the inline engine runs tasks of this process; a deployed one runs with the local engine")
        function = re.sub(r"[^a-z0-9]+", "-", work.task.rpartition(".")[2].lower()).strip("-") or "run"
        name = work.settings.name or f"{function}-{secrets.token_hex(4)}"
        run = Run(name, work.task, self.name, work.shown, work.version)
        if work.settings.name:
            self.store.forget(name)
        self.store.add_run(run, work.notebook)
        runner = InlineRunner(run, self.store, emit)
        action = runner.new_action(work.task, None)
        self.running[name] = run
        if begun is not None:
            begun(run)
        context = context_from(_told(run, action, work, str(self.store.home / "data" / name)), Report(work.task))
        task, inputs = work.live
        try:
            value = await runner.carry_out(task, codec.decode(codec.encode(inputs, _Everything())[0]), action, context)
        except Exception as error:  # the user's own code
            run.error = _told_error(error)
        else:
            run.result = Outputs.of(value, tuple(task.interface.outputs))
        finally:
            del self.running[name]
        run.observers.tell(Event(name, replace(run.root)))
        return run

    def run_at_once(self, work: Work, show: Emit) -> None:
        """Run nothing: every run is in the caller's thread."""

    async def deploy(
        self, bundle: Bundle, tell: Tell = lambda progress: None, custom: Custom = MappingProxyType({})
    ) -> Deployments:
        """Refuse: nothing here outlives the process.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError("the inline engine deploys nothing; deploy with engine='local'")

    async def planned(self, bundle: Bundle) -> Deployments:
        """Refuse, as `deploy`.

        Raises
        ------
        UsageError
            Always.
        """
        return await self.deploy(bundle)

    async def stop(self) -> None:
        """Nothing is held."""


def _told(run: Run, action: Action, work: Work, folder: str) -> dict[str, Any]:
    settings = work.settings
    return {
        "run": run.name, "action": action.id, "version": run.version, "folder": folder, "project": settings.project,
        "domain": settings.domain, "raw_data_path": settings.raw_data_path, "run_start_time": settings.run_start_time,
        "disable_run_cache": settings.disable_run_cache, "interactive_mode": settings.interactive_mode,
        "custom_context": work.custom_context,
    }  # fmt: skip


def _told_error(error: Exception) -> BaseRuntimeError:
    if isinstance(error, BaseRuntimeError):
        return error
    told = RuntimeUserError(type(error).__name__, str(error))
    told.__cause__ = error
    return told


class _Everything:
    """All names: the classes of this process are those of the task."""

    def __contains__(self, name: object) -> bool:
        return True


class InlineRunner:
    """Runs tasks and steps of one run, each as an action of it.

    Parameters
    ----------
    run : Run
        The run.
    store, emit
        Take the records, and hear of them.
    """

    def __init__(self, run: Run, store: Store, emit: Emit) -> None:
        self._run, self._store, self._emit = run, store, emit

    def new_action(self, task: str, parent: str | None, number: str = "") -> Action:
        """Give a new action."""
        group = current_context.get()
        named = group.group_data.name if group is not None and group.group_data is not None else ""
        action = Action(number or f"a{len(self._run.actions)}", task, parent, queued=now(), group=named)
        self._run.actions.append(action)
        return action

    def call(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a sync task as a child action."""
        return _driven(self._child(task, inputs))

    async def acall(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a task as a child action; a sync one in a thread."""
        if inspect.iscoroutinefunction(getattr(task, "func", None)):
            return await self._child(task, inputs)
        return await asyncio.to_thread(self.call, task, inputs)

    def step(self, name: str) -> InlineStep:
        """Record the start of a traced step."""
        outside = _present()
        number = f"{outside.action.name}.{len(self._run.actions)}"
        action = self.new_action(name, outside.action.name, number)
        self.enter(action, Phase.RUNNING)
        return InlineStep(outside.replace(action=outside.action.named(number)), self, action)

    async def _child(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        outside = _present()
        action = self.new_action(task.name, outside.action.name)
        inside = outside.replace(
            action=outside.action.named(action.id), report=Report(task.name), group_data=None, task_action=None,
            custom_context=get_custom_context(),
        )  # fmt: skip
        try:
            return await self.carry_out(task, codec.decode(codec.encode(inputs, _Everything())[0]), action, inside)
        except BaseRuntimeError:
            raise
        except Exception as error:  # the user's own code
            raise _told_error(error) from error

    async def carry_out(self, task: TaskTemplate, inputs: dict[str, Any], action: Action, context: TaskContext) -> Any:
        """Run one task in its context, with its phases recorded."""
        self.enter(action, Phase.RUNNING)
        token = current_runner.set(self)
        try:
            with entered(context), surrounded(task, InlineHearing(self, action)):
                value = _begun(task, inputs)
                if inspect.isawaitable(value):
                    value = await value
                value = checked(value, task)
        except BaseException as error:
            self.enter(action, Phase.FAILED, f"{type(error).__name__}: {error}")
            raise
        finally:
            current_runner.reset(token)
        self.enter(action, Phase.SUCCEEDED)
        return value

    def notice(self, action: Action, text: str) -> None:
        """Record and tell something that whoever looks at the run should know."""
        action.notice = "\n".join(filter(None, (action.notice, text)))
        self._tell(action)

    def enter(self, action: Action, phase: Phase, error: str = "") -> None:
        """Record a phase and tell of it."""
        action.phase, action.error = phase, error
        if phase.is_terminal:
            action.ended = now()
        else:
            action.started = now()
        self._tell(action)

    def _tell(self, action: Action) -> None:
        self._store.put_action(self._run.name, action)
        event = Event(self._run.name, replace(action))
        self._emit(event)
        self._run.observers.tell(event)


def _begun(task: TaskTemplate, inputs: dict[str, Any]) -> Any:
    """Begin a task: give its value, or what to await for it."""
    if isinstance(task, ContainerTask):
        from flyte_nb.containers.task import carry_out  # most tasks have no container

        return carry_out(task, inputs)
    return (task.execute if getattr(task, "is_connected", False) else task.forward)(**inputs)


@dataclass(frozen=True)
class InlineHearing:
    """Hears of a task that runs here."""

    runner: InlineRunner
    action: Action

    def notice(self, text: str) -> None:
        """Take something that whoever looks at the run should know."""
        self.runner.notice(self.action, text)

    def give_up(self, error: BaseException) -> None:
        """Say so: what runs in this process's own thread cannot be ended from another."""
        self.notice(str(error))


@dataclass(frozen=True)
class InlineStep:
    """A traced step of a task."""

    context: TaskContext
    runner: InlineRunner
    action: Action

    def end(self, error: BaseException | None) -> None:
        """Record its end."""
        failed = error is not None and not isinstance(error, GeneratorExit)
        told = f"{type(error).__name__}: {error}" if failed else ""
        self.runner.enter(self.action, Phase.FAILED if failed else Phase.SUCCEEDED, told)


def _present() -> TaskContext:
    context = current_context.get()
    assert context is not None
    return context


def _driven(work: Awaitable[Any]) -> Any:
    """Carry out work that never suspends; an awaitable that a sync task returns runs in a loop of its own."""
    coroutine: Any = work
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise UsageError("a sync task returned something to be awaited; make it an async task")
