"""Lines: a task's direct way to warm workers that it calls again and again, past its engine.

The engine offers a line when a task has called warm workers a few times, quickly, and nobody else waits for them; it
closes it as soon as somebody does. What is sent on a line before that is carried out; what is not sent any more goes
through the engine, as every call does without a line. So a line changes how long a call takes, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from flyte_nb.engine import codec
from flyte_nb.engine.local.line import DEEP, Closed, Line
from flyte_nb.engine.policy import Policy

__all__ = ["SMALL", "Lines", "may_be_direct"]

SMALL = 1 << 14  # bytes; what is larger is not sent ahead, so that no two ends ever wait for each other to read


def may_be_direct(policy: Policy) -> bool:
    """Tell whether calls of a task may go on a line: its workers are warm, and nothing of a call needs the engine."""
    needs = (policy.timeout, policy.retries, policy.resources, policy.image, *policy.secrets)
    return (
        policy.reusable is not None
        and policy.reusable.concurrency == 1
        and policy.caching.behavior == "disable"
        and not policy.plugin
        and not any(need is not None for need in needs)
    )


class Lines:
    """The lines of one call to the workers of one environment, and those who wait for room on them.

    Parameters
    ----------
    places : int
        How many workers there are at most: as many calls are under way through the engine, and no more, while a line
        may be had.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._lines: list[Line] = []
        self._under_way = 0
        self._turns: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, line: Line) -> None:
        """Have one more."""
        self._lines = [known for known in self._lines if known.is_open]
        self._lines.append(line)
        self.look_again()

    def look_again(self) -> None:
        """Let those who wait look again, from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._wake, DEEP)

    def close(self) -> None:
        """Close all of them."""
        for line in self._lines:
            line.close()
        self._lines = []

    def take(self) -> Line | None:
        """Take one for a call of this thread, if one is free."""
        return next((line for line in self._lines if line.take()), None)

    async def call(
        self,
        over: Callable[[Line], Awaitable[codec.Frame]],
        through: Callable[[], Awaitable[codec.Frame]],
        is_known: Callable[[], bool],
        ahead: str,
    ) -> codec.Frame:
        """Call over a line, or through the engine, as soon as one of both has room; first come, first served.

        Parameters
        ----------
        is_known : callable
            Tells whether the engine knows the task, as it must before it is called over a line.
        ahead : str
            See `Line.has_room`.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        if loop is not asyncio.get_running_loop():
            return await through()
        if self._turns:
            await self._turn()
        while True:
            known = is_known()
            mine = sum(line.is_of(loop) for line in self._lines)
            may_ask = self._under_way < max(self._places - mine, not (mine and known))
            line = self._least_used(loop, ahead) if known else None
            if line is not None and not (line.load and may_ask):  # sent ahead only where no worker is free
                try:
                    return await over(line)
                except Closed:
                    continue
                finally:
                    self._wake(max(1, line.room))
            if may_ask:
                self._under_way += 1
                try:
                    return await through()
                finally:
                    self._under_way -= 1
                    self._wake()
            await self._turn(again=True)

    def _least_used(self, loop: asyncio.AbstractEventLoop, ahead: str) -> Line | None:
        """Give the line with the fewest calls of those that have room."""
        return min(
            (line for line in self._lines if line.has_room(loop, ahead)), key=lambda line: line.load, default=None
        )

    async def _turn(self, again: bool = False) -> None:
        """Wait for a turn; whoever had one and found no room stays first."""
        assert self._loop is not None
        turn: asyncio.Future[None] = self._loop.create_future()
        (self._turns.appendleft if again else self._turns.append)(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake()  # it was its turn already
            raise

    def _wake(self, count: int = 1) -> None:
        """Let the first of those who wait look again whether there is room."""
        while count and self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1
