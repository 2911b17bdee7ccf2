"""Children: how a task in a worker runs the tasks that it calls."""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from flyte_nb.context.task_context import TaskContext, ctx, current_context
from flyte_nb.engine import codec
from flyte_nb.engine.definition import MAIN, definition_of, holds, module_of
from flyte_nb.engine.fingerprint import fingerprint
from flyte_nb.engine.local.line import Closed, Line, Lost
from flyte_nb.engine.local.lines import SMALL, Lines, may_be_direct
from flyte_nb.engine.local.link import Answer, Link
from flyte_nb.engine.policy import Policy, policy_of
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import BaseRuntimeError

__all__ = ["ChildRunner", "current_call"]

#: the number of the call that this thread, or this task of an event loop, works for
current_call: ContextVar[str] = ContextVar("current_call", default="")


class ChildRunner:
    """Runs the tasks that a task calls, through the engine or over a line that it has offered."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._steps = itertools.count(1)
        self._tokens = itertools.count(1)
        #: what the engine was told of each task, by the call that told it and the task's name
        self._told: dict[tuple[str, str], Told] = {}
        #: those to the workers of an environment, by the call that has them and what its workers are told apart by
        self._lines: dict[tuple[Any, ...], Lines] = {}
        link.offered = self._take

    def call(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a child task and wait for it."""
        asked = self._asked(task, inputs)
        while (line := asked.told.line()) is not None:
            try:
                return value_of(self._over(line, asked))
            except Closed:
                continue
        frame = self._link.wait(self._through(asked))
        asked.told.is_known = True
        return value_of(frame)

    async def acall(self, task: TaskTemplate, inputs: dict[str, Any]) -> Any:
        """Run a child task without blocking the loop."""
        asked = self._asked(task, inputs)

        async def through() -> codec.Frame:
            frame = await self._link.awaited(self._through(asked))
            asked.told.is_known = True
            return frame

        async def over(line: Line) -> codec.Frame:
            return await self._aover(line, asked)

        lines = asked.told.lines
        if lines is None:
            return value_of(await through())
        ahead = task.name if sum(map(codec.size_of, asked.parts)) < SMALL else ""
        return value_of(await lines.call(over, through, lambda: asked.told.is_known, ahead))

    def step(self, name: str) -> Step:
        """Record the start of a step of the running task."""
        context = current_context.get()
        assert context is not None
        return Step(self._link, context, f"{context.action.name}.{next(self._steps)}", name)

    def tell(self, head: dict[str, Any], parts: Sequence[codec.Part] = ()) -> None:
        """Tell the engine something of a running call, from any thread."""
        self._link.send(head, parts)

    def _asked(self, task: TaskTemplate, inputs: dict[str, Any]) -> Asked:
        """Put together what a call needs, whichever way it goes."""
        parts, _ = codec.encode(inputs, vars(sys.modules[MAIN]))
        if self._link.segments is not None:
            parts = self._link.segments.shared(parts)
        by = current_call.get()
        known = self._told.get((by, task.name))
        if known is None or known.task is not task:
            known = self._told[by, task.name] = self._told_of(task, by)
        extras: dict[str, Any] = {}
        context = ctx()
        if context.group_data is not None:
            extras["group"] = context.group_data.name
        if context.custom_context:
            extras["custom_context"] = context.custom_context
        if known.ignored is not None:
            extras["inputs_key"] = fingerprint(inputs, known.ignored)
        return Asked(by, known, extras, parts)

    def _told_of(self, task: TaskTemplate, by: str) -> Told:
        """Say what the engine is told of a task; tasks that the same workers take share the lines to them."""
        words, by_value, ignored = told_of(task)
        policy = Policy.from_json(words["policy"])
        lines = None
        if may_be_direct(policy) and not by_value:
            assert policy.reusable is not None
            key = (by, words["policy"], words["module"], *sorted(words["env_vars"].items()))
            if key not in self._lines:
                self._lines[key] = Lines(policy.reusable.max_replicas)
            lines = self._lines[key]
        return Told(task, next(self._tokens), words, by_value, ignored, lines)

    # --- through the engine ---

    def _through(self, asked: Asked) -> Answer:
        """Ask the engine for a call."""
        known = asked.told
        head = {"op": "call", "by": asked.by, "token": known.token, **asked.extras}
        if not known.is_told:
            head["told"], known.is_told = known.words, True
        return self._link.call(head, (*known.by_value, *asked.parts))

    # --- over a line ---

    def _over(self, line: Line, asked: Asked) -> codec.Frame:
        """Carry out a call over a line that this thread has taken."""
        try:
            number, frame = line.call(asked.head, asked.parts)
        except Lost as lost:
            return self._link.wait(self._settle(line, lost.number, asked))
        return self._link.wait(self._settle(line, number, asked, frame)) if frame[0].get("failed") else frame

    async def _aover(self, line: Line, asked: Asked) -> codec.Frame:
        """Carry out a call over a line that this event loop has."""
        try:
            frame = await line.send(asked.head, asked.parts)
        except Lost as lost:
            return await self._link.awaited(self._settle(line, lost.number, asked))
        if not frame[0].get("failed"):
            return frame
        return await self._link.awaited(self._settle(line, frame[0]["n"], asked, frame))

    def _settle(self, line: Line, number: int, asked: Asked, failed: codec.Frame | None = None) -> Answer:
        """Tell the engine of a call that a worker has failed, or has not survived; its answer is the error."""
        head = {"op": "call", "by": asked.by, "line": line.number, "number": number, "token": asked.told.token}
        if failed is None:
            return self._link.call({**head, **asked.extras, "answered": answered(line)}, ())
        return self._link.call({**head, **asked.extras, "reply": failed[0]}, failed[1])

    def _take(self, head: dict[str, Any], end: socket.socket) -> None:
        """Take a line that the engine offers, unless the call that it is for has ended."""
        for (by, _), told in list(self._told.items()):
            if by == head["by"] and told.token == head["token"] and told.lines is not None:
                told.lines.add(Line(head["line"], end, self._slow(by, told.lines)))
                return
        end.close()

    def _slow(self, by: str, lines: Lines) -> Callable[[Line, int, dict[str, Any]], None]:
        """Give what tells the engine of a call that takes long, and lets others go another way."""

        def slow(line: Line, number: int, head: dict[str, Any]) -> None:
            self._link.call({"op": "call", "by": by, "line": line.number, "number": number, "token": head["k"],
                             "group": head.get("group", ""), "answered": answered(line), "long": True}, ())  # fmt: skip
            lines.look_again()

        return slow

    def forget(self, call: str) -> None:
        """Forget what was told for a call that has ended."""
        for key in [key for key in self._told if key[0] == call]:
            del self._told[key]
        for key in [key for key in self._lines if key[0] == call]:
            self._lines.pop(key).close()


