"""Admission: tasks that ask for cores, memory or GPUs wait until the machine has them."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

from flyte_nb.engine.local.demand import Demand, Fit, cores, demand_of, size
from flyte_nb.engine.local.machine import Machine
from flyte_nb.environments.resources import Resources

__all__ = ["THREAD_VARIABLES", "Admission", "Demand", "Fit", "Lease"]

#: what numeric libraries read to know how many threads to start
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


class Lease:
    """What one execution has of the machine; an asynchronous context manager that gives it back.

    Attributes
    ----------
    demand : Demand
        What it was given for.
    gpus : tuple of int
        The GPUs given, by index.
    cores : frozenset of int or None
        The cores to run on; None where it asked for none or for all, or where processes cannot be bound to cores.
    """

    def __init__(self, admission: Admission, demand: Demand, order: int) -> None:
        self.demand, self.order = demand, order
        self.gpus: tuple[int, ...] = ()
        self.cores: frozenset[int] | None = None
        self._admission = admission
        self._lent = 0
        self._over = False

    @property
    def lent(self) -> bool:
        """Whether its cores are lent, because it waits for a task that it called."""
        return self._lent > 0

    def lend(self) -> contextlib.ExitStack:
        """Give the cores to others while it waits for a task that it called; a context manager that takes them back.

        Memory and GPUs stay with it: its process still holds them. It may be called again while they are lent.
        """
        self._lent += 1
        if self._lent == 1 and not self._over:
            self._admission._changed()
        until = contextlib.ExitStack()
        until.callback(self.take_back)
        return until

    def take_back(self) -> None:
        """Take the cores back, at once: its process goes on whether others have them still or not."""
        self._lent = max(self._lent - 1, 0)

    def release(self) -> None:
        """Give everything back; a second time does nothing."""
        if not self._over:
            self._over = True
            self._admission._release(self)

    async def __aenter__(self) -> Lease:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(order=True)
class _Waiter:
    """One execution in the queue; the order of the queue is that of the first two fields."""

    order: int
    number: int
    demand: Demand = field(compare=False)
    told: Callable[[str], None] = field(compare=False)
    admitted: asyncio.Future[Lease] = field(compare=False)
    reason: str = field(default="", compare=False)


class Admission:
    """Gives the machine to executions, first come first served.

    An execution waits for every earlier one that asks for something of the same kind, so a large one is never passed
    by small ones for ever. A task that a task called has the place of the first of its line, so runs that have begun
    end before others begin. Should whoever has what it lacks only wait for tasks that wait here, the first in the queue
    is let in although there is too little: else all would wait for ever.

    It belongs to one event loop.

    Parameters
    ----------
    machine : Machine
        What there is.
    crowded : callable
        Hears when somebody has to wait.
    """

    def __init__(self, machine: Machine, crowded: Callable[[], None] = lambda: None) -> None:
        self.machine, self._crowded = machine, crowded
        self._leases: set[Lease] = set()
        # whoever asks for the same kinds waits in one queue, so only the first of each can be next
        self._queues: dict[frozenset[str], list[_Waiter]] = {}
        self._numbers = itertools.count()

    @property
    def is_crowded(self) -> bool:
        """Whether somebody waits."""
        return any(self._queues.values())

    def demand_of(self, resources: Resources | None, fit: Fit = "clamp") -> Demand:
        """Give what resources ask of this machine; see `demand.demand_of`."""
        return demand_of(self.machine, resources, fit)

    async def acquire(self, demand: Demand, waiting: Callable[[str], None], parent: Lease | None = None) -> Lease:
        """Wait until the machine has what is asked for; nothing asked is never queued.

        Parameters
        ----------
        demand : Demand
            What is asked for.
        waiting : callable
            Gets the reason for waiting, such as ``"waiting for 2 cpu, 1 free"``, each time there is a new one.
        parent : Lease, optional
            That of the task that called this one, and waits for it.
        """
        number = next(self._numbers)
        order = number if parent is None else parent.order
        if not demand.kinds:
            return self._admit(demand, order)
        waiter = _Waiter(order, number, demand, waiting, asyncio.get_running_loop().create_future())
        queue = self._queues.setdefault(demand.kinds, [])
        bisect.insort(queue, waiter)
        self._changed()
        if not (waiter.admitted.done() or waiter.reason):
            self._tell(waiter, "its turn")
        if not waiter.admitted.done():
            self._crowded()
        try:
            return await waiter.admitted
        except asyncio.CancelledError:
            if waiter.admitted.done() and not waiter.admitted.cancelled():
                waiter.admitted.result().release()
            raise
        finally:
            if waiter in queue:  # it does not wait any more
                queue.remove(waiter)
                self._changed()

    def environment(self, lease: Lease, resources: Resources | None) -> dict[str, str]:
        """Give the variables that keep a task to its lease; the task's own are to win over them.

        The numbers of threads follow the cores asked for, but for variables that this process's environment has.
        ``CUDA_VISIBLE_DEVICES`` has the GPUs given. A task that asked for none finds it as it is here, since code that
        says nothing of resources shall see what the kernel sees; with ``gpu=0`` it sees none.
        """
        variables = {}
        if resources is not None and lease.demand.cpu_limit:
            threads = str(-(-lease.demand.cpu_limit // 1000))
            variables = {name: threads for name in THREAD_VARIABLES if name not in os.environ}
        if lease.gpus or lease.demand.no_gpu:
            variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order in which the indices count
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, lease.gpus))
        return variables

    def free(self) -> dict[str, int]:
        """Give what is free: thousandths of a core, bytes, GPUs. Less than none is free while cores are lent twice."""
        return {
            "cpu": int(self.machine.cores * 1000) - sum(lease.demand.cpu for lease in self._leases if not lease.lent),
            "memory": self.machine.memory - sum(lease.demand.memory or 0 for lease in self._leases),
            "gpu": len(self.machine.gpus) - len({index for lease in self._leases for index in lease.gpus}),
        }

    def _admit(self, demand: Demand, order: int) -> Lease:
        lease = Lease(self, demand, order)
        lease.gpus = self._choose_gpus(demand.gpus)
        lease.cores = self._choose_cores(demand.cpu_limit)
        self._leases.add(lease)
        return lease

    def _release(self, lease: Lease) -> None:
        self._leases.discard(lease)
        self._changed()

    def _changed(self) -> None:
        """Let in whoever can be, in order, and tell the first of those left why they wait."""
        while self._let_in():
            pass

    def _let_in(self) -> bool:
        """Let in the first that can be; tell whether there was one."""
        taken: set[str] = set()  # the kinds that someone earlier waits for
        free = self.free() if any(self._queues.values()) else {}
        for waiter in sorted(queue[0] for queue in self._queues.values() if queue):
            kinds = waiter.demand.kinds
            lacking = _lacking(waiter.demand, free)
            if not taken & kinds and (not lacking or self._stuck(lacking)):
                self._queues[kinds].pop(0)
                if not waiter.admitted.done():  # it may have been cancelled
                    waiter.admitted.set_result(self._admit(waiter.demand, waiter.order))
                return True
            taken |= kinds
            self._tell(waiter, ", ".join(lacking.values()) or "its turn")
        return False

    def _stuck(self, kinds: Iterable[str]) -> bool:
        """Tell whether all that has something of these kinds waits, and nothing that it called runs."""
        running = {lease.order for lease in self._leases if not lease.lent}
        return not any(lease.order in running for lease in self._leases if lease.demand.kinds & set(kinds))

    def _tell(self, waiter: _Waiter, what: str) -> None:
        reason = f"waiting for {what}"
        if reason != waiter.reason:
            waiter.reason = reason
            waiter.told(reason)

    def _choose_gpus(self, count: int) -> tuple[int, ...]:
        if not count:  # most tasks
            return ()
        indices = [gpu.index for gpu in self.machine.gpus]
        return tuple(sorted(_least_used(indices, (lease.gpus for lease in self._leases), count)))

    def _choose_cores(self, limit: int) -> frozenset[int] | None:
        count, numbers = -(-limit // 1000), sorted(self.machine.core_numbers)
        if not count or count >= len(numbers):
            return None
        used = (lease.cores for lease in self._leases if lease.cores and not lease.lent)
        return frozenset(_least_used(numbers, used, count))


def _least_used(numbers: list[int], used: Iterable[Iterable[int]], count: int) -> list[int]:
    """Give those that the fewest use; of these, the first."""
    uses = dict.fromkeys(numbers, 0)
    for number in itertools.chain.from_iterable(used):
        uses[number] = uses.get(number, 0) + 1
    return sorted(numbers, key=lambda number: uses[number])[:count]


def _lacking(demand: Demand, free: dict[str, int]) -> dict[str, str]:
    """Word what is asked for and not free, by kind."""
    told = {}
    if demand.cpu > free["cpu"]:
        told["cpu"] = f"{cores(demand.cpu)} cpu, {cores(max(free['cpu'], 0))} free"
    if (demand.memory or 0) > free["memory"]:
        told["memory"] = f"{size(demand.memory or 0)} memory, {size(max(free['memory'], 0))} free"
    if demand.gpus > free["gpu"]:
        told["gpu"] = f"{demand.gpus} gpu, {max(free['gpu'], 0)} free"
    return told
