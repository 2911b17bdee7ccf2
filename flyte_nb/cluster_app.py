"""ClusterApp: an app that a Flyte cluster serves, as the code that asked for it holds it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from flyte_nb.engine.cluster import served
from flyte_nb.engine.cluster.connection import Connection
from flyte_nb.engine.cluster.seen import Seen
from flyte_nb.engine.local.apps.spec import AppPhase
from flyte_nb.errors import FlyteError, OnlyLocalError, UnionRpcError, UsageError
from flyte_nb.observers import Observers
from flyte_nb.portal import Portal
from flyte_nb.widgets.apps import AppRecord
from flyte_nb.widgets.live_app import AppState, LiveCard

__all__ = ["START", "ClusterApp"]

T = TypeVar("T")
START = 600.0  # seconds: a cluster may have to get a machine and an image first
_STOP = 60.0
_PACE = 2.0  # seconds between two looks for who observes
_FRESH = 1.0
_LAST = 1_000
_LOCAL = {
    "token": "the cluster has a sign-in of its own in front of its apps",
    "login_url": "the cluster has a sign-in of its own in front of its apps",
    "link": "the cluster has a sign-in of its own in front of its apps: .url is the address",
    "replicas": "the cluster tells how many there are, which .replica_count gives",
    "metrics": "the cluster counts requests itself: .console is its page about the app",
    "hear": ".logs() asks for the lines that there are",
}


class ClusterApp:
    """An app that a cluster serves; a context manager that stops it at the end.

    Made by ``flyte.serve(app_env, engine="cluster")``. It has the names of the handle of an app on this machine, as far
    as a cluster has what they stand for. ``phase``, ``url``, ``why``, ``revision`` and ``replica_count`` ask the
    cluster each time.

    Parameters
    ----------
    portal : Portal
        The engine's loop.
    connection : Connection
        The cluster.
    seen : Seen
        How it stood last.
    patience : float
        Seconds that a start may take.
    """

    def __init__(self, portal: Portal, connection: Connection, seen: Seen, patience: float = START) -> None:
        self._portal, self._connection, self._seen, self._patience = portal, connection, seen, patience
        self._observers: Observers[None] = Observers()
        self._asked_at = time.monotonic() - _FRESH

    def __repr__(self) -> str:
        seen = self._seen
        return (
            f"<app {seen.name}: {seen.phase} at {seen.url or 'no address yet'}, revision {seen.revision}, on a cluster>"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name in _LOCAL:
            raise OnlyLocalError(f"{name} is of an app on this machine; {_LOCAL[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def name(self) -> str:
        """The app's name."""
        return self._seen.name

    @property
    def url(self) -> str:
        """Where people look at it; empty while the cluster has not given it an address."""
        seen = self._seen if self._seen.url else self._look()
        return seen.url and f"{seen.url.rstrip('/')}/"

    @property
    def endpoint(self) -> str:
        """Where it answers programs: the same address, without a slash at its end."""
        return self.url.rstrip("/")

    @property
    def console(self) -> str:
        """The cluster's page about it."""
        return self._seen.console

    @property
    def phase(self) -> AppPhase:
        """Where it stands; ``AppPhase.IDLE`` is without a replica, until a request starts one."""
        return AppPhase(self._look().phase)

    @property
    def why(self) -> str:
        """What the cluster says of it: why it failed, or what it waits for; may be empty."""
        return self._look().why

    @property
    def revision(self) -> int:
        """How often it was changed at the cluster; 1 for one that was never changed."""
        return self._look().revision

    @property
    def replica_count(self) -> int:
        """How many replicas there are now."""
        return self._look().replicas

    def is_active(self) -> bool:
        """Tell whether it answers: a replica does, or one is started by the next request."""
        return self.phase in (AppPhase.ACTIVE, AppPhase.IDLE)

    def is_deactivated(self) -> bool:
        """Tell whether it was stopped or deleted, or has failed."""
        return self.phase in (AppPhase.STOPPED, AppPhase.FAILED)

    def activate(self, wait: bool = False) -> ClusterApp:
        """Have it run again after it was stopped.

        Parameters
        ----------
        wait : bool
            Whether to return only when it answers.

        Raises
        ------
        UsageError
            When it was deleted.
        RuntimeUserError
            When it does not start, if ``wait``.
        UnionRpcError
            When the cluster cannot be asked.
        """
        try:
            self._seen = self._do(served.activate(self._connection, self.name))
        except UnionRpcError as error:
            if error.code != "NotFound":
                raise
            self._seen = _deleted(self._seen)
            raise UsageError(f"app {self.name!r} was deleted at the cluster; serve it again") from None
        return self._waited("active", self._patience) if wait else self

    def deactivate(self, wait: bool = False) -> ClusterApp:
        """Stop it; it stays at the cluster, where it can be started again.

        Parameters
        ----------
        wait : bool
            Whether to return only when it has stopped.

        Raises
        ------
        UnionRpcError
            When the cluster cannot be asked: the app goes on.
        """
        try:
            self._seen = self._do(served.deactivate(self._connection, self.name))
            return self._waited("stopped", _STOP) if wait else self
        except UnionRpcError as error:
            if error.code != "NotFound":
                raise
            self._seen = _deleted(self._seen)  # it has stopped, too
        return self

    def delete(self) -> None:
        """Delete it at the cluster; one that is not there any more is no error."""
        self._do(served.delete(self._connection, self.name))
        self._seen = _deleted(self._seen)
        self._observers.tell(None)

    def logs(self, last: int = _LAST) -> str:
        """Give the last lines that its replicas printed, as far as the cluster has them.

        Parameters
        ----------
        last : int
            How many lines.

        Raises
        ------
        UsageError
            When the installed SDK cannot ask for them.
        UnionRpcError
            When the cluster cannot be asked, or has none yet.
        """
        return "\n".join(self._do(served.printed(self._connection, self.name, last)))

    def observe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have it told when the app stands otherwise; the cluster is asked every two seconds for that.

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
        if len(self._observers) == 1:
            self._portal.submit(self._follow())
        return leave

    async def _follow(self) -> None:
        """Look every while, as long as somebody observes."""
        told = self._seen
        while self._observers:
            await self._ask()
            if self._seen != told:
                told = self._seen
                self._observers.tell(None)
            await asyncio.sleep(_PACE)

    def record(self) -> AppRecord:
        """Give it as it is now, as a plain record; as it was, with the reason, where the cluster cannot be asked.

        What was asked for within the last second counts as now: a card asks for each of its forms.
        """
        if time.monotonic() - self._asked_at > _FRESH:
            self._do(self._ask())
        return self.last_record()

    def last_record(self) -> AppRecord:
        """Give it as it stood when the cluster was asked last."""
        seen, at = self._seen, self._connection
        callers = "anybody may call" if seen.is_open else "behind the cluster's own sign-in"
        return AppRecord(
            name=seen.name, phase=AppPhase(seen.phase), url=seen.url, why=seen.why, load=None, links=seen.links,
            has_pages=seen.kind != "connector", note=callers, count=seen.replicas,
            place=f"{seen.project}/{seen.domain} at {at.endpoint}, revision {seen.revision}",
        )  # fmt: skip

    def card(self) -> LiveCard:
        """Give the view of it that changes while it is served."""
        return LiveCard(AppState(self.record, self.deactivate, lambda: self.url, lambda link: None, self.observe))

    def _ipython_display_(self) -> None:
        self.card()._ipython_display_()

    def __enter__(self) -> ClusterApp:
        return self.activate(wait=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.deactivate(wait=True)

    @contextmanager
    def ephemeral_ctx_sync(self) -> Iterator[ClusterApp]:
        """Have it run for a ``with`` block."""
        with self:
            yield self

    @asynccontextmanager
    async def ephemeral_ctx(self) -> AsyncIterator[ClusterApp]:
        """Have it run for an ``async with`` block."""
        await asyncio.to_thread(self.activate, True)
        try:
            yield self
        finally:
            await asyncio.to_thread(self.deactivate, True)

    def _look(self) -> Seen:
        self._seen = self._do(self._asked())
        return self._seen

    async def _asked(self) -> Seen:
        """Ask how it stands; one that is not there was deleted."""
        try:
            return await served.look(self._connection, self.name)
        except UnionRpcError as error:
            if error.code != "NotFound":
                raise
            return _deleted(self._seen)

    async def _ask(self) -> None:
        """Ask how it stands, for who shows it: whatever goes wrong is told there."""
        try:
            self._seen = await self._asked()
        except FlyteError as error:
            self._seen = replace(self._seen, why=f"cannot be asked for now: {error}")
        self._asked_at = time.monotonic()

    def _waited(self, wanted: str, seconds: float) -> ClusterApp:
        self._seen = self._do(served.settled(self._connection, self.name, wanted, seconds))
        return self

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        job = self._portal.submit(work)
        try:
            return job.done.result()
        except BaseException:
            job.cancel()
            raise


def _deleted(seen: Seen) -> Seen:
    return replace(seen, phase="stopped", why="it was deleted at the cluster", replicas=0)
