"""Children: how a task in a worker runs the tasks that it calls."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any

from flyte_nb.context.scopes import get_custom_context
from flyte_nb.context.task_context import ctx
from flyte_nb.engine import codec
from flyte_nb.engine.definition import MAIN, definition_of, holds, module_of
from flyte_nb.engine.local.link import Link
from flyte_nb.engine.policy import policy_of
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import BaseRuntimeError

__all__ = ["ChildRunner", "current_call"]

#: the number of the call that this thread, or this task of an event loop, works for
current_call: ContextVar[str] = ContextVar("current_call", default="")


class ChildRunner:
    """Runs the tasks that a task calls, through the engine."""

    def __init__(self, link: Link) -> None:
        self._link = link
        #: what each task's calls say of it, made once for the same task object
        self._told: dict[str, tuple[TaskTemplate, dict[str, Any], tuple[bytes, ...]]] = {}

    def call(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a child task and wait for it."""
        return value_of(self._link.wait(self._ask(task, inputs)))

    async def acall(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a child task without blocking the loop."""
        return value_of(await self._link.awaited(self._ask(task, inputs)))

    def _ask(self, task: TaskTemplate, inputs: dict[str, Any]) -> Future[codec.Frame]:
        parts, _ = codec.encode(inputs, vars(sys.modules[MAIN]))
        known = self._told.get(task.name)
        if known is None or known[0] is not task:
            known = self._told[task.name] = (task, *told_of(task))
        _, told, by_value = known
        group = ctx().group_data
        head = {
            **told,
            "by": current_call.get(),
            "custom_context": get_custom_context(),
            "group": group.name if group is not None else "",
        }
        return self._link.call(head, (*by_value, *parts))


def told_of(task: TaskTemplate) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Say of a task, to the engine, where it is found and what its settings ask; itself, where no module holds it."""
    found = holds(module_of(task.__module__), task)
    head = {
        "op": "call",
        "task": task.name,
        "module": task.__module__,
        "by_value": not found,
        "env_vars": dict(task.env_vars or {}),
        "policy": policy_of(task).to_json(),
    }
    return head, () if found else (definition_of(task).pickled,)


def value_of(frame: codec.Frame) -> Any:
    """Give the value of a child's result, or raise what failed it."""
    head, parts = frame
    if not head.get("failed"):
        return codec.decode(parts, last=True)
    error: BaseException = codec.decode(parts[: head["cause"]])
    error.__cause__ = original(parts[head["cause"] :]) or error.__cause__
    raise error


def original(parts: Sequence[codec.Part]) -> BaseException | None:
    """Decode the exception that a task raised; None where it did not travel."""
    try:
        value = codec.decode(parts) if parts else None
    except Exception:  # its class may not exist here
        return None
    return value if isinstance(value, BaseException) and not isinstance(value, BaseRuntimeError) else None
