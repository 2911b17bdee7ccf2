"""Execution: one call of a task in its process — the inputs read, the function run, the outcome put into a frame."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from flyte_nb import pickling
from flyte_nb.context.task_context import TaskContext, context_from, entered
from flyte_nb.engine import codec
from flyte_nb.engine.definition import MAIN, module_of, tasks_in
from flyte_nb.engine.local.children import ChildRunner, current_call
from flyte_nb.engine.local.link import end_group
from flyte_nb.engine.local.printing import flush
from flyte_nb.engine.outputs import checked
from flyte_nb.engine.policy import configured
from flyte_nb.engine.segments import as_bytes, release, tracked
from flyte_nb.environments.calling import current_runner
from flyte_nb.environments.container_task import ContainerTask
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.interface import check_value
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import BaseRuntimeError, RuntimeUserError, UnknownNameError
from flyte_nb.plugins.surrounding import surrounded
from flyte_nb.report import Report, current_report
from flyte_nb.report import flush as flush_report

__all__ = ["Loop", "execute", "execute_async", "failure", "learn", "pickled"]

MOST_RUNS = 1000  # more than an engine takes to be known
#: the context of each run, without an action
_runs: dict[str, TaskContext] = {}
MOST_FRAMES = 25  # of each end of a traceback
#: the head of a result, and its parts
Reply = tuple[dict[str, Any], tuple[codec.Part, ...]]


class Loop:
    """An event loop that runs one async task after the other, and leaves nothing of one to the next."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Any) -> Any:
        """Run a coroutine to its end, and then cancel what it has started and not awaited."""
        loop = self._loop = self._loop or asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(work)
        finally:
            if left := asyncio.all_tasks(loop):
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


def execute(head: Mapping[str, Any], parts: list[codec.Part], runner: ChildRunner, loop: Loop) -> Reply:
    """Run what a ``call`` frame asks for in this thread, an async task in ``loop``; give its result.

    Its head tells whether shared memory that held inputs is let go of.
    """
    with tracked() as mapped:
        reply, encoded = _executed(head, parts, runner, loop)
    return {**reply, "released": release(mapped)}, encoded


def _executed(head: Mapping[str, Any], parts: list[codec.Part], runner: ChildRunner, loop: Loop) -> Reply:
    try:
        learn(head["context"])
        task, inputs = wanted(head, parts)
        with running(head, task, runner):
            value = begun(task, inputs)
            if inspect.iscoroutine(value):
                value = loop.run(value)
            return succeeded(value, task, head)
    except BaseException as error:  # sys.exit and KeyboardInterrupt end the task, never the report
        return failure(error), pickled(error)


async def execute_async(head: Mapping[str, Any], parts: list[codec.Part], runner: ChildRunner) -> Reply:
    """Run what a ``call`` frame asks for in the running event loop, beside others; give its result."""
    with tracked() as mapped:
        reply, encoded = await _executed_async(head, parts, runner)
    return {**reply, "released": release(mapped)}, encoded


async def _executed_async(head: Mapping[str, Any], parts: list[codec.Part], runner: ChildRunner) -> Reply:
    try:
        learn(head["context"])
        task, inputs = wanted(head, parts)
        with running(head, task, runner):
            value = begun(task, inputs)
            if inspect.iscoroutine(value):
                value = await value
            return succeeded(value, task, head)
    except BaseException as error:
        return failure(error), pickled(error)


def begun(task: TaskTemplate, inputs: dict[str, Any]) -> Any:
    """Begin a task: call its function, or let a plugin's class execute it; give its value, or what to await for it."""
    kind = type(task)
    if isinstance(task, ContainerTask):
        from flyte_nb.containers.task import carry_out  # most tasks have no container

        return carry_out(task, inputs)
    if any(getattr(kind, name) is not getattr(AsyncFunctionTaskTemplate, name) for name in ("execute", "pre", "post")):
        return task.execute(**inputs)
    return task.forward(**inputs)


@dataclass(frozen=True)
class Told:
    """Tells the engine of a call that runs here."""

    runner: ChildRunner
    number: str

    def notice(self, text: str) -> None:
        """Tell whoever looks at the run something."""
        self.runner.tell({"op": "step", "id": self.number, "notice": text})

    def give_up(self, error: BaseException) -> None:
        """Give the call's result while it does not return, and end this process."""
        flush()
        self.runner.tell({**failure(error), "op": "result", "id": self.number, "released": False}, pickled(error))
        end_group()


@contextmanager
def running(head: Mapping[str, Any], task: TaskTemplate, runner: ChildRunner) -> Iterator[None]:
    """Be in the context of a call: its run, its number, and who runs the tasks that it calls."""
    number, within = current_call.set(head["id"]), current_runner.set(runner)
    try:
        with entered(context_of(head["context"], Report(task.name))), surrounded(task, Told(runner, head["id"])):
            yield
            if task.report and current_report().has_content():
                flush_report()
    finally:
        current_runner.reset(within)
        current_call.reset(number)
        runner.forget(head["id"])


