"""Exchange: the course of one request, from its head to the last byte of the response."""

from __future__ import annotations

import asyncio
from typing import Protocol

from flyte_nb.engine.local.apps.proxy import answers, heads
from flyte_nb.engine.local.apps.proxy.balance import Replica
from flyte_nb.engine.local.apps.proxy.request import Headers, Refusal, Request
from flyte_nb.engine.local.apps.proxy.site import Site
from flyte_nb.engine.local.apps.proxy.upstream import ReplicaError, Upstream

__all__ = ["Exchange"]

TRIES = 3  # replicas that a request is offered to; beyond the first only where nothing can have been done twice
MOST_LOST = 2  # replicas that may be sent the same request, and end


class Caller(Protocol):
    """The connection of a client."""

    transport: asyncio.Transport
    full: bool

    def hold(self, why: str, held: bool) -> None:
        """Read the client no further, or again."""

    def next(self, exchange: Exchange) -> None:
        """Take that an exchange is over."""


class Exchange:
    """Passes one request on and the response back; the caller's ``next`` is told when that is over.

    Afterwards ``keep`` says whether the client's connection is good for another request.

    Parameters
    ----------
    site : Site
        The app's gateway.
    caller : Caller
        The client's connection.
    request : Request
        What it asks for.
    """

    def __init__(self, site: Site, caller: Caller, request: Request) -> None:
        self.site, self.caller, self.request = site, caller, request
        self.loop = site.loop
        self.began = self.loop.time()
        self.answered = self.broken = self.switched = False
        self.keep = request.keep_alive
        self.upstream: Upstream | None = None
        self._replica: Replica | None = None
        self._unanswered: Replica | None = None
        self._tried: set[str] = set()
        self._out: list[bytes] = []
        self._sent = self._chunked = self._late = self._failed = False
        self._reused = self._fresh = False
        self._lost = 0
        self._task: asyncio.Task[None] | None = None
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Pass the request on; at once, and without a task, where a connection to a replica is open already."""
        request, site = self.request, self.site
        try:
            if request.malformed is not None:
                raise request.malformed
            if request.method != b"PRI":
                site.access.admit(request)
        except Refusal as refusal:
            self.refuse(refusal)
            self._end()
            return
        site.meter.came(self.began)
        replica = site.balance.pick()
        upstream = None if replica is None or request.upgrade else replica.take(request.is_repeatable())
        if replica is None or upstream is None:
            self._go_on(None, replica)
        else:
            self._count(replica)
            self._send(upstream)

    def cancel(self) -> None:
        """Give up: the client has gone, or what it sends is wrong."""
        if self._task is not None:
            self._task.cancel()
        elif self._replica is not None:
            self._release()
            self.broken = True
            self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._failed:
            self.site.meter.failed()
        self.request.waste()
        self.caller.next(self)

    def _go_on(self, why: ReplicaError | None, first: Replica | None = None) -> None:
        self._task = self.loop.create_task(self._run(why, first))
        self._task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.site.report(error)
            self.broken = True
        self._end()

    async def _run(self, why: ReplicaError | None, first: Replica | None) -> None:
        try:
            await self._try_all(why, first)
        except Refusal as refusal:
            self.refuse(refusal)
        except asyncio.CancelledError:
            if not self._late:
                self.broken = True
                raise
            self._refuse_late()
        except ReplicaError as error:
            self._refuse_failed(error)

    async def _try_all(self, why: ReplicaError | None, first: Replica | None) -> None:
        while len(self._tried) < TRIES:
            try:
                replica = first or await self.site.balance.get(self._tried)
                first = None
            except ReplicaError:
                break
            self._count(replica)
            try:
                await self._try(replica)
                return
            except ReplicaError as error:
                why = error
                if not self._may_repeat(error):
                    break
                self._spare(replica, error)
            finally:
                self._release()
        assert why is not None
        raise why

    async def _try(self, replica: Replica) -> None:
        self._sent = False
        kept = not self.request.upgrade and not self._fresh
        upstream = replica.take(self.request.is_repeatable()) if kept else None
        if upstream is None:
            upstream = await replica.connect()
        self._done = self.loop.create_future()
        self._send(upstream)
        await self._done

    def _may_repeat(self, error: ReplicaError) -> bool:
        """Tell whether a replica may be tried again: nothing can be done twice by that.

        What was sent is sent once more only: a request that ends whoever answers it shall not end them all.
        """
        if self._sent:
            self._lost += 1
        repeats = error.gone and self._lost < MOST_LOST and self.request.is_repeatable()
        return not self.answered and (not self._sent or repeats)

    def _spare(self, replica: Replica, error: ReplicaError) -> None:
        """Let the same replica be tried, once, that only gave up a connection which was open already."""
        if error.gone and self._reused and not self._fresh:
            self._fresh = True
            self._tried.discard(replica.id)

    def _count(self, replica: Replica) -> None:
        replica.begin()
        self._replica = self._unanswered = replica
        self._tried.add(replica.id)
        seconds = self.site.config.request_timeout
        if seconds and self._timer is None and not self.request.upgrade:
            self._timer = self.loop.call_later(seconds, self._expire)

    def _send(self, upstream: Upstream) -> None:
        request = self.request
        self.upstream, self._sent, self._reused = upstream, True, upstream.used
        if request.method == b"PRI":
            self._begin_raw(upstream)
        else:
            upstream.begin(
                self, heads.request_head(request, self.site.address) + request.held(), request.method == b"HEAD"
            )
            request.flow_to(upstream)
        upstream.hold(self.caller.full)

    def _release(self) -> None:
        """Have no more to do with the replica that was tried."""
        replica, self._replica = self._replica, None
        upstream, self.upstream = self.upstream, None
        assert replica is not None
        self._begun()
        if upstream is not None:
            self.caller.hold("replica", False)
            if not self.request.complete:  # what is left of the body has nowhere to go
                upstream.keep = self.keep = False
            if upstream.release():
                replica.put(upstream)
        self.site.balance.release(replica)

    def _settle(self, error: ReplicaError | None) -> None:
        """Take how it went with a replica, where no task waits for that."""
        if self._done is not None:
            if not self._done.done():
                self._done.set_result(None) if error is None else self._done.set_exception(error)
            return
        if (replica := self._replica) is None:
            return
        self._release()
        if error is not None and self._may_repeat(error):
            self._spare(replica, error)
            self._go_on(error)
            return
        if error is not None:
            self._refuse_failed(error)
        self._end()

    def _begin_raw(self, upstream: Upstream) -> None:
        self.answered, self.keep, self.switched = True, False, True
        self._begun()
        upstream.begin_raw(self, self.request.early)
        self.caller.hold("early", False)

    def _expire(self) -> None:
        if self._task is not None:
            self._late = True
            self._task.cancel()
        elif self._replica is not None:
            self._release()
            self._refuse_late()
            self._end()

    def _refuse_late(self) -> None:
        seconds = self.site.config.request_timeout
        self.refuse(Refusal(504, f"The app took longer than the {seconds:g} s that a request may take."))

    def _refuse_failed(self, error: ReplicaError) -> None:
        self.refuse(Refusal(502, f"The app failed to answer: {error}."))

    def _begun(self) -> None:
        if self._unanswered is not None:
            self._unanswered.unanswered -= 1
            self._unanswered = None

    def refuse(self, refusal: Refusal) -> None:
        """Answer in the replica's place; where it has begun to answer, break off."""
        if refusal.status >= 500:
            self._failed = True
        if self.answered:
            self.keep, self.broken = False, True
            return
        self.answered = True
        request = self.request
        if request.method == b"PRI":
            self.broken = True
            return
        kind, body = answers.body(refusal, self.site.config.name, request.headers)
        self.keep = self.keep and request.complete and not request.upgrade and refusal.status != 400
        own = [*refusal.headers, (b"Content-Type", kind)]
        self._write(heads.answer(refusal.status, own, body, not self.keep, request.method == b"HEAD"))

    def _write(self, data: bytes) -> None:
        if not self.caller.transport.is_closing():
            self.caller.transport.write(data)

    # what the connection to the replica calls

    def inform(self, status: int, reason: bytes, headers: Headers) -> None:
        if self.request.version == "1.1":
            self._out.append(heads.informed(status, reason, headers))

    def take_head(self, status: int, reason: bytes, headers: Headers, bodiless: bool) -> None:
        if status == 101 and not self.request.upgrade:
            return  # `switch` is next
        self.answered = True
        self._begun()
        self.site.meter.answered(self.began, self.loop.time())
        if status >= 500:
            self._failed = True
        own = []
        if status == 101:
            upgrade = heads.values(headers, b"upgrade")
            own = [b"Connection: Upgrade\r\nUpgrade: %b\r\n" % (upgrade[0] if upgrade else self.request.upgrade)]
        else:
            if not self.request.complete or self.request.upgrade:
                self.keep = False
            own = self._framing(headers, bodiless)
        self._out.append(heads.response_head(status, reason, headers, own))

    def _framing(self, headers: Headers, bodiless: bool) -> list[bytes]:
        """Say how the body is framed, which may be another way than the replica's."""
        own = []
        chunked = any(name.lower() == b"transfer-encoding" for name, _ in headers)
        sized = not chunked and any(name.lower() == b"content-length" for name, _ in headers)
        if chunked:
            headers[:] = [pair for pair in headers if pair[0].lower() != b"content-length"]
        if not bodiless and not sized:
            if self.request.version == "1.1":
                self._chunked = True
                own.append(b"Transfer-Encoding: chunked\r\n")
            else:
                self.keep = False
        if not self.keep:
            own.append(b"Connection: close\r\n")
        elif self.request.version == "1.0":
            own.append(b"Connection: keep-alive\r\n")
        return own

    def take_body(self, data: bytes) -> None:
        if self._chunked:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def flush(self) -> None:
        if self._out:
            data = b"".join(self._out) if len(self._out) > 1 else self._out[0]
            self._out.clear()
            self._write(data)

    def finish(self, trailers: Headers) -> None:
        if self._chunked:
            self._out.append(b"0\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % pair for pair in trailers))
        self.flush()
        self._settle(None)

    def fail(self, error: ReplicaError) -> None:
        self.flush()
        self._settle(error)

    def switch(self, data: bytes) -> None:
        if not self.request.upgrade:
            self.fail(ReplicaError("it changed the protocol unasked"))
            return
        self.keep, self.switched = False, True
        self.flush()
        upstream = self.upstream
        if upstream is not None:
            upstream.write(self.request.early)
            self._write(data)
        self.caller.hold("early", False)

    def take_raw(self, data: bytes) -> None:
        self._write(data)

    def end_raw(self) -> None:
        self._settle(None)

    def hold(self, full: bool) -> None:
        self.caller.hold("replica", full)
