"""Help pages: all verbs in one table, and one verb with its options and examples."""

from __future__ import annotations

from collections.abc import Iterable

from flyte_nb.commands import Command, Parser
from flyte_nb.views import Stack, Table, Text, View

__all__ = ["options", "overview", "page"]


def overview(commands: Iterable[Command]) -> Table:
    """Show what can be typed, a line for each verb."""
    return Table(("type", "to"), [(command.usage, command.text) for command in commands])


def page(command: Command, parser: Parser) -> View:
    """Show one verb: how it is typed, what it does, what its line may hold, and examples.

    Parameters
    ----------
    command : Command
        The verb.
    parser : Parser
        What reads its line.
    """
    title = Text(f"{command.usage}\n  {command.text}")
    taken = [options(parser)] if parser.rows() else []
    examples = (
        [Text("\n".join(["for example", *(f"  {line}" for line in command.examples)]))] if command.examples else []
    )
    return Stack([title, *taken, *examples])


def options(parser: Parser) -> Table:
    """Show what a line may hold."""
    return Table((parser.prog, "what it is"), parser.rows())
