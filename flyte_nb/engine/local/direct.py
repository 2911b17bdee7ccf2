"""Direct: runs of warm tasks in the thread of whoever asks for them, over a line, as long as they are quick.

A run that is quick needs nothing of the engine's event loop but a record. One that takes longer goes on there, where
what it prints is shown as it comes and where it can be cancelled.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from flyte_nb.engine import codec
from flyte_nb.engine.base import Emit, Event, Phase, Run, Work, now
from flyte_nb.engine.local.calls import Call, Outcome
from flyte_nb.engine.local.connections import OfRuns
from flyte_nb.engine.local.exchange import MANY, Exchange
from flyte_nb.engine.local.failures import failure
from flyte_nb.engine.local.line import Closed, Line, Lost
from flyte_nb.engine.local.lines import may_be_direct
from flyte_nb.engine.local.need import Need, import_path
from flyte_nb.engine.segments import LEAST

__all__ = ["Direct", "GoesOn"]

R = TypeVar("R")
QUICK = 0.05  # seconds that a run may take in its caller's thread


@dataclass(frozen=True)
class Fit:
    """What a worker must fit, for a run to be carried out in it."""

    stamp: tuple[Any, ...]
    need: Need
    policy: Any

    @staticmethod
    def of(work: Work, need: Need) -> Fit:
        """Give what some work asks for, as the machine is now."""
        place = (work.definition, work.definition.stamp(), os.getcwd(), import_path())
        return Fit(place, need, (work.policy.environment, work.policy.reusable))


@dataclass(eq=False)
class Had:
    """The line that runs have now."""

    fit: Fit
    line: Line
    connection: OfRuns
    loop: asyncio.AbstractEventLoop


class Direct:
    """The line of this process, and the runs that go over it.

    Parameters
    ----------
    exchange : Exchange
        Gives the lines.
    begin : callable
        Begins the record of a run: gives its call, and the run itself.
    """

    def __init__(self, exchange: Exchange, begin: Callable[[Work, Emit], tuple[Call, Run]]) -> None:
        self._exchange, self._begin = exchange, begin
        self._had: Had | None = None
        self._wanted: Work | None = None
        self._quick = 0

    def run(self, work: Work, need: Need, show: Emit) -> Run | GoesOn | None:
        """Run a task in this thread, or begin to, if there is a line for it.

        Returns
        -------
        Run, GoesOn or None
            The run when it was quick; else what goes on with it. None when it was not begun.
        """
        if not _may_go(work):
            return None
        had, self._wanted = self._had, work
        if had is None or had.fit != Fit.of(work, need) or not had.line.take():
            return None
        events: list[Event] = []
        going: GoesOn | None = None
        try:
            going = GoesOn(self._exchange, had, *self._begin(work, events.append), events)
            if not going.begin():
                self._had = None
                return None
            if not going.wait():
                return going
        except BaseException:  # an interrupt of the cell
            had.line.close()
            if going is not None:
                going.abandon()
            _show(events, show)
            raise
        _show(events, show)
        return going.run

    def consider(self, call: Call, need: Need | None) -> None:
        """Have a line to the worker of a run that has succeeded, where that is wanted, for the next ones."""
        if need is None or self._wanted is not call.work or not self._exchange.may_have(call):
            self._quick = 0
            return
        self._quick += 1
        if self._quick < MANY or (self._had is not None and self._had.connection.is_open):
            return
        connection = self._exchange.connect(call, OfRuns, lambda known: {})
        if connection is not None:
            line = Line(connection.number, connection.end.dup())
            line.patient(QUICK)
            self._had = Had(Fit.of(call.work, need), line, connection, asyncio.get_running_loop())


class GoesOn:
    """A run over the line, from its beginning to its end, in one thread or in two."""

    def __init__(self, exchange: Exchange, had: Had, call: Call, run: Run, events: list[Event]) -> None:
        self._exchange, self._had, self.call, self.run, self._events = exchange, had, call, run, events
        self._number = had.line.number_next()
        self._is_recorded = self._is_answered = False

    def begin(self) -> bool:
        """Send the call; tell whether the line was open."""
        had, call = self._had, self.call
        had.connection.take(self._number, call)
        head = {"t": call.work.task, "context": call.context(set())}
        try:
            had.line.begin(self._number, head, tuple(call.work.inputs))
        except Closed:
            had.connection.calls.pop(self._number, None)
            had.line.close()
            return False
        call.journal.begin()
        self._is_recorded = True
        call.enter(Phase.RUNNING, started=now())
        return True

    def wait(self) -> bool:
        """Wait for the answer as long as a quick run takes; tell whether it was there."""
        try:
            frame = self._had.line.answer(self._number, {})
        except TimeoutError:
            return False
        except Lost:
            self._end(self._on_loop(self._lost()))
        else:
            self._settle(frame)
        return True

    async def go_on(self, tell: Emit) -> Run:
        """Carry it on, on the engine's event loop, and tell what happens and what has happened so far."""
        self.call.journal.tell(tell)
        for event in self._events:
            tell(event)
        self._had.line.patient(None)
        try:
            head, parts = await asyncio.to_thread(self._had.line.answer, self._number, {})
            self._is_answered = True
            if head.get("told"):
                await self._had.connection.hear(self._number)
            await self._leave()
            self._end(self._outcome(head, parts))
        except Lost:
            self._end(await self._lost())
        except BaseException:
            self.abandon()
            raise
        finally:
            self._had.connection.hang_up()
            self._had.line.close()  # a run that was not quick was its last
        return self.run

    def abandon(self) -> None:
        """End what nobody waits for any more, from any thread: the worker, where it still works on it."""
        connection = self._had.connection
        self._had.loop.call_soon_threadsafe(connection.hang_up if self._is_answered else connection.abandon)
        self._had.loop.call_soon_threadsafe(connection.drop, self._number)
        if self._is_recorded and not self.call.action.phase.is_terminal:
            self.call.abort("the run was cancelled")
        self.call.journal.close()

    def _settle(self, frame: codec.Frame) -> None:
        """End a quick run, once all that it has told has arrived."""
        head, parts = frame
        self._is_answered = True
        connection = self._had.connection
        if head.get("told"):
            self._on_loop(connection.hear(self._number))
        elif connection.given.replica.streams.reading:
            self._on_loop(connection.hear(0))
        if self.call.quick or connection.calls[self._number][1].children:
            self._on_loop(self._leave())
        self._end(self._outcome(head, parts))
        connection.reported = self._had.loop.time()
        self._had.line.release()

    async def _lost(self) -> Outcome:
        """Give what became of a call whose worker has ended."""
        outcome = await self._had.connection.lost(self.call.work)
        await self._leave()
        return outcome

    async def _leave(self) -> None:
        """End the tasks that it has called and not waited for, and its lines."""
        await asyncio.gather(*self._had.connection.drop(self._number), return_exceptions=True)
        await self._exchange.end(self.call)

    def _outcome(self, head: dict[str, Any], parts: list[codec.Part]) -> Outcome:
        if head.get("failed"):
            return Outcome(error=failure(head, parts, self.call.work, self.call.clean), cause=tuple(parts))
        return Outcome(tuple(parts), tuple(head["outputs"]))

    def _end(self, outcome: Outcome) -> None:
        self._had.connection.calls.pop(self._number, None)
        self.call.end(outcome)
        self.call.journal.close()
        outcome.tell(self.run)

    def _on_loop(self, work: Coroutine[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(work, self._had.loop).result()


def _show(events: list[Event], show: Emit) -> None:
    for event in events:
        show(event)


def _may_go(work: Work) -> bool:
    """Tell whether a run may go over a line: nothing of it needs the engine, but for a record."""
    policy, settings = work.policy, work.settings
    return (
        may_be_direct(policy)
        and policy.reusable is not None
        and policy.reusable.scope == "global"
        and not (work.definition.pickled or work.texts or settings.name)
        and settings.keep == "never"
        and sum(map(codec.size_of, work.inputs)) < LEAST
    )
