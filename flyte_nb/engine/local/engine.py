"""LocalEngine: runs tasks in worker processes and records them; deploys into the store."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import secrets
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from flyte_nb import tracebacks
from flyte_nb.engine import codec
from flyte_nb.engine.base import Action, Deployments, Emit, Event, Outputs, Phase, Run, Work, now
from flyte_nb.engine.local.pool import Died, Pool
from flyte_nb.engine.store import Store
from flyte_nb.errors import BaseRuntimeError, FlyteError, RuntimeSystemError, RuntimeUserError, TaskProcessError
from flyte_nb.notebook.module import locate
from flyte_nb.plan.bundle import Bundle
from flyte_nb.tracebacks import Frame

__all__ = ["LocalEngine"]


@dataclass
class Call:
    """One action to carry out, as it passes through the wrappers around the execution."""

    run: Run
    action: Action
    work: Work
    emit: Emit

    def told(self, **changes: Any) -> None:
        """Tell that the action changed phase, or printed."""
        self.emit(Event(self.run.name, dataclasses.replace(self.action), **changes))


@dataclass(frozen=True)
class Outcome:
    """What became of a call: the encoded value, or the error."""

    parts: tuple[bytes | memoryview, ...] = ()
    names: tuple[str, ...] = ()
    error: BaseRuntimeError | None = None
    #: the encoded exception that the task raised, for a task that called it
    cause: tuple[bytes, ...] = ()


Handler = Callable[[Call], Awaitable[Outcome]]


class RemoteTraceback(Exception):  # noqa: N818 - it is shown as the cause, by this name
    """The traceback of the task's own process, as text."""


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
        self._handle: Handler = recorded(store, self._execute)

    async def run(self, work: Work, emit: Emit) -> Run:
        """Run a task to its end; what failed it is in the run's ``error``."""
        name = work.settings.name or new_name(work.task)
        run = Run(name=name, task=work.task, inputs=work.shown, version=work.version)
        if work.settings.name:
            self.store.forget(name)
        run.log = self.store.log_of(run.name)
        self.store.add_run(run, work.notebook)
        outcome = await self._handle(Call(run, _new_action(run, work.task, None), work, emit))
        run.error = outcome.error
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

    async def _execute(self, call: Call) -> Outcome:
        """Carry out a call in a worker process."""
        tell = _printer(call)
        try:
            work = replace(call.work, context=self._context(call))
            async with self.pool.worker(work) as worker:
                head, parts = await worker.connect(work, tell)
                if not head.get("failed"):
                    head, parts = await worker.call(work, lambda h, p: self._child(call, h, p))
        except Died as died:
            return Outcome(error=_death(died.exit_code, call.work.task))
        if head.get("failed"):
            return Outcome(error=_failure(head, parts, call.work), cause=tuple(parts))
        return Outcome(tuple(parts), tuple(head["outputs"]))

    def _context(self, call: Call) -> dict[str, Any]:
        """Word, as JSON data, what the process of a call is told of its run and its action."""
        settings = {f.name: getattr(call.work.settings, f.name) for f in dataclasses.fields(call.work.settings)}
        return {
            **settings,
            "run": call.run.name,
            "action": call.action.id,
            "version": call.run.version,
            "custom_context": call.work.custom_context,
            "folder": str(self.store.home / "data" / call.run.name),
        }

    async def _child(self, parent: Call, head: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], Any]:
        """Carry out a task that a task called, as an action of the same run."""
        work = _work_of_child(parent.work, head, parts)
        action = _new_action(parent.run, work.task, parent.action.id)
        try:
            outcome = await self._handle(Call(parent.run, action, work, parent.emit))
        except FlyteError as error:  # the store, most likely; whoever waits for this task must hear of it
            outcome = Outcome(error=RuntimeSystemError(type(error).__name__, str(error)))
        if outcome.error is None:
            return {}, outcome.parts
        told = codec.encode(outcome.error)[0]
        return {"failed": True, "cause": len(told)}, (*told, *outcome.cause)


def _work_of_child(parent: Work, head: dict[str, Any], parts: list[bytes]) -> Work:
    """Give the work that a ``call`` frame of a worker asks for; the file is its parent's."""
    by_value = bool(head["by_value"])
    found = replace(parent.definition, module=head["module"], pickled=parts[0] if by_value else b"")
    return replace(parent, task=head["task"], definition=found, inputs=tuple(parts[by_value:]),
                   env_vars=head["env_vars"], shown="", texts=False,
                   custom_context=head["custom_context"])  # fmt: skip


