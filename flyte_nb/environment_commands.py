"""``%flyte list``, ``browse``, ``show``, ``export`` and ``notebook``: what is declared here, and where."""

from __future__ import annotations

import json
from pathlib import Path

from flyte_nb.browsing import browse
from flyte_nb.commands import Command, Parser, export_options
from flyte_nb.session import Session
from flyte_nb.showing import card, state
from flyte_nb.verbs import export
from flyte_nb.views import Text, View
from flyte_nb.widgets import environments as cards

__all__ = ["COMMANDS"]


def _list(words: list[str], session: Session) -> View:
    """Show every environment, a line each."""
    parser = Parser(prog="%flyte list")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(words)
    registry = session.registry
    states = {env.name: state(session, env) for env in registry.values()}
    if options.json:
        return Text(json.dumps([cards.data(env, states[env.name]) for env in registry.values()], indent=2))
    return cards.environments(registry, states)


def _browse(words: list[str], session: Session) -> View:
    """Show the environments as a list to search and to act on."""
    Parser(prog="%flyte browse").parse_args(words)
    return browse()


def _show(words: list[str], session: Session) -> View:
    """Show one environment as a card."""
    parser = Parser(prog="%flyte show")
    parser.add_argument("name", metavar="NAME", help="the name of an environment")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(words)
    env = session.registry.find(options.name)
    if options.json:
        return Text(json.dumps(cards.data(env, state(session, env), settings=True), indent=2))
    return card(session, env)


def _export(words: list[str], session: Session) -> View:
    """Write the definitions as a module."""
    parser = Parser(prog="%flyte export")
    parser.add_argument("path", type=Path, metavar="PATH", help="the module to write")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the environments; all of them by default")
    export_options(parser)
    options = parser.parse_args(words)
    wanted = [session.registry.find(name) for name in options.names]
    path = export(options.path, *wanted, for_=options.target, with_data=options.with_data, marks=options.marks)
    return Text(f"wrote {path}")


def _notebook(words: list[str], session: Session) -> View:
    """Say where the notebook is, or take what is stated."""
    parser = Parser(prog="%flyte notebook")
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="the notebook, or the folder it lies in")
    path = parser.parse_args(words).path
    location = session.workbook.location if path is None else session.workbook.state_location(path)
    return Text(f"the notebook is {location}" if location.file else f"the notebook lies in {location}")


COMMANDS = (
    Command(
        "%flyte list [--json]", "the environments declared here, with their tasks and state", _list, ("%flyte list",)
    ),
    Command(
        "%flyte browse",
        "the environments as a list to search, to look at and to act on; in a front end with widgets also  %flyte",
        _browse,
        ("%flyte browse",),
    ),
    Command(
        "%flyte show NAME [--json]", "one environment, with its settings and tasks", _show, ("%flyte show my-env",)
    ),
    Command(
        "%flyte export PATH [NAME ..] [--for flyte] [--with-data] [--marks]",
        "write the definitions as a module to commit; --for flyte imports the SDK",
        _export,
        ("%flyte export pipeline.py", "%flyte export pipeline.py my-env --for flyte"),
    ),
    Command(
        "%flyte notebook [PATH]",
        "where this notebook is, which relative paths in include mean; or state it",
        _notebook,
        ("%flyte notebook", "%flyte notebook ~/notes/pipeline.ipynb"),
    ),
)
