"""``%flyte connect``: which cluster this kernel knows, from where, and whether it answers; or another one."""

from __future__ import annotations

from flyte_nb.commands import Command, Parser
from flyte_nb.session import Session
from flyte_nb.views import Text, View

__all__ = ["COMMANDS"]


def _connect(words: list[str], session: Session) -> View:
    """Connect to a cluster, or say how it stands with the one that is configured."""
    parser = Parser(prog="%flyte connect")
    parser.add_argument("endpoint", nargs="?", metavar="ENDPOINT", help="the address of a control plane")
    parser.add_argument("--config", metavar="FILE", help="a configuration file of the Flyte SDK")
    parser.add_argument("--project", metavar="P", help="where runs and deployments belong")
    parser.add_argument("--domain", metavar="D", help="the domain of the project")
    parser.add_argument("--org", metavar="O", help="the organization")
    parser.add_argument("--insecure", action="store_true", help="without TLS")
    options = parser.parse_args(words)
    if options.endpoint and options.config:
        parser.error("given ENDPOINT and --config; accepted: one of them")
    given = {name: value for name, value in vars(options).items() if name != "config" and value}
    from flyte_nb.connecting import configured, newly_connected
    from flyte_nb.widgets.cluster import card

    if options.config or given:
        return card(newly_connected(session, options.config, given))
    found = configured(session)
    return Text(found) if isinstance(found, str) else card(found)


COMMANDS = (
    Command(
        "%flyte connect [ENDPOINT] [--config FILE] [--project P] [--domain D] [--org O] [--insecure]",
        "connect to a Flyte cluster, as flyte.init does; alone, say which one is known and whether it answers",
        _connect,
        ("%flyte connect", "%flyte connect dns:///flyte.example.com --project shop --domain development"),
    ),
)
