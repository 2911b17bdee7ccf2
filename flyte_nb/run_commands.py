"""``%flyte run``, ``watch``, ``rerun``, ``runs``, ``logs``, ``cache``, ``images``: to run, and what is kept of it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from flyte_nb.commands import Command, Parser, choose, key_values
from flyte_nb.engine.base import Run
from flyte_nb.run_context import with_runcontext
from flyte_nb.session import Session
from flyte_nb.verbs import begin, rerun
from flyte_nb.views import Diff, Table, Text, View, told_size
from flyte_nb.watching import view_of
from flyte_nb.widgets import runs as views

__all__ = ["COMMANDS", "cache", "images", "logs", "rerun_task", "run_task", "runs", "watch_run"]


def run_task(words: list[str], session: Session) -> View:
    """Run a task by its name."""
    parser = _parser("run")
    parser.add_argument("task", help="the name of a task, with or without its environment's")
    parser.add_argument("inputs", nargs="*", metavar="NAME=VALUE", help="an input")
    parser.add_argument("--engine", default="local", help="local, inline: in this process, for breakpoints, or cluster")
    parser.add_argument("--fit", default="clamp", choices=("clamp", "strict", "ignore"),
                        help="what becomes of a request over what this machine has; clamp by default")  # fmt: skip
    parser.add_argument("--keep", default="never", choices=("never", "on-failure", "always"),
                        help="keep inputs for %%flyte rerun; never by default")  # fmt: skip
    parser.add_argument("--name", metavar="N", help="the name of the run; made up by default")
    parser.add_argument("--overwrite-cache", action="store_true", help="compute kept outputs again")
    parser.add_argument("--watch", action="store_true", help="go on at once, and show the run as it happens")
    options = parser.parse_args(words)
    task = session.registry.find_task(options.task)
    settings = {name: getattr(options, name) for name in ("engine", "fit", "keep", "name", "overwrite_cache")}
    inputs = task.interface.parse(key_values(options.inputs))
    context = with_runcontext(**settings)
    if options.watch:
        return view_of(session, begin(options.engine, context.applied(session.work(task, (), inputs)), quietly=True))
    return views.run(context.run(task, **inputs))


def watch_run(words: list[str], session: Session) -> View:
    """Show a run as it happens, or what one that has ended did."""
    parser = _parser("watch")
    parser.add_argument("run", nargs="?", help="the name of a run; the latest by default")
    parser.add_argument("--text", action="store_true", help="show it once, as text")
    options = parser.parse_args(words)
    latest = session.store.runs(1) if options.run is None else []
    if options.run is None and not latest:
        return views.runs(latest)
    view = view_of(session, session.find_run(options.run or latest[0].name))
    return Text(view.text()) if options.text else view


def rerun_task(words: list[str], session: Session) -> View:
    """Run the task of a kept run again."""
    parser = _parser("rerun")
    parser.add_argument("run", help="the name of a run that kept its inputs")
    parser.add_argument("--engine", default="inline", help="inline: in this process, for breakpoints; or local")
    options = parser.parse_args(words)
    return views.run(rerun(options.run, engine=options.engine))


def runs(words: list[str], session: Session) -> View:
    """Show the latest runs, or one of them with its actions."""
    parser = _parser("runs")
    parser.add_argument("run", nargs="?", help="the name of a run, to see it with its actions")
    parser.add_argument("--last", type=int, default=20, metavar="N", help="how many; 20 by default")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(words)
    if options.run is not None:
        run = session.store.run(options.run)
        return Text(json.dumps(views.data(run, actions=True), indent=2)) if options.json else views.run(run)
    made = session.store.runs(options.last)
    return Text(json.dumps([views.data(run) for run in made], indent=2)) if options.json else views.runs(made)


def logs(words: list[str], session: Session) -> View:
    """Show what a run printed, or one action of it."""
    parser = _parser("logs")
    parser.add_argument("run", help="the name of a run")
    parser.add_argument("--action", metavar="ID", help="one of its actions, as %%flyte runs RUN lists them")
    options = parser.parse_args(words)
    found = session.store.run(options.run)
    text = found.logs() if options.action is None else _of_action(session, found, options.action)
    return Text(text.rstrip("\n") or f"{found.name} has printed nothing")


def _of_action(session: Session, run: Run, action: str) -> str:
    data = run.log.read_bytes() if run.log is not None and run.log.exists() else b""
    parts = session.store.log_parts(run.name, action)
    return b"".join(data[part.offset : part.offset + part.length] for part in parts).decode("utf-8", "replace")


def cache(words: list[str], session: Session) -> View:
    """Show the outputs that are kept, or clear them."""
    verb, rest = choose("%flyte cache", words, ["list", "clear"], default="list")
    parser = _parser(f"cache {verb}")
    parser.add_argument("task", nargs="?", metavar="ENV.TASK", help="only those of this task; all of them by default")
    task = parser.parse_args(rest).task
    if verb == "clear":
        cleared = session.store.clear_cache(task)
        return Text(f"{cleared} kept output{'' if cleared == 1 else 's'} cleared")
    entries = session.store.cache_entries(task)
    if not entries:
        return Diff([("!", "no outputs are kept", 'a task keeps them with cache="auto"')])
    rows = [
        (entry.task, entry.run, told_time(entry.created), str(entry.hits), told_size(entry.size),
         told_time(entry.expires) if entry.expires is not None else "")
        for entry in entries
    ]  # fmt: skip
    return Table(("task", "made by run", "made", "used", "size", "until"), rows)


def images(words: list[str], session: Session) -> View:
    """Show the environments made for images, or remove those that are not used."""
    from flyte_nb.engine.local.images.listing import cached_images, prune

    verb, rest = choose("%flyte images", words, ["list", "prune"], default="list")
    parser = _parser(f"images {verb}")
    if verb == "prune":
        parser.add_argument("--days", type=float, default=30.0, metavar="N", help="how long unused; 30 by default")
        removed = prune(timedelta(days=parser.parse_args(rest).days))
        return Text(f"{removed} environment{'' if removed == 1 else 's'} removed")
    parser.parse_args(rest)
    rows = [
        (image.key[:12], image.python, "; ".join(image.layers)[:200], told_size(image.size),
         told_time(image.used), "in use" if image.in_use else "")
        for image in cached_images()
    ]  # fmt: skip
    if not rows:
        return Diff(
            [("!", "no environment was made for an image yet", "Image.from_debian_base().with_pip_packages(…)")]
        )
    return Table(("image", "Python", "installed", "size", "last used", ""), rows)


def told_time(time: datetime) -> str:
    """Word a time in the zone of this machine."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _parser(verb: str) -> Any:
    return Parser(prog=f"%flyte {verb}")


