"""Service: one app as a whole — how many replicas there are, which get requests, what becomes of those that end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from flyte_nb.engine.local.apps.failures import AppFailure, exit_told, not_started
from flyte_nb.engine.local.apps.gateway import Gateway, terms
from flyte_nb.engine.local.apps.grounds import Grounds
from flyte_nb.engine.local.apps.links import front_of, variables_of
from flyte_nb.engine.local.apps.log import AppLog
from flyte_nb.engine.local.apps.ports import insist_free
from flyte_nb.engine.local.apps.replica import AppReplica
from flyte_nb.engine.local.apps.restarts import Restarts
from flyte_nb.engine.local.apps.scaler import Scaler
from flyte_nb.engine.local.apps.spec import AppPhase, Limits, ReplicaRecord, Spec
from flyte_nb.engine.local.apps.standing import Standing
from flyte_nb.engine.local.apps.traffic import GatewayConfig, Load
from flyte_nb.engine.local.apps.waiting import heard, within
from flyte_nb.errors import BaseRuntimeError, FlyteError

__all__ = ["Service"]

TICK = 0.5  # seconds between two looks, where nothing happens
FROZEN = 2.0  # seconds that a replica may be stopped by a signal before it is replaced
CLOSING, CLOSING_QUICKLY = 3.0, 0.5  # seconds for the gateway to end
LONGEST = 500  # characters of what whoever asks is told of a failure


def first_line(text: str) -> str:
    """Give the first line of a text."""
    return text.partition("\n")[0]


class Service(Standing):
    """An app that is served.

    Parameters
    ----------
    spec : Spec
        What it asks for.
    grounds : Grounds
        What its replicas stand on.
    log : AppLog
        Takes what they print.
    folder : Path
        Takes what is theirs while they live.
    host, port
        Its address; 0 is any port.
    """

    def __init__(
        self, spec: Spec, grounds: Grounds, log: AppLog, folder: Path, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(log)
        self.spec = spec
        self.token = secrets.token_urlsafe(32)
        self.host, self.port = host, port
        self.gateway: Gateway | None = None
        self.restarts = Restarts()
        self.replicas: list[AppReplica] = []
        self._grounds, self._folder = grounds, folder
        self._numbers = itertools.count(1)
        self._scaler = Scaler(spec.scaling)
        self._clock = asyncio.get_running_loop().time
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._running: asyncio.Task[None] | None = None
        self._giving_up: asyncio.Task[None] | None = None
        self._rolling, self._opening = asyncio.Lock(), asyncio.Lock()
        #: what it was asked last to serve
        self.newest = spec
        self._frozen: dict[str, float] = {}
        #: another version, of which one replica starts
        self._coming: Spec | None = None

    @property
    def records(self) -> list[ReplicaRecord]:
        """What there is to show of its replicas."""
        return [replica.record for replica in self.replicas]

    # --- start and stop ---

    async def start(self) -> None:
        """Start it; return when as many replicas answer as shall always, but at least one.

        One that was given up starts again; where it does not, its address goes on saying why.

        Raises
        ------
        RuntimeUserError
            When one does not start; nothing of the app is left then.
        RuntimeSystemError
            When its port is taken.
        BaseRuntimeError, UsageError
            When what it stands on cannot be had.
        """
        self.phase, self.why, self._giving_up = AppPhase.STARTING, "", None
        self.restarts = Restarts()
        was_given_up = self.gateway is not None
        try:
            await self._open()
            least, most = self.spec.scaling.get_replicas()
            self._remember_demand()
            await asyncio.gather(*(self._bring_up(self._new(self.spec)) for _ in range(min(max(least, 1), most))))
        except BaseException as error:
            await self._end(AppPhase.FAILED, first_line(str(error)), closes=not was_given_up)
            raise
        self.phase = AppPhase.ACTIVE if self.replicas else AppPhase.IDLE
        self._running = asyncio.create_task(self._run())

    async def _open(self) -> None:
        """Have an address; the same, where there was one."""
        async with self._opening:
            gateway, self.gateway = self.gateway, None
            if gateway is not None:
                await gateway.close()
            if self.port:
                insist_free(self.port, f"app {self.spec.name!r}", self.host)
            self.gateway = await Gateway.start(self._terms(self.spec), self._take)
            self.gateway.ended.add_done_callback(lambda _: self._news.set())
            self.port = self.gateway.port

    async def stop(self, limits: Limits | None = None) -> None:
        """Stop it: its replicas finish what they have, within their limits, and call their shutdown hooks.

        Parameters
        ----------
        limits : Limits, optional
            Others than the app's own, where there is no time for those.
        """
        if self.phase in (AppPhase.STOPPED, AppPhase.STOPPING):
            return
        if self._giving_up is not None:
            await asyncio.shield(self._giving_up)
        failed, self.phase = self.phase is AppPhase.FAILED, AppPhase.STOPPING
        await self._end(AppPhase.FAILED if failed else AppPhase.STOPPED, self.why, limits)

    async def _end(self, phase: AppPhase, why: str, limits: Limits | None = None, closes: bool = True) -> None:
        """End its replicas, and its gateway, which else says from now on why there are none."""
        running, self._running = self._running, None
        tasks = {task for task in (running, *self._tasks) if task is not None and task is not asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gateway = self.gateway
        if closes:
            self.gateway = None
        elif gateway is not None:
            told = first_line(why)[:LONGEST] or "it was not started"
            gateway.refuse(f"The app was given up: {told}. Mend it and serve it again.")
        if gateway is not None:
            gateway.set_backends([])
            with contextlib.suppress(asyncio.TimeoutError):
                drained = (gateway.drained(r.id) for r in self.replicas if r.phase is AppPhase.ACTIVE)
                await within(asyncio.gather(*drained), (limits or self.spec.limits).server)
        await asyncio.gather(*(replica.stop(limits) for replica in self.replicas), return_exceptions=True)
        self.replicas.clear()
        if closes and gateway is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(gateway.close(), CLOSING if limits is None else CLOSING_QUICKLY)
        self.load = replace(self.load, in_flight=0, waiting=0, rate=0.0, per_backend={})
        self.phase, self.why = phase, why

    def _terms(self, spec: Spec) -> GatewayConfig:
        return terms(spec, self.token, self.host, self.port)

    # --- the loop that keeps it as it should be ---

    async def _run(self) -> None:
        while True:
            await self._mend_gateway()
            self._look()
            self.compare()
            await heard(self._news, TICK)
            self._news.clear()

    async def _mend_gateway(self) -> None:
        """Start another gateway, should somebody have ended the one there is."""
        if self.gateway is None or not self.gateway.ended.done():
            return
        self.say(f"{exit_told(self.gateway.ended.result(), 'its gateway')}; another is started")
        try:
            await self._open()
            self._offer()
        except FlyteError as error:
            self._give_up(first_line(str(error)))

    def _take(self, load: Load) -> None:
        self.load = load
        self._news.set()

    def _heard(self) -> None:
        self._news.set()
        self.changed()

    def _look(self) -> None:
        """Bring the replicas to what is wanted: a step, without waiting for anything."""
        now = self._clock()
        for replica in [r for r in self.replicas if r.phase is AppPhase.ACTIVE and r.has_ended]:
            self._lose(replica, replica.why_ended())
        self._see_frozen(now)
        if self.phase is AppPhase.FAILED:
            return
        current = [r for r in self.replicas if r.spec is self.spec and not r.is_leaving]
        ready = [r for r in current if r.phase is AppPhase.ACTIVE]
        self.restarts.see(now, ready)
        wanted = self._scaler.wanted(now, self.load, len(ready), len(current) - len(ready))
        if len(current) < wanted and self.restarts.may_start(now):
            for _ in range(wanted - len(current)):
                replica = self._new(self.spec)
                replica.starting = self._spawn(self._try(replica))
        for replica in sorted(current, key=self._least_needed)[: max(len(current) - wanted, 0)]:
            self._retire(replica, "there is less to do" if wanted else "there is nothing to do")
        self._retire_outdated(wanted - len(ready))
        if ready:
            self.phase = AppPhase.ACTIVE
        else:
            self.phase = AppPhase.RESTARTING if wanted and self.restarts.failures else AppPhase.IDLE
            if wanted and not self.restarts.failures:
                self.phase = AppPhase.STARTING

    def _least_needed(self, replica: AppReplica) -> tuple[bool, int, float]:
        return (replica.phase is AppPhase.ACTIVE, self.load.per_backend.get(replica.id, 0), -replica.ready_at)

    def _retire_outdated(self, missing: int) -> None:
        """Take away the replicas of an older version, one for each new one that is ready."""
        outdated = [r for r in self.replicas if r.spec not in (self.spec, self._coming) and not r.is_leaving]
        for replica in outdated[max(missing, 0) :]:
            self._retire(replica, "another version is in its place")

    def _new(self, spec: Spec) -> AppReplica:
        name = f"r{next(self._numbers)}"
        seen = variables_of(front_of(self.port))
        replica = AppReplica(name, spec, self._folder / name, self._grounds, self.log, self._heard, seen)
        self.replicas.append(replica)
        return replica

    async def _bring_up(self, replica: AppReplica) -> None:
        try:
            await replica.start()
        except AppFailure as failure:
            raise not_started(self.spec.name, failure, replica.printed) from None
        finally:
            if replica.phase is not AppPhase.ACTIVE and replica in self.replicas:
                self.replicas.remove(replica)
        port, asked = replica.record.port, self.spec.port
        replica.say(f"ready on port {port}{f', which stands for its {asked}' if asked != port else ''}")
        self._offer()

    async def _try(self, replica: AppReplica) -> None:
        """Bring up a replica that nobody waits for; what goes wrong counts as a crash."""
        try:
            await self._bring_up(replica)
        except FlyteError as error:
            failure = replica.failure or AppFailure(str(error))
            self._count(replica, failure)

    def _offer(self) -> None:
        if self.gateway is not None:
            offered = [r for r in self.replicas if r.phase is AppPhase.ACTIVE and not r.is_leaving]
            self.gateway.set_backends([r.backend for r in offered if r.id not in self._frozen])

    def _retire(self, replica: AppReplica, why: str) -> None:
        """Take a replica away: no new requests, an end for those it has, then its own."""
        replica.is_leaving = True
        self._offer()
        self._spawn(self._leave(replica, why))

    async def _leave(self, replica: AppReplica, why: str) -> None:
        if replica.starting is not None and not replica.starting.done():
            replica.starting.cancel()  # it clears up after itself
            await asyncio.wait((replica.starting,))
        if replica.phase is AppPhase.ACTIVE and self.gateway is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self.gateway.drained(replica.id), self.spec.limits.drain)
        replica.say(f"stops: {why}")
        await replica.stop()
        if replica in self.replicas:
            self.replicas.remove(replica)

    # --- what goes wrong ---

    def _lose(self, replica: AppReplica, failure: AppFailure) -> None:
        """Take note that a replica has ended by itself."""
        replica.failure = failure
        self.replicas.remove(replica)
        self._frozen.pop(replica.id, None)
        self._offer()
        self._spawn(replica.clear())
        if not replica.is_leaving:
            self._count(replica, failure)

    def _count(self, replica: AppReplica, failure: AppFailure) -> None:
        """Count a crash: say when another replica is started, or give up."""
        delay = self.restarts.crashed(self._clock(), replica.ready_at)
        others = [r for r in self.replicas if r.phase is AppPhase.ACTIVE and not r.is_leaving]
        if delay is None and not others:
            self._give_up(f"it crashed {self.restarts.failures} times in a row, the last time because {failure.why}")
            return
        soon = f"in {self.restarts.delay:g} s" if self.restarts.delay else "at once"
        self.say(f"{replica.id}: {failure.why}; another replica is started {soon}")
        self._spawn(self._wake_in(self.restarts.delay))

    def _give_up(self, why: str) -> None:
        self.phase, self.why = AppPhase.FAILED, why
        self.say(f"given up: {why}")
        self._giving_up = asyncio.create_task(self._end(AppPhase.FAILED, why, closes=False))

    async def _wake_in(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._news.set()

    def _see_frozen(self, now: float) -> None:
        """Offer no requests to a replica that a signal has stopped, and replace it when that goes on."""
        for replica in [r for r in self.replicas if r.phase is AppPhase.ACTIVE]:
            if not replica.is_frozen():
                if self._frozen.pop(replica.id, None) is not None:
                    replica.say("goes on")
                    self._offer()
            elif replica.id not in self._frozen:
                self._frozen[replica.id] = now
                replica.say("was stopped by a signal: it gets no requests")
                self._offer()
            elif now - self._frozen[replica.id] > FROZEN:
                self._lose(replica, AppFailure("its process was stopped by a signal and did not go on"))

    # --- another version ---

    async def replace(self, spec: Spec) -> None:
        """Serve another version: a new replica is ready before an old one is taken away. Old ones may still finish.

        Raises
        ------
        RuntimeUserError, BaseRuntimeError, UsageError
            When the new version does not start; the old one goes on.
        """
        self.newest = spec
        async with self._rolling:
            if self.newest is not spec:
                return  # a newer one has come meanwhile
            if self._giving_up is not None:
                await asyncio.shield(self._giving_up)
            if self.phase is AppPhase.FAILED:
                self.spec, self._scaler = spec, Scaler(spec.scaling)
                await self.start()
                return
            self._coming = spec
            first = self._new(spec)
            waiting = asyncio.create_task(self._make_room(first))
            try:
                await self._bring_up(first)
            except BaseException as error:
                if isinstance(error, BaseRuntimeError):
                    self.say(f"version {spec.version} did not start; version {self.spec.version} goes on")
                raise
            finally:
                waiting.cancel()
                self._coming = None
            before, self.spec, self._scaler = self.spec, spec, Scaler(spec.scaling)
            self._remember_demand()
            self.say(f"version {spec.version} in the place of {before.version}")
            if self._terms(spec) != self._terms(before):
                await self._open()
                self._offer()
            self._news.set()
            while any(r.spec is not spec and not r.is_leaving for r in self.replicas) and self._running is not None:
                await asyncio.sleep(0.02)
            if (gateway := self.gateway) is not None:  # whoever is told that it serves shall not meet the old one
                with contextlib.suppress(asyncio.TimeoutError):
                    await within(gateway.taken(), CLOSING)

    async def _make_room(self, first: AppReplica) -> None:
        """Take an old replica away where the machine has no room for both."""
        while not first.waits:
            await asyncio.sleep(0.05)
        old = [r for r in self.replicas if r is not first and not r.is_leaving]
        for replica in old[-1:]:
            self.say(f"there is no room for two versions: {replica.id} makes room; requests wait meanwhile")
            self._retire(replica, "it makes room")

    def _remember_demand(self) -> None:
        """Let a replica that was just asked for not be taken away at once."""
        self._scaler.wanted(self._clock(), Load(waiting=1), 0, 0)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
