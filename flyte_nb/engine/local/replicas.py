"""Replicas: the warm workers of one environment, between the bounds of its `ReusePolicy`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from flyte_nb.engine import codec
from flyte_nb.engine.base import Work
from flyte_nb.engine.local.need import Need
from flyte_nb.engine.local.replica import Died, Output, Replica
from flyte_nb.engine.local.slots import Slots
from flyte_nb.environments.durations import duration
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.errors import BaseRuntimeError

__all__ = ["Replicas", "Shared", "Starter"]


class Starter(Protocol):
    """Whoever starts the processes: the pool."""

    async def start(self, need: Need, output: Output) -> Replica:
        """Start a process; it counts as alive until it is forgotten."""

    def forget(self, replica: Replica) -> None:
        """Note that a process has ended."""

    def crowded(self) -> None:
        """Hear that a call has to wait for a worker."""


@dataclass(frozen=True)
class Shared:
    """A warm worker, for one call of several."""

    replica: Replica
    ready: codec.Frame
    replicas: Replicas

    def lend(self) -> None:
        """Let others have the call's place: a process that runs one task at a time waits, so another joins it."""
        self.replicas.lend(self.replica)

    def take_back(self) -> None:
        """Have the place again."""
        self.replicas.take_back(self.replica)

    async def give_back(self, failed: bool) -> None:
        """Give it back; what a failed call has left of it, the worker knows itself."""
        await self.replicas.give_back(self.replica)


@dataclass(eq=False)
class Start:
    """A worker that is about to be there: calls that it will have room for wait for it, and start no other.

    Parameters
    ----------
    done : Future
        The worker and its ``ready`` frame; cancelled with whoever started it.
    """

    done: asyncio.Future[tuple[Replica, codec.Frame]]
    hoping: int = 0
    replica: Replica | None = None

    async def wait(self) -> None:
        """Wait until it is there, or will not be."""
        self.hoping += 1
        try:
            await asyncio.wait((self.done,))
        finally:
            self.hoping -= 1