def learn(told: Mapping[str, Any]) -> None:
    """Learn what a run is, where it is told: with its first call, or with a line."""
    if "of_run" in told:
        _runs[told["run"]] = context_from({**told["of_run"], "action": "", "custom_context": {}})
        if len(_runs) > MOST_RUNS:
            del _runs[next(iter(_runs))]


def context_of(told: Mapping[str, Any], report: Report) -> TaskContext:
    """Make the context of a call of a run that is known."""
    run = _runs[told["run"]]
    return run.replace(
        action=run.action.named(told["action"]),
        task_action=None,
        output_path=f"{run.run_base_dir}/{told['action']}",
        report=report,
        custom_context=dict(told.get("custom_context", {})),
    )


def succeeded(value: Any, task: TaskTemplate, head: Mapping[str, Any]) -> Reply:
    """Check and encode what a task returned.

    Raises
    ------
    RuntimeUserError
        When it is not what the signature says, or does not pickle.
    """
    return {"outputs": list(task.interface.outputs)}, returned(checked(value, task), task, head["root"])


def wanted(head: Mapping[str, Any], parts: list[codec.Part]) -> tuple[TaskTemplate, dict[str, Any]]:
    """Give the task and the inputs that a ``call`` frame names.

    Raises
    ------
    UnknownNameError
        When the module does not hold the task.
    RuntimeDataValidationError
        For an input of the wrong type.
    """
    task = pickling.loads(as_bytes(parts.pop(0))) if head["by_value"] else find_task(head["module"], head["task"])
    task = configured(task, head.get("plugin", ""))
    inputs = codec.decode(parts)
    if head["texts"]:
        return task, task.interface.complete(**task.interface.parse(inputs))
    kinds = task.interface.get_input_types()
    return task, {n: check_value(f"input {n!r}", value, kinds[n], task.name) for n, value in inputs.items()}


@functools.lru_cache(maxsize=4096)
def find_task(module: str, name: str) -> TaskTemplate:
    """Give a task of a module of this process.

    Raises
    ------
    UnknownNameError
        When the module does not hold it.
    """
    known = tasks_in(module_of(module))
    if name not in known:
        raise UnknownNameError("task", name, known)
    return known[name]


def returned(value: Any, task: TaskTemplate, root: bool) -> tuple[codec.Part, ...]:
    """Encode what a task returned; several outputs of a run as a plain tuple, since its names travel beside it.

    Raises
    ------
    RuntimeUserError
        When it does not pickle, or has more bytes inline than the task may have.
    """
    if root and len(task.interface.outputs) > 1:
        value = tuple(value)
    try:
        parts = codec.encode(value, vars(sys.modules[MAIN]))[0]
    except Exception as error:  # a stranger's __reduce__ may raise anything
        raise RuntimeUserError(
            "ResultNotPicklable", f"what {task.name} returned cannot be pickled: {error}. Return plain data"
        ) from error
    values = value if isinstance(value, tuple) else (value,)
    named = dict(zip(task.interface.outputs, values, strict=False))
    codec.insist_inline(named, parts, task.max_inline_io_bytes, "outputs", task.name)
    return parts


def failure(error: BaseException) -> dict[str, Any]:
    """Describe a failure as JSON data: the class, the message, and the frames outside this package."""
    message = f"the task called sys.exit({error.code!r})" if isinstance(error, SystemExit) else said(error)
    return {"failed": True, "code": error.code if isinstance(error, BaseRuntimeError) else type(error).__name__,
            "kind": type(error).__name__, "message": message, "frames": frames(error.__traceback__)}  # fmt: skip


def frames(trace: TracebackType | None) -> list[list[Any]]:
    """Give the frames of a traceback as JSON data; of a long one, as of endless recursion, the two ends."""
    walked = list(traceback.walk_tb(trace))
    between = len(walked) - 2 * MOST_FRAMES
    if between > 0:
        walked = walked[:MOST_FRAMES] + walked[-MOST_FRAMES:]
    summary = traceback.StackSummary.extract(walked)
    found: list[list[Any]] = [[f.filename, f.lineno or 0, f.name, (f.line or "").strip()] for f in summary]
    if between > 0:
        found[MOST_FRAMES - 1][3] += f"\n  … {between} calls in between …"
    return found


def said(error: BaseException) -> str:
    """Give the message of an exception, empty where it cannot say it."""
    try:
        return str(error)
    except Exception:  # a stranger's __str__ may raise anything
        return ""


def pickled(error: BaseException) -> tuple[codec.Part, ...]:
    """Encode an exception, or None where it does not pickle and come back."""
    try:
        parts, _ = codec.encode(error.with_traceback(None), vars(sys.modules[MAIN]))
        codec.decode(parts)
    except Exception:  # a stranger's __reduce__ or __init__ may raise anything
        parts, _ = codec.encode(None)
    return parts
