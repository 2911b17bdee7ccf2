"""Limits: a task that takes more memory than it may is ended, with all of its processes; so is nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from flyte_nb.engine.local.bounds import Bounds, bounded
from flyte_nb.engine.local.cgroups import Group, make_group
from flyte_nb.engine.local.demand import size
from flyte_nb.engine.local.processes import Processes, Tree, kill, peak_of, proportional, reset_peak
from flyte_nb.errors import OOMError

__all__ = ["TICK", "Bounds", "Exceeded", "MemoryLimit", "Watch", "bounded", "out_of_memory", "peak_of"]

TICK = 0.02  # seconds between two samples
SHARE = 0.1  # of one core: the most that exact samples take, as they are slow for large processes
RARELY = 5.0  # seconds between exact samples of a tree that changes little and is under its limit even as it seems
REMOVING = 5.0  # seconds for a control group to become empty
OOM_COUNTS = {1: "memory.oom_control", 2: "memory.events"}


@dataclass(frozen=True)
class Exceeded:
    """A task went over its limit: the limit and the most it had, in bytes."""

    limit: int
    peak: int


class Watch:
    """What is known of one watched task.

    Attributes
    ----------
    limit : int or None
        In bytes; without one it is not sampled.
    peak : int
        The most bytes of memory that were seen; whole at the end of the watch.
    exceeded : Exceeded or None
        Set once it is over its limit.
    """

    def __init__(self, pid: int, limit: int | None, on_exceeded: Callable[[Exceeded], None] | None) -> None:
        self.limit, self.peak = limit, 0
        self.exceeded: Exceeded | None = None
        self.tree = Tree(pid)
        self.group: Group | None = None
        self._told = on_exceeded
        self._settled, self._next_exact = 0, 0.0  # as it seemed in the last exact sample, and when the next is due

    async def sample(self) -> None:
        """Look at its memory, and end it where it has too much."""
        if self.limit is None or self.exceeded:
            return
        seems = self.tree.memory()
        if seems > self.peak:
            self.peak = max(self.peak, seems if len(self.tree.members) < 2 else await self._exactly(seems))
        self.check()  # the system may have ended a part of it between two samples, and the others may have grown

    def check(self) -> None:
        """End it if it is over its limit, or if the system ended a part of it for that."""
        if self.limit is None or self.exceeded:
            return
        if self.group and self.group.field(OOM_COUNTS[self.group.version], "oom_kill"):
            self.peak = max(self.peak, self.limit)
        elif self.peak <= self.limit:
            return
        kill(self.tree)
        self.exceeded = Exceeded(self.limit, self.peak)
        if self._told:
            self._told(self.exceeded)

    async def _exactly(self, seems: int) -> int:
        """Give its memory, with what its processes share counted once; 0 where that can wait, as it is slow."""
        began = time.monotonic()
        over = self.limit is not None and seems > self.limit
        calm = not over and abs(seems - self._settled) * 16 < seems  # then only the peak is of interest
        if began < self._next_exact + (RARELY if calm else 0):
            return 0
        exact = await asyncio.to_thread(proportional, list(self.tree.members))
        now = time.monotonic()
        self._settled, self._next_exact = seems, now + (now - began) / SHARE
        return exact


class MemoryLimit:
    """Watches the memory of tasks; one loop samples them all, and none runs while nothing is watched.

    Every 20 ms the memory of a task's processes is added up: their own and shared memory, not what they map of files,
    which the system can drop. Where that is over the limit, all of them are killed. What they share is counted once.
    Where this user may make control groups, the system holds the task to its limit as well, so that not even a fast
    one gets past it: there it is ended at the limit, elsewhere up to 20 ms later.

    Parameters
    ----------
    limit_bytes : int, optional
        The limit of a watch that is given none.
    control_groups : bool
        Whether to make control groups where that is allowed.
    """

    def __init__(self, limit_bytes: int | None = None, control_groups: bool = True) -> None:
        self._limit, self._control_groups = limit_bytes, control_groups
        self._watches: set[Watch] = set()
        self._processes = Processes()
        self._sampling: asyncio.Task[None] | None = None
        self._removing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def watch(
        self, pid: int, limit: int | None = None, on_exceeded: Callable[[Exceeded], None] | None = None
    ) -> AsyncIterator[Watch]:
        """Watch a process and all that it starts.

        Parameters
        ----------
        pid : int
            The first process; it leads a session or a process group of its own.
        limit : int, optional
            The most bytes of memory for all of them together. Without one nothing is sampled, and the peak is that
            of the first process alone.
        on_exceeded : callable, optional
            Called once the tree was killed.
        """
        watch = Watch(pid, self._limit if limit is None else limit, on_exceeded)
        reset_peak(pid)
        if watch.limit is not None:
            self._processes.begin(watch.tree)
            watch.group = _group(watch.tree, watch.limit) if self._control_groups else None
            self._watches.add(watch)
            if self._sampling is None or self._sampling.done():
                self._sampling = asyncio.create_task(self._sample())
        try:
            yield watch
        finally:
            self._end(watch, pid)

    def _end(self, watch: Watch, pid: int) -> None:
        watch.check()
        self._watches.discard(watch)
        if not self._watches and self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None
        watch.peak = max(watch.peak, peak_of(pid) or 0)
        if watch.group is not None:
            task = asyncio.create_task(_remove(watch.group))
            self._removing.add(task)
            task.add_done_callback(self._removing.discard)

    async def _sample(self) -> None:
        while self._watches:
            self._processes.look([watch.tree for watch in self._watches])
            for watch in list(self._watches):
                await watch.sample()
            await asyncio.sleep(TICK)

    async def close(self) -> None:
        """Wait until the control groups are gone; watches have to be over."""
        await asyncio.gather(*self._removing)


def _group(tree: Tree, limit: int) -> Group | None:
    """Make a control group that holds a tree to a limit; None where that is not allowed."""
    group = make_group("memory", "flyte-nb")
    if group is None:
        return None
    if group.version == 2:
        held = group.write("memory.max", limit)
        group.write("memory.swap.max", 0)
        group.write("memory.oom.group", 1)
    else:
        held = group.write("memory.limit_in_bytes", limit)
        group.write("memory.memsw.limit_in_bytes", limit)  # it is not everywhere
    if held and all(group.add(number) for number in tree.members or (tree.root,)):
        return group
    group.release()
    group.remove()
    return None


async def _remove(group: Group) -> None:
    """Remove a group; processes that go on go back to where they were."""
    until = time.monotonic() + REMOVING
    group.release()
    while not group.remove() and time.monotonic() < until:
        await asyncio.sleep(TICK)
        group.release()


def out_of_memory(exceeded: Exceeded) -> OOMError:
    """Word the end of a task that went over its limit; the code is that of Kubernetes."""
    unit = 1 << 30 if exceeded.limit >= 1 << 30 else 1 << 20
    more = size(max(-(-2 * exceeded.limit // unit), 1) * unit)
    limit, peak = f"limit {size(exceeded.limit)}", f"peak {size(exceeded.peak)}"
    return OOMError("OOMKilled", f'OutOfMemory: {limit}, {peak}; ask for more: resources=Resources(memory="{more}")')
