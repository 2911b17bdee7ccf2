"""``%flyte deploy``, ``rollback``, ``history``, ``diff`` and ``prune``: what is callable from any process."""

from __future__ import annotations

from flyte_nb.commands import Command, Parser
from flyte_nb.comparing import compare
from flyte_nb.deploying import deploy, deployments, prune, rollback
from flyte_nb.session import Session
from flyte_nb.views import View
from flyte_nb.widgets import deployments as views
from flyte_nb.widgets import runs as run_views

__all__ = ["COMMANDS", "deploy_options", "differences", "history_of", "pruned", "rolled_back"]


def _deploy(words: list[str], session: Session) -> View:
    """Deploy environments, or say what would be deployed."""
    parser = Parser(prog="%flyte deploy")
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to deploy; everything declared by default")
    deploy_options(parser)
    options = parser.parse_args(words)
    wanted = [session.registry.find(name) for name in options.names] or list(session.registry.values())
    made = deploy(
        *wanted,
        dry_run=options.dry_run,
        version=options.version,
        engine=options.engine,
        allow_large=options.allow_large,
    )
    return run_views.deployments(made, options.dry_run)


def deploy_options(parser: Parser) -> None:
    """Add the options of a deployment."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be deployed, and which files")
    parser.add_argument("--version", metavar="V", help="a name for the version; made from the content by default")
    parser.add_argument(
        "--engine", default="local", help="where to: local, the store of this machine, or cluster, a Flyte cluster"
    )
    parser.add_argument("--allow-large", action="store_true", help="deploy a bundle of more than 100 MiB, too")


def _rollback(words: list[str], session: Session) -> View:
    return rolled_back("%flyte rollback", words)


def rolled_back(prog: str, words: list[str]) -> View:
    """Make an earlier version current again."""
    parser = Parser(prog=prog)
    parser.add_argument("deployed", nargs="+", metavar="NAME", help="the environments; they need not be declared here")
    parser.add_argument("--version", metavar="V", help="the version; by default the one that was current before")
    options = parser.parse_args(words)
    return run_views.deployments(rollback(*options.deployed, version=options.version))


def _history(words: list[str], session: Session) -> View:
    return history_of("%flyte history", words)


def history_of(prog: str, words: list[str]) -> View:
    """Show the versions of an environment, or what is current of all."""
    parser = Parser(prog=prog)
    parser.add_argument("deployed", nargs="?", metavar="NAME", help="an environment; what is current of all by default")
    return views.history(deployments(parser.parse_args(words).deployed))


def _diff(words: list[str], session: Session) -> View:
    return differences("%flyte diff", words, session)


def differences(prog: str, words: list[str], session: Session) -> View:
    """Compare two versions, or environments."""
    parser = Parser(prog=prog)
    what = "NAME@VERSION, NAME@current, or NAME for what is declared now"
    parser.add_argument("before", metavar="A", help=what)
    parser.add_argument("after", metavar="B", help="the same of the other")
    options = parser.parse_args(words)
    return compare(options.before, options.after, session).view()


def _prune(words: list[str], session: Session) -> View:
    return pruned("%flyte prune", words)


def pruned(prog: str, words: list[str]) -> View:
    """Remove old versions and bundles, or say what would be removed."""
    parser = Parser(prog=prog)
    parser.add_argument("--days", type=float, default=30.0, metavar="N", help="made or current last so long ago; 30")
    parser.add_argument("--apply", action="store_true", help="remove them; without it nothing is removed")
    options = parser.parse_args(words)
    return views.pruned(prune(options.days, dry_run=not options.apply))


COMMANDS = (
    Command(
        "%flyte deploy [NAME ..] [--dry-run] [--version V] [--engine cluster]",
        "deploy to this machine's store, or to a Flyte cluster; all of them without a name",
        _deploy,
        ("%flyte deploy --dry-run", "%flyte deploy my-env", "%flyte deploy my-env --version v2"),
    ),
    Command(
        "%flyte rollback NAME .. [--version V]",
        "make an earlier version current again, whatever the notebook says by now",
        _rollback,
        ("%flyte rollback my-env", "%flyte rollback my-env --version v1"),
    ),
    Command(
        "%flyte history [NAME]",
        "the versions of an environment, the newest first; or what is deployed of all",
        _history,
        ("%flyte history", "%flyte history my-env"),
    ),
    Command(
        "%flyte diff A[@V] B[@V]",
        "how two environments differ, each at a version or as declared: settings, tasks, names that they read",
        _diff,
        ("%flyte diff my-env@v1 my-env@v2", "%flyte diff my-env@current my-env", "%flyte diff my-env other-env"),
    ),
    Command(
        "%flyte prune [--days N] [--apply]",
        "what can be removed: versions that were not current for N days, and their bundles; or remove it",
        _prune,
        ("%flyte prune", "%flyte prune --days 90 --apply"),
    ),
)
