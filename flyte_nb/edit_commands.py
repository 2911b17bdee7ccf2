"""``%flyte edit``: the editor of an environment."""

from __future__ import annotations

from flyte_nb.commands import Command, Parser
from flyte_nb.session import Session
from flyte_nb.views import View

__all__ = ["COMMANDS"]


def _edit(words: list[str], session: Session) -> View:
    """Open the editor of an environment."""
    parser = Parser(prog="%flyte edit")
    parser.add_argument("name", metavar="NAME", help="the name of an environment")
    name = parser.parse_args(words).name
    from flyte_nb.editing import edit

    return edit(session.registry.find(name))


COMMANDS = (
    Command(
        "%flyte edit NAME",
        "change an environment's settings with controls; Apply declares them, and the code is there to copy",
        _edit,
        ("%flyte edit my-env",),
    ),
)
