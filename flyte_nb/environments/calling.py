"""Calling: what happens when a task is called — a plain call, or a child action where an engine runs the caller."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from flyte_nb.errors import (
    BaseRuntimeError,
    RuntimeUserError,
    SyncTaskCallInAsyncContextError,
    TraceDoesNotAllowNestedTasksError,
)

if TYPE_CHECKING:
    from flyte_nb.environments.template import TaskTemplate

__all__ = ["InStep", "Runner", "Step", "current_runner"]


class Runner(Protocol):
    """Whoever runs the tasks that a running task calls; an engine sets one around each run."""

    def call(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a sync task as a child action; block until it is done and give its value."""

    async def acall(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a task as a child action without blocking the event loop, and give its value."""

    def step(self, name: str) -> Step:
        """Record the start of a step of the running task, which ``flyte.trace`` marks."""


class Step(Protocol):
    """A step of a task that is traced."""

    @property
    def context(self) -> Any:
        """What ``flyte.ctx()`` gives inside it."""

    def end(self, error: BaseException | None) -> None:
        """Record its end."""


class InStep:
    """Whoever runs tasks, seen from inside a traced step: further steps are fine, tasks are not.

    Parameters
    ----------
    runner : Runner
        Who runs them outside.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def step(self, name: str) -> Step:
        """Record the start of a further step."""
        return self._runner.step(name)

    def call(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Refuse."""
        raise _nested(task)

    async def acall(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Refuse."""
        raise _nested(task)


def _nested(task: TaskTemplate) -> TraceDoesNotAllowNestedTasksError:
    return TraceDoesNotAllowNestedTasksError(
        f"task {task.name!r} is called inside a step that flyte.trace marks; call it from the task itself, or "
        "its plain function with .forward(…)"
    )


#: set by an engine around a run; None means that a task called is a plain function call
current_runner: ContextVar[Runner | None] = ContextVar("current_runner", default=None)


def refuse_in_loop(name: str) -> None:
    """Refuse to block a running event loop for a sync task.

    Raises
    ------
    SyncTaskCallInAsyncContextError
        When this thread runs an event loop.
    """
    if _loop_runs():
        raise SyncTaskCallInAsyncContextError(
            f"sync task {name!r} is called in an async task, which would block its event loop; "
            f"write  await {name.rpartition('.')[2]}.aio(…)"
        )


def _loop_runs() -> bool:
    asyncio = sys.modules.get("asyncio")  # where nobody has imported it, no loop can run; it is slow to import
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def user_error(error: Exception) -> BaseRuntimeError:
    """Give the error that a plain call of a task raises for an exception of its function: the code is its class."""
    if isinstance(error, BaseRuntimeError):
        return error
    return RuntimeUserError(type(error).__name__, str(error))


async def awaited(result: Awaitable[Any]) -> Any:
    """Await the coroutine of an async task, with its exceptions raised as those of a sync one.

    Raises
    ------
    RuntimeUserError
        For any exception of the function, which is the cause.
    """
    try:
        return await result
    except BaseRuntimeError:
        raise
    except Exception as error:  # the user's own code
        raise user_error(error) from error
