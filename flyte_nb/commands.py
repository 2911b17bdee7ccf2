"""Verbs and their words, shared by the magics and the command line; an error suggests the nearest name."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from flyte_nb.errors import UsageError, suggestion

__all__ = ["Command", "HelpAsked", "Parser", "by_name", "choose", "export_options", "key_values", "pair"]

HELP_WORDS = ("--help", "-h")
#: words that mean something else than the verbs they resemble
OTHERS = ("edit", "serve", "stop")


@dataclass(frozen=True)
class Command:
    """A verb: how it is typed, what it does, what does it, and examples.

    Parameters
    ----------
    usage : str
        What is typed, such as ``"%flyte runs [RUN] [--last N]"``; its second word is the verb.
    text : str
        What it does, in a sentence without its stop.
    function : callable
        Does it. A verb of ``%flyte`` takes the words after it and the session, and gives a view; one of ``flyte-nb``
        takes the words and gives the exit status. It parses the words before it does anything else, so that
        ``["--help"]`` raises `HelpAsked`: the help page and the completion are made of that parser.
    examples : tuple of str
        Lines to type.
    """

    usage: str
    text: str
    function: Callable[..., Any]
    examples: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The verb."""
        return self.usage.split()[1]


def by_name(commands: Iterable[Command]) -> dict[str, Command]:
    """Give commands by their verbs, in their order."""
    return {command.name: command for command in commands}


class HelpAsked(Exception):  # noqa: N818 - it is no error
    """``--help`` on a line; whoever shows the answer shows what the parser takes.

    Parameters
    ----------
    parser : Parser
        The parser of the line.
    """

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        super().__init__(parser.prog)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UsageError`, suggesting the nearest option or verb."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "add_help": False, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and refuse what is not known with a suggestion."""
        if any(word in (args or ()) for word in HELP_WORDS):
            raise HelpAsked(self)
        found, rest = super().parse_known_args(args, namespace)
        unknown = [word for word in rest if word.startswith("-")]
        if unknown:
            self._refuse_option(unknown[0])
        return found, rest

    def rows(self) -> list[tuple[str, str]]:
        """Give what the line may hold, and what each of it is."""
        return [(self._written(action), (action.help or "").replace("%%", "%")) for action in self._actions]

    @staticmethod
    def _written(action: argparse.Action) -> str:
        if not action.option_strings:
            return str(action.metavar or action.dest.upper())
        value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
        option = action.option_strings[-1]
        return option if action.nargs == 0 else f"{option} {value}"

    def _refuse_option(self, word: str) -> NoReturn:
        options = [o for action in self._actions for o in action.option_strings if o.startswith("--")]
        raise UsageError(f"{self.prog}: unknown option {word!r}; {suggestion(word.partition('=')[0], options)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is none of the choices, with the nearest."""
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"given {value!r}; {suggestion(str(value), map(str, action.choices))}")

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print and exit for."""
        raise UsageError(f"{self.prog}: {message}")


def export_options(parser: Parser) -> None:
    """Add the options of an export."""
    parser.add_argument("--for", dest="target", choices=("flyte_nb", "flyte"), default="flyte_nb",
                        help="the package that the module imports: flyte is the Flyte SDK")  # fmt: skip
    parser.add_argument("--with-data", action="store_true",
                        help="write values that the notebook computed into a folder beside the module")  # fmt: skip
    parser.add_argument("--marks", action="store_true", help="tell the cell and line of each statement")


def choose(prog: str, words: Sequence[str], verbs: Sequence[str], default: str = "help") -> tuple[str, list[str]]:
    """Split a line into its verb and the rest.

    Raises
    ------
    HelpAsked
        Where help is asked for in the place of the verb.
    UsageError
        For an unknown verb, with the nearest one.
    """
    verb, *rest = words or [default]
    if verb in HELP_WORDS:
        parser = Parser(prog=prog)
        parser.add_argument("verb", choices=list(verbs), metavar="|".join(verbs), help=f"{default} by default")
        raise HelpAsked(parser)
    if verb not in verbs:
        near = f"there is {', '.join(verbs)}" if verb in OTHERS else suggestion(verb, verbs)
        raise UsageError(f"{prog}: unknown verb {verb!r}; {near}")
    return verb, rest


def pair(text: str, example: str = "NAME=VALUE") -> tuple[str, str]:
    """Split ``NAME=VALUE``.

    Raises
    ------
    UsageError
        Without ``=`` or without a name.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"given {text!r}; accepted: {example}")
    return name, value


def key_values(words: Sequence[str], example: str = "NAME=VALUE") -> dict[str, str]:
    """Read ``NAME=VALUE`` words into a dict.

    Raises
    ------
    UsageError
        As `pair`, and for a name that is given twice.
    """
    found: dict[str, str] = {}
    for name, value in (pair(word, example) for word in words):
        if name in found:
            raise UsageError(f"{name!r} is given twice; accepted: {example}, once for each name")
        found[name] = value
    return found
