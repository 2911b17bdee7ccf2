"""Children: how a task in a worker runs the tasks that it calls."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from flyte_nb.context.task_context import TaskContext, ctx, current_context
from flyte_nb.engine import codec
from flyte_nb.engine.definition import MAIN, definition_of, holds, module_of
from flyte_nb.engine.fingerprint import fingerprint
from flyte_nb.engine.local.link import Answer, Link
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
        self._steps = itertools.count(1)
        self._tokens = itertools.count(1)
        #: what the engine was told of each task, by the call that told it and the task's name
        self._told: dict[tuple[str, str], Told] = {}

    def call(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a child task and wait for it."""
        return value_of(self._link.wait(self._ask(task, inputs)))

    async def acall(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a child task without blocking the loop."""
        return value_of(await self._link.awaited(self._ask(task, inputs)))

    def step(self, name: str) -> Step:
        """Record the start of a step of the running task."""
        context = current_context.get()
        assert context is not None
        return Step(self._link, context, f"{context.action.name}.{next(self._steps)}", name)

    def _ask(self, task: TaskTemplate, inputs: dict[str, Any]) -> Answer:
        parts, _ = codec.encode(inputs, vars(sys.modules[MAIN]))
        by = current_call.get()
        known = self._told.get((by, task.name))
        head: dict[str, Any] = {"op": "call", "by": by}
        if known is None or known.task is not task:
            known = self._told[by, task.name] = Told(task, next(self._tokens), *told_of(task))
            head["told"] = known.words
        head["token"] = known.token
        context = ctx()
        if context.group_data is not None:
            head["group"] = context.group_data.name
        if context.custom_context:
            head["custom_context"] = context.custom_context
        if known.ignored is not None:
            head["inputs_key"] = fingerprint(inputs, known.ignored)
        return self._link.call(head, (*known.by_value, *parts))

    def forget(self, call: str) -> None:
        """Forget what was told for a call that has ended."""
        for key in [key for key in self._told if key[0] == call]:
            del self._told[key]


class Told(NamedTuple):
    """What the engine was told of a task by one call that calls it."""

    task: TaskTemplate
    token: int
    words: dict[str, Any]
    by_value: tuple[bytes, ...]
    ignored: tuple[str, ...] | None


class Step:
    """A traced step of a task, as an action of its own.

    Parameters
    ----------
    link : Link
        Where it is told.
    outside : TaskContext
        What holds outside it.
    number : str
        Its action.
    name : str
        The name of the function.
    """

    def __init__(self, link: Link, outside: TaskContext, number: str, name: str) -> None:
        self.context = outside.replace(action=outside.action.named(number))
        self._link = link
        self._told = {
            "op": "step",
            "id": current_call.get(),
            "action": number,
            "parent": outside.action.name,
            "name": name,
        }
        self._link.send({**self._told, "phase": "running"})

    def end(self, error: BaseException | None) -> None:
        """Record its end."""
        if error is None or isinstance(error, GeneratorExit):
            self._link.send({**self._told, "phase": "succeeded"})
        else:
            self._link.send({**self._told, "phase": "failed", "error": f"{type(error).__name__}: {error}"})


def told_of(task: TaskTemplate) -> tuple[dict[str, Any], tuple[bytes, ...], tuple[str, ...] | None]:
    """Say of a task where it is found and what its settings ask; what travels with it; which inputs no cache counts."""
    found = holds(module_of(task.__module__), task)
    policy = policy_of(task)
    head = {
        "task": task.name,
        "module": task.__module__,
        "by_value": not found,
        "env_vars": dict(task.env_vars or {}),
        "policy": policy.to_json(),
    }
    ignored = policy.caching.ignored if policy.caching.behavior != "disable" else None
    return head, () if found else (definition_of(task).pickled,), ignored


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