@dataclass(eq=False)
class Told:
    """What the engine is told of a task by one call that calls it.

    Parameters
    ----------
    token : int
        The number that it is known by afterwards.
    words : dict
        Where it is found, and what its settings ask.
    by_value : tuple of bytes
        The task itself, where no module holds it.
    ignored : tuple of str, optional
        The inputs that no cache counts; None where none is used.
    lines : Lines, optional
        The lines to its workers, where there may be some.
    """

    task: TaskTemplate
    token: int
    words: dict[str, Any]
    by_value: tuple[bytes, ...]
    ignored: tuple[str, ...] | None
    lines: Lines | None
    is_told: bool = False
    is_known: bool = False

    def line(self) -> Line | None:
        """Take a line, if there is one for it and nobody uses it."""
        return self.lines.take() if self.lines is not None and self.is_known else None


class Asked(NamedTuple):
    """A call that a task makes, whichever way it goes."""

    by: str
    told: Told
    extras: dict[str, Any]
    parts: tuple[codec.Part, ...]

    @property
    def head(self) -> dict[str, Any]:
        """What a worker is told of it on a line."""
        return {"t": self.told.task.name, "k": self.told.token, **self.extras}


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


def answered(line: Line) -> list[list[Any]]:
    """Give the last calls on a line that were answered: the number, the token, the time, the group."""
    return [[number, head["k"], time, head.get("group", "")] for number, head, time in line.answered]


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
