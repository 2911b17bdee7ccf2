"""Slots: how many at a time, first come first served — and a parent that waits for its child takes none."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["Slots"]


class Slots:
    """A number of places.

    Parameters
    ----------
    most : int
        How many may be taken at a time.
    crowded : callable
        Hears when somebody has to wait.
    """

    def __init__(self, most: int, crowded: Callable[[], None] = lambda: None) -> None:
        self.most, self.taken, self.lent = most, 0, 0
        self._crowded = crowded
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    async def take(self) -> None:
        """Take a place, once one is free."""
        if self.take_now():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._crowded()
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled():
                self.give_back()  # it was its turn already
            raise

    def take_now(self) -> bool:
        """Take a place if one is free; tell whether it was."""
        free = self.taken < self.most and not self._waiting
        self.taken += free
        return free

    def give_back(self) -> None:
        """Give a place back."""
        self.taken -= 1
        self._next()

    def lend(self) -> None:
        """Let others have a place, while its owner waits for one of them."""
        self.lent += 1
        self.give_back()

    def take_back(self) -> None:
        """Have a lent place again at once, if need be one over the most."""
        self.lent -= 1
        self.taken += 1

    def _next(self) -> None:
        while self._waiting and self.taken < self.most:
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
