"""``%flyte deploy``: environments become callable from any process."""

from __future__ import annotations

from flyte_nb.commands import Command, Parser
from flyte_nb.session import Session
from flyte_nb.verbs import deploy
from flyte_nb.views import View
from flyte_nb.widgets import runs as run_views

__all__ = ["COMMANDS"]


def _deploy(words: list[str], session: Session) -> View:
    """Deploy environments, or say what would be deployed."""
    parser = Parser(prog="%flyte deploy")
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to deploy; everything declared by default")
    parser.add_argument("--dry-run", action="store_true", help="say what would be deployed, and which files")
    parser.add_argument("--version", metavar="V", help="in place of the one made from the content")
    parser.add_argument("--engine", default="local", help="where to: local, the store of this machine")
    options = parser.parse_args(words)
    wanted = [session.registry.find(name) for name in options.names] or list(session.registry.values())
    made = deploy(*wanted, dry_run=options.dry_run, version=options.version, engine=options.engine)
    return run_views.deployments(made, options.dry_run)


COMMANDS = (
    Command(
        "%flyte deploy [NAME ..] [--dry-run] [--version V]",
        "deploy to this machine's store; all of them without a name",
        _deploy,
        ("%flyte deploy --dry-run", "%flyte deploy my-env", "%flyte deploy my-env --version v2"),
    ),
)
