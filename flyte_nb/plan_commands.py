"""``%flyte plan`` and ``graph``: what deploying would do, and what depends on what."""

from __future__ import annotations

from collections.abc import Iterable

from flyte_nb.commands import Command, Parser
from flyte_nb.environments.base import Environment
from flyte_nb.plan_panels import plan_panel
from flyte_nb.planning import plan
from flyte_nb.session import Session
from flyte_nb.showing import drawn
from flyte_nb.views import Text, View
from flyte_nb.widgets.interactive import has_widgets
from flyte_nb.widgets.plan import plan as shown

__all__ = ["COMMANDS", "plan_options", "planned"]


def _plan(words: list[str], session: Session) -> View:
    """Show a plan."""
    parser = Parser(prog="%flyte plan")
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to deploy; everything declared by default")
    plan_options(parser)
    options = parser.parse_args(words)
    wanted = [session.registry.find(name) for name in options.names]
    if options.json or not has_widgets():
        return planned(wanted, options.version, options.json)
    return plan_panel(session, plan(*wanted, version=options.version))


def plan_options(parser: Parser) -> None:
    """Add the options of a plan."""
    parser.add_argument("--version", metavar="V", help="a name for the version; made from the content by default")
    parser.add_argument("--json", action="store_true", help="the plan as JSON, for a script")


def planned(wanted: Iterable[Environment], version: str | None, as_json: bool) -> View:
    """Make a plan, and show it as cards or as JSON."""
    made = plan(*wanted, version=version)
    return Text(made.to_json()) if as_json else shown(made)


def _graph(words: list[str], session: Session) -> View:
    """Draw what depends on what."""
    parser = Parser(prog="%flyte graph")
    parser.add_argument("name", nargs="?", metavar="NAME", help="only what it depends on, and what depends on it")
    name = parser.parse_args(words).name
    return drawn(session, name)


COMMANDS = (
    Command(
        "%flyte plan [NAME ..] [--version V] [--json]",
        "what deploying would do: changes field by field, files, images, secrets; nothing is done",
        _plan,
        ("%flyte plan", "%flyte plan my-env --version v2", "%flyte plan --json"),
    ),
    Command(
        "%flyte graph [NAME]",
        "what depends on what, in layers, with how each environment stands",
        _graph,
        ("%flyte graph", "%flyte graph my-env"),
    ),
)