COMMANDS = (
    Command(
        "%flyte run TASK [NAME=VALUE ..] [--watch]",
        "run a task in a process of its own; --engine inline runs it in this one",
        run_task,
        (
            "%flyte run double x=21",
            "%flyte run my-env.double x=21 --keep on-failure --name first",
            "%flyte run my-env.sweep n=500 --watch",
        ),
    ),
    Command(
        "%flyte watch [RUN] [--text]",
        "a run as it happens: its actions over time, their logs, and a button that ends it",
        watch_run,
        ("%flyte watch", "%flyte watch first", "%flyte watch first --text"),
    ),
    Command(
        "%flyte rerun RUN [--engine local]",
        "run a kept run's task again, in this process by default, for the debugger",
        rerun_task,
        ("%flyte rerun first", "%flyte rerun first --engine local"),
    ),
    Command(
        "%flyte runs [RUN] [--last N] [--json]",
        "the latest runs, or one with all its actions",
        runs,
        ("%flyte runs --last 5", "%flyte runs first"),
    ),
    Command(
        "%flyte cache [list | clear] [TASK]",
        "the outputs that are kept; clear them, all or those of a task",
        cache,
        ("%flyte cache", "%flyte cache clear my-env.double"),
    ),
    Command(
        "%flyte images [list | prune] [--days N]",
        "the environments made for images; remove those unused for N days",
        images,
        ("%flyte images", "%flyte images prune --days 7"),
    ),
)
