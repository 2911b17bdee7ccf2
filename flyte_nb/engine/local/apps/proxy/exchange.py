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


class Caller(Protocol):
    """The connection of a client."""

    transport: asyncio.Transport
    full: bool

    def hold(self, why: str, held: bool) -> None:
        """Read the client no further, or again."""


class Exchange:
    """Passes one request on and the response back.

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
        self._sent = False
        self.answered = self.broken = self.switched = False
        self.keep = request.keep_alive
        self.upstream: Upstream | None = None
        self._replica: Replica | None = None
        self._out: list[bytes] = []
        self._chunked = self._late = self._replica_failed = False
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Do it. Afterwards ``keep`` says whether the client's connection is good for another request."""
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        try:
            await self._pass_on()
        except Refusal as refusal:
            self.refuse(refusal)
        except asyncio.CancelledError:
            if not self._late:
                self.broken = True
                raise  # the client has gone
            seconds = self.site.config.request_timeout
            self.refuse(Refusal(504, f"The app took longer than the {seconds:g} s that a request may take."))
        except ReplicaError as error:
            self.refuse(Refusal(502, f"The app failed to answer: {error}."))
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._replica_failed:
                self.site.meter.failed()

    async def _pass_on(self) -> None:
        site, request = self.site, self.request
        if request.malformed is not None:
            raise request.malformed
        if request.method != b"PRI":
            heads.check(request, site.prefix)
            site.access.admit(request)
        site.meter.came(self.began)
        tried: set[str] = set()
        why: ReplicaError | None = None
        while len(tried) < TRIES:
            try:
                replica = await site.balance.get(tried)
            except ReplicaError:
                break
            replica.begin()
            self._replica = replica
            try:
                await self._try(replica)
                return
            except ReplicaError as error:
                why = error
                if self.answered or not self._may_repeat(error):
                    break
                tried.add(replica.id)
            finally:
                self._begun()
                site.balance.release(replica)
        assert why is not None
        raise why

    def _may_repeat(self, error: ReplicaError) -> bool:
        return not self._sent or (error.gone and self.request.is_repeatable())

    async def _try(self, replica: Replica) -> None:
        request, config = self.request, self.site.config
        self._sent = False
        if config.request_timeout is not None and self._timer is None and not request.upgrade:
            self._timer = self.loop.call_later(config.request_timeout, self._expire)
        upstream = None if request.upgrade else replica.take()
        if upstream is None:
            upstream = await replica.connect()
        self.upstream = upstream
        self.done: asyncio.Future[None] = self.loop.create_future()
        try:
            self._sent = True
            if request.method == b"PRI":
                self._begin_raw(upstream)
            else:
                upstream.begin(self, heads.request_head(request, self.site.address), request.method == b"HEAD")
                request.flow_to(upstream)
            upstream.hold(self.caller.full)
            await self.done
        finally:
            self.upstream = None
            if not request.complete:  # what is left of the body has nowhere to go
                upstream.keep = self.keep = False
            if upstream.release():
                replica.put(upstream)

    def _begin_raw(self, upstream: Upstream) -> None:
        self.answered, self.keep, self.switched = True, False, True
        self._begun()
        upstream.begin_raw(self, self.request.early)
        self.caller.hold("early", False)

    def _expire(self) -> None:
        self._late = True
        self._task.cancel()

    def _begun(self) -> None:
        if self._replica is not None:
            self._replica.unanswered -= 1
            self._replica = None

    def refuse(self, refusal: Refusal) -> None:
        """Answer in the replica's place; where it has begun to answer, break off."""
        if refusal.status >= 500:
            self._replica_failed = True
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
        self.answered = True
        self._begun()
        self.site.meter.answered(self.began, self.loop.time())
        if status >= 500:
            self._replica_failed = True
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
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: ReplicaError) -> None:
        self.flush()
        if not self.done.done():
            self.done.set_exception(error)

    def switch(self, data: bytes) -> None:
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
        if not self.done.done():
            self.done.set_result(None)

    def hold(self, full: bool) -> None:
        self.caller.hold("replica", full)
