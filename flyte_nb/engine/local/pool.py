"""Pool: gives each call a worker — a process of its own, or a warm one where the environment says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from flyte_nb.engine import codec
from flyte_nb.engine.base import Work
from flyte_nb.engine.local.bounds import PROCESSES, bounded
from flyte_nb.engine.local.forking import Processes
from flyte_nb.engine.local.guard import Guard
from flyte_nb.engine.local.limits import MemoryLimit
from flyte_nb.engine.local.need import Need
from flyte_nb.engine.local.replica import Output, Replica
from flyte_nb.engine.local.replicas import Replicas
from flyte_nb.engine.local.slots import Slots
from flyte_nb.engine.segments import Part, Segments
from flyte_nb.errors import RuntimeSystemError

__all__ = ["Given", "Pool", "environment"]

#: processes that run one call each at a time; those that wait for a child do not count
MOST = max(32, 4 * (os.cpu_count() or 1))
#: tasks that wait for their children at a time, each with a process of its own
MOST_WAITING = 500
R = TypeVar("R", bound=Replica)
#: what marks a kernel, and what importing Ray leaves, as when an error of it is read: no reason to start workers again
_KERNEL_ONLY = ("JPY_", "PYDEVD", "IPYKERNEL", "FLYTE_NB_NOTEBOOK", "RAY_CLIENT_MODE")


class Given(Protocol):
    """A worker for one call."""

    @property
    def replica(self) -> Replica:
        """The worker."""

    @property
    def ready(self) -> codec.Frame:
        """What loading its module came to."""

    def lend(self) -> None:
        """Let others have the call's place while it waits for a task that it called."""

    def take_back(self) -> None:
        """Have the place again."""

    async def give_back(self, failed: bool) -> None:
        """Give the worker back after the call; ``failed`` says that the call did not come to its end."""


@dataclass(frozen=True)
class Alone:
    """A worker that has one call and ends with it; whatever happens, nothing of it is left."""

    replica: Replica
    ready: codec.Frame
    slots: Slots
    forget: Callable[[Replica], None]

    def lend(self) -> None:
        """Let others have the call's place."""
        self.slots.lend()

    def take_back(self) -> None:
        """Have the place again."""
        self.slots.take_back()

    async def give_back(self, failed: bool) -> None:
        """End the process, at once where its call failed."""
        try:
            if failed:
                await self.replica.kill()
            else:
                await self.replica.end()
        except BaseException:
            await self.replica.kill()
            raise
        finally:
            self.forget(self.replica)
            self.slots.give_back()


