"""The verbs of apps: ``%flyte serve``, ``%flyte stop``, ``%flyte apps``, ``%flyte logs APP``."""

from __future__ import annotations

from typing import Any

from flyte_nb import run_commands
from flyte_nb.cluster_serving import all_apps, app_named
from flyte_nb.commands import Parser, key_values
from flyte_nb.engine.local.apps.log import tail_of
from flyte_nb.engine.local.apps.serving import apps_with_logs, log_of, served_elsewhere
from flyte_nb.engine.store.home import is_plain
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.errors import UnknownNameError, UsageTypeError
from flyte_nb.serve_context import handles
from flyte_nb.serving import with_servecontext
from flyte_nb.session import Session
from flyte_nb.views import Text, View
from flyte_nb.widgets import apps as views

__all__ = ["list_apps", "logs", "serve_app", "stop_app"]


def serve_app(words: list[str], session: Session) -> View:
    """Serve an app."""
    parser = _parser("serve")
    parser.add_argument("name", metavar="APP", help="the name of an app")
    parser.add_argument("--port", type=int, default=0, help="the port of its address; any that is free by default")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a variable of its processes")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="the value of a parameter"
    )
    parser.add_argument("--text", action="store_true", help="show it once, as text")
    _engine_option(parser)
    options = parser.parse_args(words)
    app = _app(session, options.name)
    given = key_values(options.parameter, "%flyte serve --parameter NAME=VALUE")
    how = with_servecontext(
        env_vars=key_values(options.env, "%flyte serve --env NAME=VALUE") or None,
        parameter_values={app.name: given} if given else None,
        port=options.port,
        engine=options.engine,
    )
    served = how.serve(app)
    return Text(served.card().text()) if options.text else served.card()


def _app(session: Session, name: str) -> AppEnvironment:
    found = session.registry.get(name)
    if isinstance(found, AppEnvironment):
        return found
    if found is not None:
        raise UsageTypeError(f"%flyte serve: {name!r} is a {type(found).__name__}; accepted: the name of an app")
    raise UnknownNameError(
        "app", name, [env.name for env in session.registry.values() if isinstance(env, AppEnvironment)]
    )


def stop_app(words: list[str], session: Session) -> View:
    """Stop an app."""
    parser = _parser("stop")
    parser.add_argument("name", nargs="?", metavar="APP", help="the name of an app that is served")
    parser.add_argument("--all", action="store_true", help="all that are served by this kernel")
    _engine_option(parser)
    options = parser.parse_args(words)
    if options.engine == "cluster":
        return _stop_there(parser, options, session)
    known = handles(session)
    if options.name is not None and options.name not in known:
        raise UnknownNameError("served app", options.name, known)
    chosen = list(known) if options.all else [options.name] if options.name else []
    if not chosen:
        parser.error(f"name an app, or say --all; served: {', '.join(known) or 'none'}")
    for name in chosen:
        known[name].deactivate(wait=True)
    return Text(f"stopped {', '.join(chosen)}")


def _stop_there(parser: Parser, options: Any, session: Session) -> View:
    """Stop an app of the cluster, where it stays."""
    if options.all or options.name is None:
        parser.error("name one app of the cluster; %flyte apps --engine cluster lists them")
    app_named(session, options.name).deactivate(wait=True)
    return Text(f"stopped {options.name} at the cluster; it stays there and can be started again")


def list_apps(words: list[str], session: Session) -> View:
    """List the apps that are served."""
    parser = _parser("apps")
    _engine_option(parser)
    if parser.parse_args(words).engine == "cluster":
        there = [app.last_record() for app in all_apps(session)]
        return views.apps(there, []) if there else Text("the project has no app at the cluster")
    records = [handle.record() for handle in handles(session).values()]
    return views.apps(records, list(served_elsewhere(session.store.home)))


def logs(words: list[str], session: Session) -> View:
    """Show what a run has printed, or the end of an app's log, which is kept when the app has ended."""
    parser = _parser("logs")
    parser.add_argument("name", metavar="RUN|APP", help="the name of a run or of an app")
    parser.add_argument("--last", type=int, default=50, metavar="N", help="how many lines of an app; 50 by default")
    parser.add_argument("--action", help="one of a run's actions, as %%flyte runs RUN lists them")
    _engine_option(parser)
    options = parser.parse_args(words)
    if options.engine == "cluster":
        return Text(app_named(session, options.name).logs(options.last))
    if is_plain(options.name) and (file := log_of(session.store.home, options.name)).exists():
        return Text("\n".join(tail_of(file, options.last)))
    chosen = ["--action", options.action] if options.action is not None else []
    try:
        return run_commands.logs([options.name, *chosen], session)
    except UnknownNameError as error:
        raise UnknownNameError(
            "run, and no app with a log,", error.name, [*error.known, *apps_with_logs(session.store.home)]
        ) from None


def _engine_option(parser: Parser) -> None:
    parser.add_argument(
        "--engine", choices=("local", "cluster"), default="local", help="on this machine, or at the Flyte cluster"
    )


def _parser(verb: str) -> Parser:
    return Parser(prog=f"%flyte {verb}")
