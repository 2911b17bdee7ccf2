"""Connections: lines as their engine sees them — who calls over one, who answers, and what is reported of the calls."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from flyte_nb.engine import codec
from flyte_nb.engine.base import Phase, Work, now
from flyte_nb.engine.local.calls import Call, Outcome
from flyte_nb.engine.local.failures import death
from flyte_nb.engine.local.pool import Given
from flyte_nb.engine.local.replica import GRACE, Calling, Died

__all__ = ["Child", "Connection", "OfRuns", "OfTask"]

LOOSE = 0.25  # seconds after which what was printed belongs to the call in hand

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
    #: hears of a call that has ended and may have lines of its own
    left: Callable[[Call], None] = lambda call: None
    calls: dict[int, tuple[Call, Calling]] = field(default_factory=dict)
    #: whether calls may be sent over it
    is_open: bool = True
    #: the last call of which all that was told has arrived
    heard: int = 0
    _hearing: asyncio.Event = field(default_factory=asyncio.Event)

    def hang_up(self) -> None:
        """Close it: what was sent is still answered."""
        if self.is_open:
            self.is_open = False
            self._shut(socket.SHUT_WR)

    def gone(self) -> None:
        """Hear that the worker has ended: whoever waits for it shall hear of it, whatever holds a copy of its end."""
        self.is_open = False
        self._shut(socket.SHUT_RDWR)
        self._over()

    def _shut(self, how: int) -> None:
        with contextlib.suppress(OSError):  # both ends are closed already
            self.end.shutdown(how)

    def _over(self) -> None:
        self.hang_up()
        self.end.close()
        self._hearing.set()
        if not self.over.done():
            self.over.set_result(None)

    def told(self, head: dict[str, Any]) -> None:
        """Take what the worker reports."""
        self.reported = asyncio.get_running_loop().time()
        if head["op"] == "over":
            self._over()
        else:
            self.done(head)
            self._hearing.set()

    def done(self, head: dict[str, Any]) -> None:
        """Take the worker's report of calls that have ended."""

    async def hear(self, number: int) -> None:
        """Wait for all that was told of a call, but not for ever."""
        end = asyncio.get_running_loop().time() + GRACE
        while self.heard < number and not self.over.done() and (rest := end - asyncio.get_running_loop().time()) > 0:
            self._hearing.clear()
            news = asyncio.ensure_future(self._hearing.wait())
            try:
                await asyncio.wait({news}, timeout=rest)  # wait_for of Python before 3.12 may go on when cancelled
            finally:
                news.cancel()

    def drop(self, number: int) -> set[asyncio.Task[None]]:
        """Forget a call that has ended, with the tasks that it has called and not waited for; give those."""
        known = self.calls.pop(number, None)
        if known is None:
            return set()
        call, calling = known
        for task in calling.children:
            task.cancel()
        if call.quick:
            self.left(call)
        return calling.children

    def abandon(self) -> None:
        """End what is under way, if anything is: nobody waits for it any more."""
        if not self.over.done():  # else the worker is not the line's any more
            self.given.replica.is_stuck = True
            self.gone()

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

    async def lost(self, work: Work) -> Outcome:
        """Say what ended the worker that had a call."""
        replica = self.given.replica
        await asyncio.wait((replica.process.ended,), timeout=GRACE)
        await asyncio.wait((self.over,), timeout=GRACE)  # what it has told before
        replica.kill_group()
        died = Died(await asyncio.shield(replica.process.ended), replica.exceeded, replica.process.zygote_ended)
        return Outcome(error=death(died, work.task))


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
    #: those that the caller has told of before the worker did
    _caught: set[int] = field(default_factory=set)
    #: the long ones: while there are some, the caller counts as one that waits
    _long: set[int] = field(default_factory=set)
    #: what native code and processes have printed, by nobody knows yet which call: the time, the stream, the text
    _loose: list[tuple[float, str, str]] = field(default_factory=list)

    def done(self, head: dict[str, Any]) -> None:
        """Record the calls that have ended."""
        for number, token, started, ended, group, error in head["rows"]:
            if self._loose:
                last = head["unread"] and number == head["rows"][-1][0]
                self._give(self.call(number, token), math.inf if last else ended)
            self.heard = number
            if number in self._caught:
                self._caught.discard(number)
            else:
                self._record(number, token, started, ended, group, error)

    def _record(self, number: int, token: int, started: float, ended: float, group: str, error: str = "") -> None:
        call = self.call(number, token)
        call.action.queued = call.action.started = _time(started)
        self._end(number)
        call.action.group = group
        call.enter(Phase.FAILED if error else Phase.SUCCEEDED, ended=_time(ended), error=error)

    def _give(self, call: Call, until: float = math.inf) -> None:
        """Give a call what was printed until some time."""
        mine = [said for said in self._loose if said[0] <= until]
        self._loose = self._loose[len(mine) :]
        for _, stream, text in mine:
            call.output(stream, text)

    def _printed(self, stream: str, text: str) -> None:
        """Take what was printed, until it is known which call has."""
        self._loose.append((self.given.replica.streams.reading, stream, text))
        if len(self._loose) == 1:
            asyncio.get_running_loop().call_later(LOOSE, self._settle)

    def _settle(self) -> None:
        """Give what was printed to the call in hand, or to the one that has the line once it is over."""
        if self._loose and (self.calls or self.over.done()):
            self._give(next(reversed(self.calls.values()))[0] if self.calls else self.parent)
        elif self._loose:
            asyncio.get_running_loop().call_later(LOOSE, self._settle)

    def catch_up(self, answered: list[list[Any]]) -> None:
        """Record calls that have ended, as their caller tells, since the worker has not."""
        before = 0.0
        for number, token, ended, group in answered:
            if number > self.heard and number not in self._caught:
                self._caught.add(number)
                self._record(number, token, before or ended, ended, group)
            before = ended

    def in_hand(self, number: int, token: int, group: str) -> Call | None:
        """Show a call that takes long, unless it has ended meanwhile."""
        if number <= self.heard:
            return None
        call = self.call(number, token)
        call.action.group = group
        self.running(call)
        self._give(call)
        if number not in self._long:
            self._long.add(number)
            self.parent.waits()
        return call

    def running(self, call: Call) -> None:
        """Show a call as running."""
        if call.action.started is None:
            call.enter(Phase.RUNNING, started=now())

    def calling(self, number: str) -> Calling | None:
        """Give what a call on the line is known by here: it prints, has steps, and calls tasks as any other."""
        _, call, token = map(int, number.split("."))
        if call not in self.calls:
            if call <= self.heard or call in self._caught:
                return None
            self.running(self.call(call, token))
        if self._loose:
            self._give(self.calls[call][0])
        return self.calls[call][1]

    def newest(self) -> Calling:
        """Give what stands for the call in hand, whichever it is."""
        return self.given.replica.calling(self._printed, self._nobody, self.parent.step)

    async def _nobody(self, head: dict[str, Any], parts: list[codec.Part]) -> Reply:
        return await self.child(self.parent, head, parts)

    def broken(self, number: int, token: int, group: str) -> Call:
        """Give the call that the worker has not survived."""
        call = self.call(number, token)
        call.action.group = group
        self.running(call)
        self._give(call)
        self._end(number)
        return call

    def abort(self) -> None:
        """Record that the calls that have not ended never will."""
        for number, (call, _) in list(self.calls.items()):
            self._give(call)
            self._end(number)
            call.abort("the run was cancelled")
        self._give(self.parent)

    def _end(self, number: int) -> None:
        self.drop(number)
        if number in self._long:
            self._long.discard(number)
            self.parent.goes_on()

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

    def done(self, head: dict[str, Any]) -> None:
        """Hear that all that a call has printed has arrived."""
        self.heard = head["heard"]


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
