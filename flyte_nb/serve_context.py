"""Serve context: how an app is served, and what follows from serving it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from flyte_nb.app_specs import apps_of, spec_of
from flyte_nb.cluster_app import ClusterApp
from flyte_nb.cluster_serving import Asked, serve_there
from flyte_nb.engine.cluster.connection import connected
from flyte_nb.engine.definition import refuse_while_loading
from flyte_nb.engine.local.apps.service import Service
from flyte_nb.engine.local.apps.serving import Apps
from flyte_nb.engine.local.apps.spec import AppPhase, Spec
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.declaration import Check, Declaration, refuse
from flyte_nb.errors import UsageError, UsageTypeError
from flyte_nb.plan.graph import order
from flyte_nb.portal import Relay, Verb
from flyte_nb.rolling import Rolling, line_on_stderr
from flyte_nb.served_app import ServedApp
from flyte_nb.session import Session, current_session
from flyte_nb.starting import Starting
from flyte_nb.verbs import portal
from flyte_nb.views import Text
from flyte_nb.widgets.line import displayed

__all__ = ["ServeContext", "handles", "newest"]

AT_EXIT = 3.0  # seconds for the apps to end when this process does


def _seconds(value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise ValueError("it is no length of time")
    return value


def _path(value: str | None) -> str | None:
    if value is not None and (not value.startswith("/") or any(c.isspace() for c in value)):
        raise ValueError("it is no path of a URL")
    return value


def _port(value: int) -> int:
    if not 0 <= value <= 65535:
        raise ValueError("there is no such port")
    return value


Seconds = Annotated[float | None, Check(_seconds, "seconds above 0, or None")]


@dataclass(frozen=True, kw_only=True, repr=False)
class ServeContext(Declaration):
    """How an app is served.

    Serving on this machine honours the parameters up to ``fit``. A cluster takes ``env_vars``, ``parameter_values``,
    ``activate_timeout``, the levels of the logs, ``project``, ``domain``, ``version``, ``cluster_pool`` and
    ``cluster``; the others are checked and kept.

    Parameters
    ----------
    mode : {"local", "remote"}, optional
        Where it is served; ``"local"`` by default. ``"remote"`` is the SDK's word for ``engine="cluster"``.
    env_vars : dict of str to str, optional
        Environment variables of the app's processes, over those of its declaration.
    parameter_values : dict, optional
        By the app's name a dict of values by the parameter's name: text, File or Dir.
    activate_timeout : float, optional
        Seconds until a replica answers; 60 by default, and 600 at a cluster.
    deactivate_timeout : float, optional
        Seconds for the server to end when it is stopped; 6 by default. The shutdown hook has 5 more.
    health_check_path : str, optional
        What is asked for to learn whether a replica is ready: a status below 500 says so. By default it is when it
        listens.
    health_check_timeout, health_check_interval : float, optional
        Taken as they are in the SDK; a replica is looked at as soon as it may be ready, so they change nothing.
    raw_data_path : str, optional
        What ``flyte.app.ctx().raw_data_path`` gives; a folder of the app by default.
    project, domain : str, optional
        What ``flyte.app.ctx()`` says of them; at a cluster where the app belongs, those connected to by default.
    log_level, user_log_level : int, optional
        The level of the logs of Flyte and of the app's code, in the variables ``LOG_LEVEL`` and ``USER_LOG_LEVEL``.
    log_format : {"console", "json"}
        In the variable ``LOG_FORMAT``.
    host : str
        Where the app's address is: the loopback one by default, which only this machine reaches.
    port : int
        The port of the app's address; any that is free by default.
    fit : {"clamp", "strict", "ignore"}
        What becomes of a request for more than this machine has, as in ``flyte.with_runcontext``.
    engine : {"local", "cluster"}
        Where it is served: on this machine, or at the Flyte cluster that this process knows.
    version, copy_style, dry_run, cluster_pool, cluster, interactive_mode, copy_bundle_to
        What a cluster needs to know.

    Raises
    ------
    DeclarationError
        When a parameter is not what it accepts, a cluster is given with another pool than ``"default"``, or what is of
        this machine alone with ``engine="cluster"``.
    TypeError
        For an unknown parameter.
    """

    mode: Literal["local", "remote"] | None = field(default=None, kw_only=False)
    env_vars: dict[str, str] | None = None
    parameter_values: dict[str, dict[str, Any]] | None = None
    activate_timeout: Seconds = None
    deactivate_timeout: Seconds = None
    health_check_path: Annotated[str | None, Check(_path, "a path such as '/health', or None")] = None
    health_check_timeout: Seconds = None
    health_check_interval: Seconds = None
    raw_data_path: str | None = None
    project: str | None = None
    domain: str | None = None
    log_level: int | None = None
    user_log_level: int | None = None
    log_format: Literal["console", "json"] = "console"
    host: str = "127.0.0.1"
    port: Annotated[int, Check(_port, "a port from 1 to 65535, or 0 for any")] = 0
    fit: Literal["clamp", "strict", "ignore"] = "clamp"
    engine: Literal["local", "cluster"] = "local"

    version: str | None = None
    copy_style: Literal["loaded_modules", "all", "none"] = "loaded_modules"
    dry_run: bool = False
    cluster_pool: str | None = None
    cluster: str | None = None
    interactive_mode: bool | None = None
    copy_bundle_to: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cluster is not None and self.cluster_pool not in (None, "default"):
            raise refuse(self, "cluster_pool", self.cluster_pool, "'default' or None", "a cluster is given too")
        if self.engine == "cluster" and self.mode == "local":
            raise refuse(self, "mode", self.mode, "'remote' or None", "engine='cluster' is given too")
        if self.is_there:
            for name in ("host", "port", "fit"):
                if (given := getattr(self, name)) != type(self).__dataclass_fields__[name].default:
                    raise refuse(self, name, given, "nothing", "it is of this machine, and the app is for a cluster")

    @property
    def is_there(self) -> bool:
        """Whether a cluster is to serve it."""
        return self.engine == "cluster" or self.mode == "remote"

    @property
    def serve(self) -> Verb[[AppEnvironment], ServedApp | ClusterApp]:
        """Serve an app this way: ``serve(app_env)``, or ``await serve.aio(app_env)``.

        Raises as ``flyte.serve``.
        """

        async def serve(relay: Relay, app_env: AppEnvironment) -> ServedApp | ClusterApp:
            """Serve an app, as ``flyte.serve`` does, in this context."""
            return await self.served(relay, app_env)

        return Verb(serve, portal)

    async def served(self, relay: Relay, app_env: AppEnvironment) -> ServedApp | ClusterApp:
        """Serve an app in this context, waiting with a relay."""
        refuse_while_loading("serve")
        if not isinstance(app_env, AppEnvironment):
            raise UsageTypeError(f"flyte.serve: given {app_env!r:.80}; accepted: an AppEnvironment")
        if self.dry_run:
            raise UsageError("flyte.serve: nothing is served with dry_run=True; flyte.plan(app) shows what would be")
        session = current_session()
        needed = self._with_needed(session, app_env)
        return await (self._served_there if self.is_there else self._served_here)(relay, session, needed)

    async def _served_there(self, relay: Relay, session: Session, needed: list[AppEnvironment]) -> ClusterApp:
        """Have the cluster serve an app, the last of some."""
        with Starting(_line(session)) as line:
            line.begins_there(needed[-1].name)
            connection = await relay(lambda tell: asyncio.to_thread(connected), line.look)
            asked = Asked(session, needed, self)
            return await relay(lambda tell: serve_there(asked, connection, tell), line.look)

    async def _served_here(self, relay: Relay, session: Session, needed: list[AppEnvironment]) -> ServedApp:
        """Serve an app on this machine, the last of some; the others first, where they are not yet."""
        app_env = needed[-1]
        specs = [spec_of(session, app, self) for app in needed]
        apps = apps_of(session)
        with Starting(_line(session)) as line:
            service = await relay(lambda tell: self._serve_all(apps, specs, line.begins), line.look)
        _close_at_exit(session, apps)
        _follow(session, apps, specs, self)
        handle = ServedApp(session.portal, apps, service, lambda: spec_of(session, newest(session, app_env), self))
        _handles[app_env.name] = handle
        return handle

    def _with_needed(self, session: Session, app: AppEnvironment) -> list[AppEnvironment]:
        """Give the apps that an app depends on, and the app last."""
        needed = [env for env in order([app], session.registry.newest) if isinstance(env, AppEnvironment)]
        return [env for env in needed if env.name != app.name] + [env for env in needed if env.name == app.name]

    async def _serve_all(self, apps: Apps, specs: list[Spec], begins: Callable[[Service], None]) -> Service:
        for spec in specs[:-1]:
            service = apps.services.get(spec.name)
            if service is None or service.phase is AppPhase.FAILED:
                await apps.serve(spec, began=begins)
        return await apps.serve(specs[-1], self.host, self.port, begins)


#: the apps of this process that were served, by name
_handles: dict[str, ServedApp] = {}
_rolling: list[Rolling] = []


_closing: set[int] = set()


def _close_at_exit(session: Session, apps: Apps) -> None:
    """Let the apps call their shutdown hooks when this process ends: before what ends all that the engine started."""

    def close() -> None:
        with contextlib.suppress(Exception):  # what is left ends with this process anyway
            session.portal.submit(apps.close()).done.result(timeout=AT_EXIT)

    if id(apps) not in _closing:
        _closing.add(id(apps))
        atexit.register(close)


def handles(session: Session) -> dict[str, ServedApp]:
    """Give the apps that are served now, or have failed, by name."""
    return {name: handle for name, handle in _handles.items() if name in apps_of(session).services}


def newest(session: Session, app: AppEnvironment) -> AppEnvironment:
    """Give an app as it is declared now; as it was, where it is not any more."""
    found = session.registry.newest(app)
    return found if isinstance(found, AppEnvironment) else app


def _follow(session: Session, apps: Apps, specs: list[Spec], how: ServeContext) -> None:
    """In a notebook, replace the apps when a cell changes what they are made of."""
    shell = session.workbook.shell
    if shell is None:
        return
    if not _rolling:
        _rolling.append(Rolling(session.portal, apps, displayed if hasattr(shell, "kernel") else line_on_stderr))
        session.after_cell.append(_rolling[0].look)
    for spec in specs:
        _rolling[0].follow(spec.name, functools.partial(_spec_now, session, spec.name, how))


def _spec_now(session: Session, name: str, how: ServeContext) -> Spec | None:
    app = session.registry.get(name)
    return spec_of(session, app, how) if isinstance(app, AppEnvironment) else None


def _line(session: Session) -> Callable[[Text], Callable[[Text], None]] | None:
    """Give what shows a line that changes, where a notebook does."""
    return displayed if hasattr(session.workbook.shell, "kernel") else None