class Replicas:
    """Warm workers that fit the same work.

    Parameters
    ----------
    pool : Starter
        Starts and forgets their processes.
    fit : tuple
        What makes work fit: its definition, variables, interpreter and policy.
    need : Need
        What their processes need.
    policy : ReusePolicy
        How many there are, how many async tasks each runs at a time, and how long they idle.
    fills : bool
        Whether as many as the policy's minimum are started with the first one.
    """

    def __init__(
        self, pool: Starter, fit: tuple[Any, ...], need: Need, policy: ReusePolicy, fills: bool = True
    ) -> None:
        self.fit, self._pool, self._need, self._policy = fit, pool, need, policy
        self.slots = Slots(policy.max_replicas * policy.concurrency, pool.crowded)
        self._all: list[Replica] = []
        self._starting: list[Start] = []
        self._busy: Counter[Replica] = Counter()
        self._waits: Counter[Replica] = Counter()
        self._idle_since: dict[Replica, float] = {}
        self._retired, self._filled = False, not fills
        self._sweep: asyncio.TimerHandle | None = None
        self._background: set[asyncio.Task[Any]] = set()

    async def take(self, work: Work, output: Output) -> Shared:
        """Give a worker with room for one more call; started when need be, and then its ``ready`` may tell a failure.

        Raises
        ------
        Died
            When its process ends before it is ready.
        """
        await self.slots.take()
        try:
            replica, ready = await self._found(work, output)
        except BaseException:
            self.slots.give_back()
            raise
        self._busy[replica] += 1
        self._idle_since.pop(replica, None)
        return Shared(replica, ready, self)

    def take_idle(self) -> Shared | None:
        """Give a worker that has nothing to do, if there is one and nobody waits."""
        replica = self._free()
        if replica is None or self._calls(replica) or not self.slots.take_now():
            return None
        self._busy[replica] += 1
        self._idle_since.pop(replica, None)
        return Shared(replica, ({}, []), self)

    async def give_back(self, replica: Replica) -> None:
        """Have a worker back after a call; one that is of no use any more, or one too many, is ended."""
        self._busy[replica] -= 1
        self.slots.give_back()
        if not replica.is_alive:
            if self._leave(replica):
                await self._ended(replica.kill(), replica)
        elif not self._calls(replica):
            self._idles(replica)

    def lend(self, replica: Replica) -> None:
        """Let others have a place of a worker whose call waits for a task that it called."""
        self._waits[replica] += 1
        self.slots.lend()

    def take_back(self, replica: Replica) -> None:
        """Let the call have its place again."""
        self._waits[replica] -= 1
        self.slots.take_back()

    def retire(self) -> None:
        """Take no more calls: idle workers end now, the others after their calls."""
        self._retired = True
        for replica in list(self._idle_since):
            self._end(replica)

    def close(self) -> None:
        """Forget the timers; the pool ends the processes."""
        self._retired = True
        if self._sweep is not None:
            self._sweep.cancel()

    async def _found(self, work: Work, output: Output) -> tuple[Replica, codec.Frame]:
        """Give a worker that has room, or will have once it has started, or is started for this."""
        while True:
            replica = self._free()
            if replica is not None:
                return replica, ({}, [])
            start = next((s for s in self._starting if not s.done.done() and s.hoping < self._policy.concurrency), None)
            if start is None:
                return await self._start(work, output)
            await start.wait()
            if not start.done.cancelled():
                return start.done.result()

    def _free(self) -> Replica | None:
        """Give the worker with the least to do that has room; an async call that waits for its child leaves some."""
        at_once = self._policy.concurrency

        def load(replica: Replica) -> int:
            return self._calls(replica) - (self._waits[replica] if at_once > 1 else 0)

        return min((r for r in self._all if r.is_alive and load(r) < at_once), key=load, default=None)

    def _calls(self, replica: Replica) -> int:
        """Count the calls that a worker has, and those that it has just started for."""
        return self._busy[replica] + sum(start.hoping for start in self._starting if start.replica is replica)

    async def _start(self, work: Work, output: Output, hoping: int = 1) -> tuple[Replica, codec.Frame]:
        """Start a worker, for so many calls that wait for it already."""
        start = Start(asyncio.get_running_loop().create_future(), hoping)
        self._starting = [known for known in self._starting if known.hoping or not known.done.done()]
        self._starting.append(start)
        try:
            start.replica, ready = await self._started(work, output)
        except BaseException as error:
            if isinstance(error, Exception):
                start.done.set_exception(error)
                start.done.exception()  # nobody may be waiting
            else:
                start.done.cancel()
            raise
        finally:
            start.hoping -= hoping
        start.done.set_result((start.replica, ready))
        if not start.replica.is_stuck and not self._filled:
            self._filled = True
            self._in_background(self._fill(work))
        return start.replica, ready

    async def _started(self, work: Work, output: Output) -> tuple[Replica, codec.Frame]:
        replica = await self._pool.start(self._need, output)
        try:
            ready = await replica.load(work, self._policy.concurrency)
        except BaseException:
            await replica.kill()
            self._pool.forget(replica)
            raise
        self._all.append(replica)
        replica.output = _nowhere
        replica.is_stuck = bool(ready[0].get("failed"))
        return replica, ready

    async def _fill(self, work: Work) -> None:
        """Start workers up to the minimum, one after the other, as far as they start."""
        with contextlib.suppress(Died, BaseRuntimeError):
            while len(self._all) + self._coming() < self._policy.min_replicas and not self._retired:
                replica, _ = await self._start(work, _nowhere, hoping=0)
                if not self._calls(replica):
                    self._idles(replica)

    def _coming(self) -> int:
        return sum(not start.done.done() for start in self._starting)

    def _idles(self, replica: Replica) -> None:
        """Keep a worker that has nothing to do, for a while, unless it is one too many."""
        if self._retired or len(self._all) > self._policy.max_replicas + self.slots.lent:
            self._end(replica)
        else:
            self._idle_since[replica] = asyncio.get_running_loop().time()
            self._plan_sweep()

    def _leave(self, replica: Replica) -> bool:
        """Take a worker out; tell whether it was in."""
        self._idle_since.pop(replica, None)
        if replica not in self._all:
            return False
        self._all.remove(replica)
        return True

    def _end(self, replica: Replica) -> None:
        """Let an idle worker end, without waiting for it."""
        if self._leave(replica):
            self._in_background(self._ended(replica.end(), replica))

    async def _ended(self, ending: Awaitable[None], replica: Replica) -> None:
        await ending
        self._pool.forget(replica)

    # --- idle workers ---

    def _plan_sweep(self) -> None:
        """Look again when the first idle worker is due."""
        if self._sweep is None and self._idle_since:
            due = min(self._idle_since.values()) + self._patience()
            self._sweep = asyncio.get_running_loop().call_at(due, self._swept)

    def _patience(self) -> float:
        """Give how long a worker may idle, in seconds: those above the minimum less long."""
        above = len(self._all) > self._policy.min_replicas
        ttl = self._policy.get_scaledown_ttl() if above else duration(self._policy.idle_ttl)
        return max(ttl, timedelta(0)).total_seconds()

    def _swept(self) -> None:
        self._sweep = None
        time = asyncio.get_running_loop().time()
        for replica, since in sorted(self._idle_since.items(), key=lambda item: item[1]):
            above = len(self._all) > self._policy.min_replicas
            if (above or len(self._idle_since) == len(self._all)) and time - since >= self._patience() - 0.01:
                self._end(replica)
        self._plan_sweep()

    def _in_background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _nowhere(stream: str, text: str) -> None:
    """Drop what a worker prints that works on nothing."""
