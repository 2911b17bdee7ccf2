"""Connections: lines as their engine sees them — who calls over one, who answers, and what is reported of the calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from flyte_nb.engine import codec
from flyte_nb.engine.base import Phase, now
from flyte_nb.engine.local.calls import Call, Outcome
from flyte_nb.engine.local.failures import death
from flyte_nb.engine.local.pool import Given
from flyte_nb.engine.local.replica import GRACE, Calling, Died

__all__ = ["Child", "Connection", "OfRuns", "OfTask"]

Reply = tuple[dict[str, Any], tuple[codec.Part, ...]]


class Child(Protocol):
    """Carries out a task that a task called."""

    def __call__(self, parent: Call, head: dict[str, Any], parts: list[codec.Part]) -> Awaitable[Reply]:
        """Carry it out, and give what the caller is told."""


@dataclass(eq=False)
class Connection:
    """One line, and the worker at its end.

    Parameters
    ----------
    number : int
        What both ends know it by.
    given : Given
        The worker, which counts as busy.
    end : socket
        A copy of the caller's end.
    child : Child
        Carries out tasks that the calls on it call.
    over : Future
        Done when the worker is free again, or has ended.
    """

    number: int
    given: Given
    end: socket.socket
    child: Child
    over: asyncio.Future[None]
    #: when something was last heard of it, by the clock of the event loop
    reported: float
    calls: dict[int, tuple[Call, Calling]] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether calls may be sent over it."""
        return self.end.fileno() >= 0

    def hang_up(self) -> None:
        """Close it: what was sent is still answered."""
        if self.is_open:
            with contextlib.suppress(OSError):  # both ends are closed already
                self.end.shutdown(socket.SHUT_WR)
            self.end.close()

    def gone(self) -> None:
        """Hear that the worker has ended, or answers the line no more."""
        self.hang_up()
        if not self.over.done():
            self.over.set_result(None)

    def told(self, head: dict[str, Any]) -> None:
        """Take what the worker reports."""
        self.reported = asyncio.get_running_loop().time()
        if head["op"] == "over":
            self.gone()
        else:
            self.done(head)

    def done(self, head: dict[str, Any]) -> None:
        """Take the worker's report of calls that have ended."""

    def show(self) -> None:
        """Show the call that the worker has in hand since the line was closed, if it has one."""

    def calling(self, number: str) -> Calling | None:
        """Give what a call on the line is known by here; None for one that has ended."""
        known = self.calls.get(int(number.split(".")[1]))
        return None if known is None else known[1]

    def newest(self) -> Calling | None:
        """Give the newest call that has not ended."""
        return next(reversed(self.calls.values()))[1] if self.calls else None

    def take(self, number: int, call: Call, waits: Call | None = None) -> Call:
        """Take in a call; ``waits`` is the one that made it."""

        async def child(head: dict[str, Any], parts: list[codec.Part]) -> Reply:
            if waits is not None:
                waits.waits()
            try:
                return await self.child(call, head, parts)
            finally:
                if waits is not None:
                    waits.goes_on()

        call.given = self.given
        self.calls[number] = call, self.given.replica.calling(call.output, child, call.step)
        return call

    async def lost(self, call: Call) -> Outcome:
        """Say what ended the worker that had a call."""
        replica = self.given.replica
        await asyncio.wait((replica.process.ended,), timeout=GRACE)
        replica.kill_group()
        died = Died(await replica.process.ended, replica.exceeded, replica.process.zygote_ended)
        return Outcome(error=death(died, call.work.task))


@dataclass(eq=False, kw_only=True)
class OfTask(Connection):
    """The line of a task, to workers whose tasks it calls.

    Parameters
    ----------
    parent : Call
        The call of the task.
    token : int
        The task that the line was made for; others that the same workers take may be called over it, too.
    """

    parent: Call
    token: int
    last: int = 0

    def done(self, head: dict[str, Any]) -> None:
        """Record the calls that have ended."""
        for number, token, started, ended, group in head["rows"]:
            call = self.call(number, token)
            call.action.task, call.action.group = self.parent.called[token].task, group
            call.action.queued = call.action.started = _time(started)
            self._end(number)
            call.enter(Phase.SUCCEEDED, ended=_time(ended))

    def show(self) -> None:
        """Show the call that the worker has in hand since the line was closed, if it has one."""
        if not self.over.done():
            self.running(self.call(self.last + 1, self.token))

    def running(self, call: Call) -> None:
        """Show a call as running."""
        if call.action.started is None:
            call.enter(Phase.RUNNING, started=now())

    def calling(self, number: str) -> Calling | None:
        """Give what a call on the line is known by here: it prints, has steps, and calls tasks as any other."""
        _, call, token = map(int, number.split("."))
        if call not in self.calls:
            self.running(self.call(call, token))
        return self.calls[call][1]

    def newest(self) -> Calling | None:
        """Give the newest call that is known here, or the one that has the line, which makes them all."""
        return super().newest() or self.given.replica.calling(self.parent.output, self._nobody, self.parent.step)

    async def _nobody(self, head: dict[str, Any], parts: list[codec.Part]) -> Reply:
        return await self.child(self.parent, head, parts)

    def failed(self, number: int, token: int) -> Call:
        """Give the call that has failed."""
        call = self.call(number, token)
        self._end(number)
        self.running(call)
        return call

    def _end(self, number: int) -> None:
        self.last = max(self.last, number)
        self.calls.pop(number, None)

    def call(self, number: int, token: int) -> Call:
        """Give a call by its number, taken in when it is first heard of."""
        if number in self.calls:
            return self.calls[number][0]
        journal, parent = self.parent.journal, self.parent
        work = parent.called[token]
        action = journal.new_action(work, parent.action.id, f"a{self.number}-{number}")
        call = Call(journal, action, work, parent.env, journal.output_of(action))
        call.parent_lease = parent.lease or parent.parent_lease
        call.callers = (*parent.callers, parent.work.task)
        return self.take(number, call, waits=parent)


@dataclass(eq=False, kw_only=True)
class OfRuns(Connection):
    """The line of this process, to workers whose tasks are run here again and again."""

    heard: int = 0
    _hearing: asyncio.Event = field(default_factory=asyncio.Event)

    def done(self, head: dict[str, Any]) -> None:
        """Hear that all that a call has printed has arrived."""
        self.heard = head["heard"]
        self._hearing.set()

    async def hear(self, number: int) -> None:
        """Wait for what a call has printed, but not for ever."""
        while self.heard < number and not self.over.done():
            self._hearing.clear()
            await asyncio.wait_for(self._hearing.wait(), GRACE)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