class Pool:
    """Workers for the running event loop; another loop begins with none.

    Parameters
    ----------
    fills : bool
        Whether warm workers are started up to their minimum, for calls to come.
    """

    def __init__(self, fills: bool = True) -> None:
        self.fills = fills
        self._guard = Guard()
        self.segments = Segments(made=self._guard.begin)
        self._limits = MemoryLimit()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._processes: dict[tuple[Any, ...], Processes] = {}
        self._alive: set[Replica] = set()
        self._warm: dict[tuple[Any, ...], Replicas] = {}
        #: hears when a call has to wait for a worker
        self.crowded: Callable[[], None] = lambda: None
        self._slots = Slots(MOST, self._is_crowded)

    def _is_crowded(self) -> None:
        self.crowded()

    def take_idle(self, work: Work, need: Need, fit: tuple[Any, ...], run: str) -> Given | None:
        """Give a warm worker that has nothing to do, if there is one and no call waits for a worker."""
        if self._slots.waiting or any(replicas.slots.waiting for replicas in self._warm.values()):
            return None
        return self._replicas(work, need, fit, run).take_idle()

    async def take(self, work: Work, need: Need, fit: tuple[Any, ...], run: str, output: Output) -> Given:
        """Give a worker for one call of a run; whoever takes it gives it back.

        Parameters
        ----------
        work : Work
            What it will do.
        need : Need
            What its process needs.
        fit : tuple
            What else makes a warm worker fit: the module as it is now, the working directory, the import path.
        """
        if work.policy.reusable is None:
            return await self._alone(work, need, output)
        return await self._replicas(work, need, fit, run).take(work, output)

    async def _alone(self, work: Work, need: Need, output: Output) -> Alone:
        slots = self._slots  # those that it gives back to, should the pool close meanwhile
        if slots.lent > MOST_WAITING:
            raise RuntimeSystemError(
                "TooManyWaiting", f"{slots.lent} tasks wait for tasks that they called; does a task call itself?"
            )
        await slots.take()
        try:
            replica: Replica = await self.start(need, output)
        except BaseException:
            slots.give_back()
            raise
        try:
            return Alone(replica, await replica.load(work), slots, self.forget)
        except BaseException:
            await Alone(replica, ({}, []), slots, self.forget).give_back(failed=True)
            raise

    def _replicas(self, work: Work, need: Need, fit: tuple[Any, ...], run: str) -> Replicas:
        """Give the warm workers for some work; those of the same environment that fit no more are ended."""
        policy = work.policy.reusable
        assert policy is not None
        scope = (work.policy.environment, run if policy.scope == "run" else "")
        fit = (*fit, need, policy)
        known = self._warm.get(scope)
        if known is not None:
            if known.fit == fit:
                return known
            known.retire()
        made = self._warm[scope] = Replicas(self, fit, need, policy, self.fills)
        return made

    async def start(self, need: Need, output: Output, kind: type[R] = Replica) -> R:  # type: ignore[assignment]
        """Start a process, as a replica of some kind; it counts as alive until it is forgotten."""
        key = (need.python, need.sys_path)
        if key not in self._processes:
            self._processes[key] = Processes(need.python, None if need.sys_path is None else list(need.sys_path))
        process = await self._processes[key].start(need.env, os.getcwd(), kind.grace)
        replica = kind(process, output, self.segments)
        replica.watching.enter_context(bounded(PROCESSES + need.processes)).apply_to(replica.pid)
        if need.memory is not None:
            await replica.watching.enter_async_context(self._limits.watch(replica.pid, need.memory, replica.exceed))
        if need.cores is not None:
            with contextlib.suppress(OSError):  # it may have ended already
                os.sched_setaffinity(replica.pid, need.cores)
        self._alive.add(replica)
        assert self.segments.folder  # the guard begins with it
        self._guard.watch(replica.pid, kind.grace)
        return replica

    def shared(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Give the parts of a call's inputs with the large ones in the shared memory of the running event loop."""
        self.enter_loop()
        return self.segments.shared(parts)

    def forget(self, replica: Replica) -> None:
        """Note that a process has ended."""
        if replica in self._alive:
            self._alive.discard(replica)
            self._guard.release(replica.pid)

    def end_run(self, run: str) -> None:
        """End the warm workers that were for one run."""
        for scope in [scope for scope in self._warm if scope[1] == run]:
            self._warm.pop(scope).retire()

    async def close(self) -> None:
        """End every worker and what starts them."""
        if self._loop is asyncio.get_running_loop():
            for replicas in self._warm.values():
                replicas.close()
            await asyncio.gather(*(replica.kill() for replica in list(self._alive)))
            await self._limits.close()
        self._drop()

    def enter_loop(self) -> None:
        """Belong to the running event loop from now on; what another one had ends."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._drop()
            self._loop = loop

    def _drop(self) -> None:
        for replica in self._alive:
            replica.kill_group()
        for processes in self._processes.values():
            processes.close()
        self._processes.clear()
        self._alive.clear()
        self._warm.clear()
        self._slots = Slots(MOST, self._is_crowded)
        self._guard.close()
        self.segments.remove()


def environment() -> dict[str, str]:
    """Give the variables that every worker has: this process's own without the kernel's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_KERNEL_ONLY)}
    if own.get("MPLBACKEND", "").startswith("module://matplotlib_inline"):
        del own["MPLBACKEND"]  # it draws into the kernel, which a worker is not
    return own