def recorded(store: Store, handle: Handler) -> Handler:
    """Wrap a handler: the action's phases and times go to the store and to whoever listens."""

    async def record(call: Call) -> Outcome:
        _enter(store, call, Phase.RUNNING, started=now())
        try:
            outcome = await handle(call)
        except BaseException as stopped:
            why = "the run was cancelled" if isinstance(stopped, asyncio.CancelledError) else repr(stopped)
            _enter(store, call, Phase.ABORTED, ended=now(), error=f"ABORTED: {why}")
            raise
        if outcome.error is None:
            _enter(store, call, Phase.SUCCEEDED, ended=now())
        else:
            _enter(store, call, Phase.FAILED, ended=now(), error=f"{outcome.error.code}: {outcome.error}")
        return outcome

    return record


def _enter(store: Store, call: Call, phase: Phase, **changes: Any) -> None:
    call.action.phase = phase
    for name, value in changes.items():
        setattr(call.action, name, value)
    store.put_action(call.run.name, call.action)
    call.told()


def new_name(task: str) -> str:
    """Give a name to a run: the function's, and a few random digits."""
    function = re.sub(r"[^a-z0-9]+", "-", task.rpartition(".")[2].lower()).strip("-") or "run"
    return f"{function}-{secrets.token_hex(4)}"


def _new_action(run: Run, task: str, parent: str | None) -> Action:
    action = Action(id=f"a{len(run.actions)}", task=task, parent=parent)
    run.actions.append(action)
    return action


def _printer(call: Call) -> Callable[[str, str], None]:
    """Give what takes a worker's output: it goes to the run's log and to whoever listens."""

    def tell(stream: str, text: str) -> None:
        if call.run.log is not None:
            with contextlib.suppress(OSError), call.run.log.open("ab") as log:  # a full disk shall not block the task
                log.write(text.encode())
        call.told(stream=stream, text=text)

    return tell


def _read_result(run: Run, outcome: Outcome) -> None:
    try:
        value = codec.decode([bytes(part) for part in outcome.parts])
    except Exception as error:  # a class that this process does not have, or one whose __setstate__ raises
        run.error = RuntimeUserError(
            "ResultUnreadable",
            f"{run.task} succeeded, but what it returned cannot be read here: {error}. Return plain data, or import "
            "the class where the result is used",
        )
        return
    run.result = Outputs.of(value, outcome.names)


def _death(exit_code: int, task: str) -> TaskProcessError:
    """Word the end of a process that ended before its task did."""
    if exit_code < 0:
        name = signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"
        how = {
            "SIGSEGV": " (a segmentation fault in native code)",
            "SIGKILL": " (killed, perhaps for its memory)",
        }
        return TaskProcessError(f"the process of {task} was ended by {name}{how.get(name, '')}", exit_code)
    return TaskProcessError(f"the process of {task} ended with exit code {exit_code} before the task did", exit_code)


def _failure(head: dict[str, Any], parts: list[bytes], work: Work) -> BaseRuntimeError:
    """Make the error of a failed task: the SDK's class, the original as its cause, the task's own frames."""
    original = _original(parts)
    trace = _told(head["frames"], work)
    if isinstance(original, BaseRuntimeError):
        error = original
    else:
        error = RuntimeUserError(head["code"], head["message"] or head["kind"])
        error.__cause__ = original
    innermost = original if original is not None else error
    innermost.__cause__ = innermost.__cause__ or RemoteTraceback(f"in the process of {work.task}:\n{trace}")
    error.remote_traceback = f"{trace}\n{error.remote_traceback}".strip("\n")
    return error


def _original(parts: list[bytes]) -> BaseException | None:
    try:
        value = codec.decode(parts)
    except Exception:  # the exception's class may not exist here
        return None
    return value if isinstance(value, BaseException) else None


def _told(frames: list[list[Any]], work: Work) -> str:
    """Tell the frames of a task in cells and lines, without this package's own."""
    path = work.definition.path
    try:
        source = path.read_text() if path is not None else ""
    except OSError:
        source = ""

    def where(frame: Frame) -> str:
        cell = locate(source, frame.line) if frame.file == str(path) else None
        return f"{cell[0]}, line {cell[1]}" if cell else f"{frame.file}, line {frame.line}"

    return tracebacks.told([Frame(*frame) for frame in frames], where)
