"""ServedApp: an app that is served on this machine, as the code that asked for it holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Any, TypeVar

from flyte_nb.connectors.endpoints import TOKEN
from flyte_nb.engine.local.apps.gateway import Gateway
from flyte_nb.engine.local.apps.links import front_of
from flyte_nb.engine.local.apps.log import tail_of
from flyte_nb.engine.local.apps.service import Service
from flyte_nb.engine.local.apps.serving import LOOPBACK, Apps
from flyte_nb.engine.local.apps.spec import AppPhase, ReplicaRecord, Spec
from flyte_nb.engine.local.apps.traffic import Load
from flyte_nb.engine.local.apps.waiting import within
from flyte_nb.observers import Observers
from flyte_nb.portal import Portal
from flyte_nb.widgets.apps import LINES, AppRecord
from flyte_nb.widgets.live_app import AppState, LiveCard

__all__ = ["ServedApp"]

T = TypeVar("T")
_LAST = 1_000
_PATIENCE = 3.0  # seconds for the gateway to take what it is told


class ServedApp:
    """An app that is served; a context manager that stops it at the end.

    Made by ``flyte.serve``. Its ``repr`` does not show the token.

    Parameters
    ----------
    portal : Portal
        The engine's loop.
    apps : Apps
        The apps of the engine.
    service : Service
        This one.
    again : callable
        Says what it asks for as it is declared when it is served again.
    """

    def __init__(self, portal: Portal, apps: Apps, service: Service, again: Callable[[], Spec]) -> None:
        self._portal, self._apps, self._service, self._again = portal, apps, service, again
        self._observers: Observers[None] = Observers()
        self._leave: Callable[[], None] | None = None

    def __repr__(self) -> str:
        count = len(self.replicas)
        return f"<app {self.name}: {self.phase.value} at {self.url}, {count} replica{'' if count == 1 else 's'}>"

    @property
    def name(self) -> str:
        """The app's name."""
        return self._service.spec.name

    @property
    def url(self) -> str:
        """Where people look at it; it asks for the token where the app says ``requires_auth``."""
        return f"http://{_named(self._service.host)}:{self._service.port}/"

    @property
    def endpoint(self) -> str:
        """Where it answers programs: the same address, without a slash at its end."""
        return self.url.rstrip("/")

    @property
    def token(self) -> str | None:
        """What callers show in the header ``Authorization: Bearer TOKEN``; None where anybody may call.

        Tasks and apps get it as the secret ``APP-token``: ``secrets="my-api-token"`` gives the variable
        ``MY_API_TOKEN``. An app that is given the address by a parameter, an ``AppEndpoint`` with ``env_var="API"``,
        finds it in ``API_TOKEN``.
        """
        spec = self._service.spec
        if spec.metrics_port is not None:  # a connector server asks for one of its own
            return spec.env_vars.get(TOKEN)
        return self._service.token if spec.requires_auth else None

    @property
    def login_url(self) -> str:
        """An address that lets a browser in, once; a new one each time it is read."""
        gateway = self._service.gateway
        return self.url if gateway is None else self._do(_ticketed(gateway, lambda: gateway.login_url))

    def link(self, to: str = "") -> str:
        """Give an address for where the notebook is seen, behind JupyterHub too, which lets a browser in, once.

        Parameters
        ----------
        to : str
            The page to show, such as ``"docs"``.
        """
        gateway = self._service.gateway
        return self.url if gateway is None else self._do(_ticketed(gateway, lambda: gateway.link(to)))

    def _withdraw(self, link: str) -> None:
        """Let an address that `link` gave let nobody in any more."""
        gateway = self._service.gateway
        if gateway is not None:
            self._portal.submit(_withdrawn(gateway, link))

    @property
    def phase(self) -> AppPhase:
        """Where it stands; ``AppPhase.IDLE`` is without a replica, until a request starts one."""
        return self._service.phase

    @property
    def why(self) -> str:
        """Why it failed; empty where it did not."""
        return self._service.why

    @property
    def replicas(self) -> list[ReplicaRecord]:
        """Its replicas as they are now: id, phase, pid, port, version."""
        return self._service.records

    @property
    def metrics(self) -> Load:
        """What it has to do: requests in flight and waiting, how many so far, how many failed, rate and latency."""
        return self._service.load

    def logs(self, last: int = _LAST) -> str:
        """Give the last lines that its replicas printed, each with the replica's name in front.

        Parameters
        ----------
        last : int
            How many lines.
        """
        return "\n".join(tail_of(self._service.log.path, last))

    def hear(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Have every further line of its log told, in another thread; give what ends that."""
        return self._service.log.hear(listener)

    def observe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have it told when something about the app has changed: its phase, replicas, traffic or log.

        Parameters
        ----------
        callback : callable
            Takes nothing, and is called in another thread, which it must not hold up.

        Returns
        -------
        callable
            Ends that.
        """
        leave = self._observers.add(lambda _: callback())
        self._listen()

        def left() -> None:
            leave()
            self._listen()

        return left

    def _listen(self) -> None:
        """Listen to the service while somebody listens here."""
        if self._observers and self._leave is None:
            self._leave = self._service.observers.add(self._observers.tell)
        elif not self._observers and self._leave is not None:
            self._leave()
            self._leave = None

    def record(self) -> AppRecord:
        """Give it as it is now, as a plain record."""
        spec = self._service.spec
        return AppRecord(
            name=self.name, phase=self.phase, url=self._seen(), why=self.why, replicas=tuple(self.replicas),
            load=self.metrics, lines=self._last_lines(), links=spec.links,
            needs_token=self.token is not None, has_pages=spec.metrics_port is None,
            history=self._service.history.series(),
        )  # fmt: skip

    def _last_lines(self) -> tuple[str, ...]:
        """Give the end of its log, without empty lines."""
        return tuple(line for line in self._service.log.last(4 * LINES) if line.partition("|")[2].strip())[-LINES:]

    def _seen(self) -> str:
        """Give the address by which people reach it from where they see the notebook, without a ticket."""
        return front_of(self._service.port).url if self._service.host == LOOPBACK else self.url

    def card(self) -> LiveCard:
        """Give the view of it that changes while it is served."""
        return LiveCard(AppState(self.record, self.deactivate, self.link, self._withdraw, self.observe))

    def _ipython_display_(self) -> None:
        self.card()._ipython_display_()

    def is_active(self) -> bool:
        """Tell whether it answers: a replica does, or one is started by the next request."""
        return self.phase in (AppPhase.ACTIVE, AppPhase.IDLE)

    def is_deactivated(self) -> bool:
        """Tell whether it was stopped, or has failed."""
        return self.phase in (AppPhase.STOPPED, AppPhase.FAILED)

    def activate(self, wait: bool = False) -> ServedApp:
        """Serve it again after it was stopped, at the same address if that is free; as it is declared now.

        Parameters
        ----------
        wait : bool
            Whether to return only when it answers.

        Raises
        ------
        RuntimeUserError
            As ``flyte.serve``, if ``wait``.
        """
        if not self.is_deactivated():
            return self
        job = self._portal.submit(self._activate(self._again()))
        if wait:
            job.done.result()
        return self

    async def _activate(self, spec: Spec) -> None:
        self._service = await self._apps.serve(spec, self._service.host, self._service.port, self._take)

    def _take(self, service: Service) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None
        self._service = service
        self._listen()
        self._observers.tell(None)

    def deactivate(self, wait: bool = False) -> ServedApp:
        """Stop it: replicas finish what they have, within their limits, and call their shutdown hooks.

        Parameters
        ----------
        wait : bool
            Whether to return only when nothing of it is left.
        """
        if self._apps.services.get(self.name) is not self._service:
            return self
        job = self._portal.submit(self._apps.stop(self.name))
        if wait:
            job.done.result()
        return self

    def __enter__(self) -> ServedApp:
        return self.activate(wait=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.deactivate(wait=True)

    @contextmanager
    def ephemeral_ctx_sync(self) -> Iterator[ServedApp]:
        """Serve it for a ``with`` block."""
        with self:
            yield self

    @asynccontextmanager
    async def ephemeral_ctx(self) -> AsyncIterator[ServedApp]:
        """Serve it for an ``async with`` block."""
        await asyncio.to_thread(self.activate, True)
        try:
            yield self
        finally:
            await asyncio.to_thread(self.deactivate, True)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._portal.submit(work).done.result()


async def _ticketed(gateway: Gateway, made: Callable[[], str]) -> str:
    """Make an address on the engine's own loop; the gateway knows its ticket when it is given."""
    address = made()
    with suppress(asyncio.TimeoutError):
        await within(gateway.taken(), _PATIENCE)
    return address


async def _withdrawn(gateway: Gateway, link: str) -> None:
    """Take an address back, on the engine's own loop."""
    gateway.withdraw(link)


def _named(host: str) -> str:
    host = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
    return f"[{host}]" if ":" in host else host
