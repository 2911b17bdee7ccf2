"""Exchange: gives lines to those who call warm workers again and again, and takes them away.

A line is a socket from a task's process, or from this one, to a warm worker. The exchange keeps a copy of the caller's
end, so that it can close it for writing: then the worker answers what was sent, and reports that it is free.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from flyte_nb.engine import codec
from flyte_nb.engine.base import Action, Phase, now
from flyte_nb.engine.local.calls import Call, Outcome
from flyte_nb.engine.local.connections import Child, Connection, OfRuns, OfTask
from flyte_nb.engine.local.failures import failure
from flyte_nb.engine.local.lines import may_be_direct
from flyte_nb.engine.local.pool import Given
from flyte_nb.errors import RuntimeSystemError

__all__ = ["Exchange"]

MANY = 3  # calls of warm workers, after which there may be a line
LONGEST = 0.05  # seconds that such a call takes; a line would not make a longer one any quicker
QUIET = 0.5  # seconds without a report, after which a line is closed: its worker idles, or has a long call in hand
END = 0.2  # seconds for a worker to end the call that it has when nobody waits for it any more
_BUFFER = 1 << 18

C = TypeVar("C", bound=Connection)


class Exchange:
    """The lines of an engine.

    Parameters
    ----------
    take : callable
        Gives an idle warm worker for a call, if there is one and nobody waits.
    child : Child
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
        caller = parent.given
        if caller is None or not self.may_have(call):
            return
        parent.quick += 1
        if parent.quick < MANY:
            return

        def make(**known: Any) -> OfTask:
            return OfTask(**known, parent=parent, token=head["token"])

        line = self.connect(call, make, parent.told_of_run)
        if line is not None:
            offer = {"op": "offer", "line": line.number, "by": head["by"], "token": head["token"]}
            if not caller.replica.hand(offer, line.end):
                line.hang_up()

    def may_have(self, call: Call) -> bool:
        """Tell whether a line to the workers of a call that has succeeded would make the next ones quicker."""
        return may_be_direct(call.work.policy) and not call.work.definition.pickled and _is_quick(call.action)

    def connect(self, call: Call, make: Callable[..., C], told: Callable[[set[str]], dict[str, Any]]) -> C | None:
        """Give an idle worker that fits a call one end of a line; None where there is none.

        Parameters
        ----------
        make : callable
            Makes the connection of what all have in common.
        told : callable
            Gives what the worker is told beside the line, by the runs that it knows.
        """
        given = self._take(call)
        if given is None:
            return None
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        loop, number = asyncio.get_running_loop(), next(self._numbers)
        connection = make(number=number, given=given, end=ours, child=self._child, over=loop.create_future(),
                          reported=loop.time(), left=self._leave)  # fmt: skip
        frame = {"op": "line", "line": number, "module": call.work.definition.module, **told(given.replica.runs)}
        with theirs:
            if not given.replica.hand(frame, theirs, connection):
                ours.close()
                given.replica.runs.discard(frame.get("run", ""))  # it has not heard of it
                self._in_background(given.give_back(failed=False))
                return None
        self._connections[number] = connection
        self._in_background(self._give_back(connection))
        loop.call_later(QUIET, self._look, connection)
        return connection

    async def settle(self, parent: Call, head: dict[str, Any], parts: list[codec.Part]) -> Outcome:
        """Take what a caller tells of a call on its line, and give what it is told.

        The call takes long, has failed, or its worker has ended.
        """
        connection = self._connections.get(head["line"])
        if not isinstance(connection, OfTask):
            return Outcome(error=RuntimeSystemError("TaskEnded", "the task that made this call has ended"))
        number, token, group = head["number"], head["token"], head.get("group", "")
        if "reply" in head:
            await connection.hear(number)
            error = failure(head["reply"], parts, parent.called[token], parent.clean)
            return Outcome(error=error, cause=tuple(parts))
        if "long" in head:
            connection.catch_up(head["answered"])
            connection.in_hand(number, token, group)
            return Outcome()
        outcome = await connection.lost(parent.called[token])
        connection.catch_up(head["answered"])
        call, lost = connection.broken(number, token, group), outcome.error
        assert lost is not None
        call.enter(Phase.FAILED, ended=now(), error=f"{lost.code}: {lost}")
        return outcome

    def hang_up(self) -> None:
        """Close all lines: somebody waits for what they hold."""
        for connection in self._connections.values():
            connection.hang_up()

    async def end(self, parent: Call) -> None:
        """End the lines of a call that has ended; a worker that still works on one for it ends, too."""
        mine = [c for c in self._connections.values() if isinstance(c, OfTask) and c.parent is parent]
        if mine:
            await asyncio.shield(self._in_background(self._end(mine)))

    async def _end(self, connections: list[OfTask]) -> None:
        for connection in connections:
            connection.hang_up()
        await asyncio.wait([connection.over for connection in connections], timeout=END)
        for connection in connections:
            self._connections.pop(connection.number, None)
            if not connection.over.done():
                connection.abandon()
            connection.abort()

    def _leave(self, parent: Call) -> None:
        """End the lines of a call that was made over a line itself."""
        self._in_background(self.end(parent))

    def _look(self, connection: Connection) -> None:
        """Close a line that has been quiet for a while: its worker idles, or has a long call in hand."""
        loop = asyncio.get_running_loop()
        rest = connection.reported + QUIET - loop.time()
        if rest <= 0:
            connection.hang_up()
        elif connection.is_open:
            loop.call_later(rest, self._look, connection)

    async def _give_back(self, connection: Connection) -> None:
        """Give a worker back when its line is over."""
        await connection.over
        connection.given.replica.line = None
        if isinstance(connection, OfRuns):
            self._connections.pop(connection.number, None)
        await connection.given.give_back(failed=False)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _is_quick(action: Action) -> bool:
    if action.started is None or action.ended is None:
        return False
    return (action.ended - action.started).total_seconds() < LONGEST
