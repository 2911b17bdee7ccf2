"""Exchange: gives tasks lines to the warm workers that they call again and again, and takes them away.

A line is a socket from one worker to another. The exchange keeps a copy of the caller's end, so that it can close it for
writing: then the worker answers what was sent, and reports that it is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.base import Phase, Work, now
from flyte_nb.engine.local.calls import Call, Outcome
from flyte_nb.engine.local.failures import death, failure
from flyte_nb.engine.local.lines import may_be_direct
from flyte_nb.engine.local.pool import Given
from flyte_nb.engine.local.replica import GRACE, Calling, Died, Replica

__all__ = ["Exchange"]

MANY = 3  # calls of a task by another, after which it may have a line
LONGEST = 0.05  # seconds that such a call takes; a line would not make a longer one any quicker
QUIET = 0.5  # seconds without a report, after which a line is closed: its worker idles, or has a long call to show
END = 0.2  # seconds for a worker to end the call that it has when nobody waits for it any more
_BUFFER = 1 << 18

Child = Callable[[Call, dict[str, Any], list[codec.Part]], Awaitable[tuple[dict[str, Any], tuple[codec.Part, ...]]]]


@dataclass(eq=False)
class Connection:
    """One line, and the worker at its end.

    Parameters
    ----------
    number : int
        What both ends know it by.
    parent : Call
        The call that has it.
    given : Given
        The worker, which counts as busy.
    token : int
        The task that it was made for; others that the same workers take may be called over it, too.
    end : socket
        A copy of the caller's end.
    over : Future
        Done when the worker is free again, or has ended.
    """

    number: int
    parent: Call
    given: Given
    token: int
    end: socket.socket
    child: Child
    over: asyncio.Future[None]
    last: int = 0
    reported: float = 0.0
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
        """Hear that the worker has ended."""
        self.hang_up()
        if not self.over.done():
            self.over.set_result(None)

    def told(self, head: dict[str, Any]) -> None:
        """Take what the worker reports of the line."""
        self.reported = asyncio.get_running_loop().time()
        if head["op"] == "over":
            self.gone()
            return
        for number, token, started, ended, group in head["rows"]:
            call = self._call(number, token)
            call.action.task, call.action.group = self.parent.called[token].task, group
            call.action.queued = call.action.started = _time(started)
            self.last = max(self.last, number)
            self.calls.pop(number, None)
            call.enter(Phase.SUCCEEDED, ended=_time(ended))

    def calling(self, number: str) -> Calling:
        """Give what a call on the line is known by here: it prints, has steps, and calls tasks as any other."""
        _, call, token = map(int, number.split("."))
        if call not in self.calls:
            self.running(self._call(call, token))
        return self.calls[call][1]

    def show(self) -> None:
        """Show the call that the worker has in hand since the line is closed, if it has one."""
        if not self.over.done():
            self.running(self._call(self.last + 1, self.token))

    def running(self, call: Call) -> None:
        """Show a call as running."""
        if call.action.started is None:
            call.enter(Phase.RUNNING, started=now())

    def failed(self, number: int, token: int) -> Call:
        """Give the call that has failed."""
        self.last = max(self.last, number)
        call = self._call(number, token)
        self.calls.pop(number, None)
        return call

    def _call(self, number: int, token: int) -> Call:
        known = self.calls.get(number)
        if known is None:
            journal, parent = self.parent.journal, self.parent
            work = parent.called[token]
            action = journal.new_action(work, parent.action.id, f"a{self.number}-{number}")
            call = Call(journal, action, work, parent.env, journal.output_of(action))
            call.given, call.parent_lease = self.given, parent.lease or parent.parent_lease
            calling = self.given.replica.calling(call.output, lambda h, p: self._child(call, h, p), call.step)
            known = self.calls[number] = (call, calling)
        return known[0]

    async def _child(
        self, call: Call, head: dict[str, Any], parts: list[codec.Part]
    ) -> tuple[dict[str, Any], tuple[codec.Part, ...]]:
        """Carry out a task that a call on the line calls: the caller of that one waits, too."""
        self.parent.waits()
        try:
            return await self.child(call, head, parts)
        finally:
            self.parent.goes_on()


class Exchange:
    """The lines of an engine.

    Parameters
    ----------
    take : callable
        Gives an idle warm worker for a call, if there is one and nobody waits.
    child : callable
        Carries out a task that a task called.
    """

    def __init__(self, take: Callable[[Call], Given | None], child: Child) -> None:
        self._take, self._child = take, child
        self._numbers = itertools.count(1)
        self._connections: dict[int, Connection] = {}
        self._background: set[asyncio.Task[None]] = set()

    def consider(self, parent: Call, call: Call, head: dict[str, Any]) -> None:
        """Give a call a line to the workers of one that it has made, if that will make the next ones quicker.

        Parameters
        ----------
        parent, call : Call
            Who called, and what has succeeded.
        head : dict
            The frame that asked for it.
        """
        action, caller = call.action, parent.given
        if caller is None or not may_be_direct(call.work.policy) or call.work.definition.pickled:
            return
        if action.started is None or action.ended is None or (action.ended - action.started).total_seconds() > LONGEST:
            return
        parent.quick += 1
        if parent.quick >= MANY and (given := self._take(call)) is not None and not self._connect(
            parent, caller.replica, given, call.work, head
        ):  # fmt: skip
            self._in_background(given.give_back(failed=False))

    def _connect(self, parent: Call, caller: Replica, given: Given, work: Work, head: dict[str, Any]) -> bool:
        """Give each of two workers an end of a line; tell whether they have it."""
        number = next(self._numbers)
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        loop = asyncio.get_running_loop()
        connection = Connection(
            number, parent, given, head["token"], ours, self._child, loop.create_future(), reported=loop.time()
        )
        told = {
            "op": "line",
            "line": number,
            "module": work.definition.module,
            **parent.told_of_run(given.replica.runs),
        }
        with theirs:
            if not given.replica.hand(told, theirs, connection):
                ours.close()
                return False
        offered = caller.hand({"op": "offer", "line": number, "by": head["by"], "token": head["token"]}, ours)
        self._connections[number] = connection
        self._in_background(self._give_back(connection))
        if offered:
            loop.call_later(QUIET, self._look, connection)
        else:
            connection.hang_up()
        return True

    async def settle(self, parent: Call, head: dict[str, Any], parts: list[codec.Part]) -> Outcome:
        """Record a call on a line that has failed, or whose worker has ended; give what its caller is told."""
        connection = self._connections[head["line"]]
        call = connection.failed(head["number"], head["token"])
        call.action.group = head.get("group", "")
        connection.running(call)
        if "reply" in head:
            outcome = Outcome(error=failure(head["reply"], parts, call.work, call.clean), cause=tuple(parts))
        else:
            replica = connection.given.replica
            await asyncio.wait((replica.process.ended,), timeout=GRACE)
            replica.kill_group()
            outcome = Outcome(error=death(Died(await replica.process.ended, replica.exceeded), call.work.task))
        error = outcome.error
        assert error is not None
        call.enter(Phase.FAILED, ended=now(), error=f"{error.code}: {error}")
        return outcome

    def hang_up(self) -> None:
        """Close all lines: somebody waits for what they hold."""
        for connection in self._connections.values():
            connection.hang_up()

    async def end(self, parent: Call) -> None:
        """End the lines of a call that has ended; a worker that still works on one for it ends, too."""
        mine = [connection for connection in self._connections.values() if connection.parent is parent]
        if not mine:
            return
        for connection in mine:
            connection.hang_up()
        await asyncio.wait([connection.over for connection in mine], timeout=END)
        for connection in mine:
            del self._connections[connection.number]
            if not connection.over.done():
                connection.given.replica.is_stuck = True
                connection.gone()

    def _look(self, connection: Connection) -> None:
        """Close a line that has been quiet for a while; if that is for a long call, show it."""
        loop = asyncio.get_running_loop()
        rest = connection.reported + QUIET - loop.time()
        if not connection.is_open:
            return
        if rest > 0:
            loop.call_later(rest, self._look, connection)
            return
        connection.hang_up()
        loop.call_later(END, connection.show)

    async def _give_back(self, connection: Connection) -> None:
        """Give a worker back when its line is over."""
        await connection.over
        replica = connection.given.replica
        replica.line = None
        await connection.given.give_back(failed=False)

    def _in_background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
