"""What a line is about to say: which option or argument is being typed, and what stands before it."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass, field

from flyte_nb.commands import Command, HelpAsked, Parser
from flyte_nb.errors import UsageError
from flyte_nb.session import Session

__all__ = ["Typed", "Wanted", "parser_of", "typed_words", "wanted"]

_LAST = re.compile(r"(?:[^\s\\]|\\.)*\\?$")
_MANY = ("*", "+", argparse.REMAINDER)


@dataclass(frozen=True)
class Typed:
    """The words of a line, and the one being typed.

    Parameters
    ----------
    words : list of str
        The words before it.
    last : str
        What stands of the word so far.
    raw : str
        The same as it stands in the line, with its backslashes.
    """

    words: list[str]
    last: str
    raw: str


@dataclass(frozen=True)
class Wanted:
    """What may come next.

    Parameters
    ----------
    action : argparse.Action or None
        Whose value or words come next; None where only options may.
    is_value : bool
        Whether it is the value of an option, so that nothing else may come.
    given : dict of str to list of str
        What the line says already, by the names of options and arguments.
    """

    action: argparse.Action | None
    is_value: bool = False
    given: dict[str, list[str]] = field(default_factory=dict)


def typed_words(line: str) -> Typed | None:
    """Part what stands after the magic's name into words; None within a quotation."""
    raw = match[0] if (match := _LAST.search(line)) else ""
    try:
        return Typed(shlex.split(line[: len(line) - len(raw)]), "".join(shlex.split(raw.rstrip("\\"))), raw)
    except ValueError:
        return None


def parser_of(command: Command, words: list[str], session: Session) -> tuple[Parser | None, list[str]]:
    """Give the parser of a verb, or of its own verb where it has some, and the words that are left for it."""
    parser = _asked(command, [], session)
    if parser is None or not words:
        return parser, words
    own = _asked(command, words[:1], session)
    return (parser, words) if own is None or own.prog == parser.prog else (own, words[1:])


def _asked(command: Command, words: list[str], session: Session) -> Parser | None:
    try:
        command.function([*words, "--help"], session)
    except HelpAsked as asked:
        return asked.parser
    except UsageError:  # a word that is no verb of the verb
        return None
    return None


def wanted(parser: Parser, words: list[str]) -> Wanted:
    """Read words as a parser would, as far as they go, and say what comes next."""
    given: dict[str, list[str]] = {}
    options = {option: action for action in parser._actions for option in action.option_strings}
    places = [action for action in parser._actions if not action.option_strings]
    waiting: argparse.Action | None = None
    for word in words:
        if waiting is not None:
            given.setdefault(waiting.dest, []).append(word)
            waiting = None
        elif word.startswith("-") and word.partition("=")[0] in options:
            action, _, value = (options[word.partition("=")[0]], *word.partition("=")[1:])
            given.setdefault(action.dest, []).extend([value] if value else [])
            waiting = action if action.nargs != 0 and "=" not in word else None
        elif places:
            given.setdefault(places[0].dest, []).append(word)
            places = places if places[0].nargs in _MANY else places[1:]
    if waiting is not None:
        return Wanted(waiting, True, given)
    return Wanted(places[0] if places else None, False, given)
