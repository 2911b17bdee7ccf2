"""Balance: which replica a request goes to, and the queue of those that wait for one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterable

from flyte_nb.engine.local.apps.proxy.request import Refusal
from flyte_nb.engine.local.apps.proxy.upstream import ReplicaError, Upstream
from flyte_nb.engine.local.apps.traffic import Backend

__all__ = ["Balance", "Replica"]

REUSE = 1.5  # seconds that a connection is kept for the next request: servers close them after 2 and more
REUSE_ONCE = 0.5  # the same for a request that is not sent twice: it is lost with a server that closes earlier
CONNECTING = 5.0  # seconds for a replica to accept a connection
DOWN = 1.0  # seconds that a replica which did not accept one is passed over
PATIENCE = 1.0  # seconds to wait for another replica where the one there is does not accept connections


class Replica:
    """A replica, and the connections to it that wait for work."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.id = backend, backend.id
        self.loop = asyncio.get_running_loop()
        self.in_flight = 0
        self.unanswered = 0  # requests whose response has not begun
        self.heard = self.loop.time()
        self.down_until = 0.0
        self.stuck = self.gone = False
        self._idle: list[Upstream] = []

    def begin(self) -> None:
        """Count a request."""
        self.in_flight += 1
        self.unanswered += 1
        if self.unanswered == 1:
            self.heard = self.loop.time()

    def hear(self) -> None:
        self.heard = self.loop.time()
        self.stuck = False
        self.down_until = 0.0

    def lose(self, upstream: Upstream) -> None:
        with contextlib.suppress(ValueError):
            self._idle.remove(upstream)

    def take(self, repeatable: bool) -> Upstream | None:
        """Give a connection that is open already, for a request that may be sent twice or not."""
        oldest = self.loop.time() - (REUSE if repeatable else REUSE_ONCE)
        while self._idle and self._idle[-1].since > oldest:
            upstream = self._idle.pop()
            if not upstream.transport.is_closing():
                return upstream
        return None

    def put(self, upstream: Upstream) -> None:
        """Take a connection back for the next request."""
        if self.gone:
            upstream.transport.close()
        else:
            upstream.since = self.loop.time()
            self._idle.append(upstream)

    def tidy(self) -> None:
        """Close what has waited for too long."""
        oldest = self.loop.time() - (0 if self.gone else REUSE)
        while self._idle and self._idle[0].since <= oldest:
            self._idle.pop(0).transport.close()

    async def connect(self) -> Upstream:
        """Open a connection.

        Raises
        ------
        ReplicaError
            When the replica does not accept it.
        """
        opening = self.loop.create_connection(lambda: Upstream(self), self.backend.host, self.backend.port)
        try:
            _, upstream = await asyncio.wait_for(opening, CONNECTING)
        except (OSError, asyncio.TimeoutError):
            self.down_until = self.loop.time() + DOWN
            raise ReplicaError("it does not accept connections") from None
        return upstream


class Balance:
    """Hands out replicas: the one with the fewest requests, in turn where several have as few.

    Parameters
    ----------
    most_waiting : int
        How many requests may wait for a replica.
    wait : float
        Seconds that each may.
    urgent : callable
        Called when a request has to wait.
    drained : callable
        Takes the id of a replica that is no longer offered and has no request left, if anybody asked.
    """

    def __init__(
        self, most_waiting: int, wait: float, urgent: Callable[[], None], drained: Callable[[str], None]
    ) -> None:
        self._most_waiting, self._wait = most_waiting, wait
        self._urgent, self._drained = urgent, drained
        self.replicas: dict[str, Replica] = {}
        self.leaving: dict[str, Replica] = {}
        self._order: list[Replica] = []
        self._turn = 0
        self._asked: set[str] = set()
        self.waiting: deque[asyncio.Future[None]] = deque()
        #: why nobody needs to wait for a replica
        self.why = ""

    def set(self, backends: Iterable[Backend]) -> None:
        """Offer these replicas from now on, and no others."""
        before, self.replicas = self.replicas, {}
        for backend in backends:
            self.replicas[backend.id] = before[backend.id] if backend.id in before else Replica(backend)
        for name in before.keys() - self.replicas.keys():
            self._leave(before[name])
        self._order = list(self.replicas.values())
        self._wake()

    def refuse(self, why: str) -> None:
        """Let nobody wait for a replica, for this reason; ``""`` lets them wait again."""
        self.why = why
        self._wake()

    def _leave(self, replica: Replica) -> None:
        replica.gone = True
        replica.tidy()
        if replica.in_flight:
            self.leaving[replica.id] = replica
        else:
            self._tell(replica.id)

    def ask(self, name: str) -> None:
        """Have it told when a replica is drained."""
        if name in self.replicas or name in self.leaving:
            self._asked.add(name)
        else:
            self._drained(name)

    def release(self, replica: Replica) -> None:
        """Count one request less."""
        replica.in_flight -= 1
        if replica.gone and not replica.in_flight:
            self.leaving.pop(replica.id, None)
            self._tell(replica.id)

    def _tell(self, name: str) -> None:
        if name in self._asked:
            self._asked.discard(name)
            self._drained(name)

    def pick(self, excluded: Collection[str] = ()) -> Replica | None:
        """Give the replica for the next request, if there is one; one that does not answer comes last."""
        best: Replica | None = None
        least = (True, True, 1 << 60)
        count = len(self._order)
        self._turn += 1
        for place in range(count):
            replica = self._order[(self._turn + place) % count]
            if replica.id in excluded:
                continue
            rank = (replica.stuck, replica.down_until > replica.loop.time(), replica.in_flight)
            if best is None or rank < least:
                best, least = replica, rank
        return best

    async def get(self, excluded: Collection[str]) -> Replica:
        """Give the replica for a request, waiting for one if need be.

        Parameters
        ----------
        excluded : collection of str
            Those that it has been tried on.

        Raises
        ------
        Refusal
            503 when too many wait already, none came in time, or none will come.
        ReplicaError
            When there are only excluded ones, for a while.
        """
        if (replica := self.pick(excluded)) is not None:
            return replica
        self._insist_one_may_come()
        if len(self.waiting) >= self._most_waiting:
            raise Refusal(503, "Too many requests wait for a replica. Try again later.", [(b"Retry-After", b"5")])
        ends = asyncio.get_running_loop().time() + self._wait
        while True:
            only_tried = any(name in self.replicas for name in excluded)
            await self._changed(PATIENCE if only_tried else ends - asyncio.get_running_loop().time())
            if (replica := self.pick(excluded)) is not None:
                return replica
            self._insist_one_may_come()
            if only_tried and any(name in self.replicas for name in excluded):
                raise ReplicaError("there is no other replica")
            if asyncio.get_running_loop().time() >= ends:
                raise Refusal(503, "No replica was ready in time. Try again later.", [(b"Retry-After", b"5")])

    def _insist_one_may_come(self) -> None:
        if self.why:
            raise Refusal(503, self.why)

    async def _changed(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        self._urgent()
        try:
            await asyncio.wait((future,), timeout=max(0.0, seconds))
        finally:
            with contextlib.suppress(ValueError):
                self.waiting.remove(future)

    def _wake(self) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
