"""The completer: what may come next on a line of ``%flyte`` or ``%%flyte``, and how IPython gets to know."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_nb.commands import Command, Parser
from flyte_nb.completion.line import Typed, Wanted, parser_of, typed_words, wanted
from flyte_nb.completion.sources import Asked, candidates
from flyte_nb.session import Session

__all__ = ["Completer", "Completions", "add_to"]

IDENTIFIER = "flyte_nb"
_MAGIC = re.compile(r"\s*(?:[\w.,][\w.,\s]*=\s*)?(?P<sign>%%?)flyte\s+")
_FIRST = 1000  # the priority over IPython's own
_SPECIAL = re.compile(r"""([\s\\'"])""")


@dataclass(frozen=True)
class Completions:
    """What may stand in the place of the last piece of a line.

    Parameters
    ----------
    fragment : str
        That piece.
    found : list of (str, str)
        What may stand there, and what kind of thing each is. Where nothing is known, what stands there already, with a
        word on what is expected: no names of Python come in its place.
    """

    fragment: str
    found: list[tuple[str, str]]


class Completer:
    """Completes lines.

    Parameters
    ----------
    verbs : mapping of str to Command
        The verbs of ``%flyte``.
    cell : callable
        Makes the parser of the first line of a ``%%flyte`` cell.
    session : Session
        What names come from.
    """

    def __init__(self, verbs: Mapping[str, Command], cell: Callable[[], Parser], session: Session) -> None:
        self._verbs, self._cell, self._session = verbs, cell, session

    def complete(self, line: str) -> Completions | None:
        """Complete a line, given up to the cursor; None where it is not one of ``%flyte``."""
        magic = _MAGIC.match(line)
        if magic is None:
            return None
        typed = typed_words(line[magic.end() :])
        if typed is None:
            return Completions("", [("", "text in quotation marks")])
        found = (text for text in self._found(magic["sign"], typed) if _fits(text[0], typed.last))
        texts = [(_SPECIAL.sub(r"\\\1", text), kind) for text, kind in dict.fromkeys(found)]
        return Completions(typed.raw, texts or [(typed.raw, self._expected(magic["sign"], typed))])

    def _found(self, sign: str, typed: Typed) -> Iterator[tuple[str, str]]:
        if sign == "%" and not typed.words:
            return ((verb, "verb") for verb in self._verbs)
        parser, words = self._parser(sign, typed.words)
        return self._next(parser, words, typed.last) if parser is not None else iter(())

    def _expected(self, sign: str, typed: Typed) -> str:
        """Say what may stand there, where no candidate is known."""
        parser, words = self._parser(sign, typed.words)
        action = wanted(parser, words).action if parser is not None else None
        return (action.help or "").replace("%%", "%") if action is not None else "nothing is known here"

    def _parser(self, sign: str, words: list[str]) -> tuple[Parser | None, list[str]]:
        """Give the parser of a line, and the words that are for it."""
        if sign == "%%":
            return self._cell(), words
        command = self._verbs.get(words[0]) if words else None
        return parser_of(command, words[1:], self._session) if command else (None, [])

    def _next(self, parser: Parser, words: list[str], last: str) -> Iterator[tuple[str, str]]:
        expected = wanted(parser, words)
        option, equals, value = last.partition("=")
        if not expected.is_value and last.startswith("-") and equals:
            action = next((a for a in parser._actions if option in a.option_strings), None)
            if action is not None:
                yield from ((f"{option}={text}", kind) for text, kind in self._values(action, expected, value))
            return
        if expected.action is not None and (expected.is_value or not last.startswith("-")):
            yield from self._values(expected.action, expected, last)
        if not expected.is_value and (not last or last.startswith("-")):
            yield from ((option, "option") for option in _options(parser, expected))

    def _values(self, action: argparse.Action, expected: Wanted, typed: str) -> Iterable[tuple[str, str]]:
        asked = Asked(self._session, typed, expected.given, [*self._verbs, "cell"])
        return ((text, _kind(action)) for text in candidates(action, asked))


def _kind(action: argparse.Action) -> str:
    """Say in a word what the values of an argument or an option are."""
    if action.option_strings:
        return action.option_strings[-1].lstrip("-").replace("_", " ")
    return "environment" if action.metavar in ("NAME", "SRC", "A", "B") else action.dest.replace("_", " ")


def _options(parser: Parser, expected: Wanted) -> Iterator[str]:
    """Give the options that a line may still hold."""
    for action in parser._actions:
        again = isinstance(action, argparse._AppendAction) or action.dest not in expected.given
        if action.option_strings and again:
            yield action.option_strings[-1]
    yield "--help"


def _fits(text: str, typed: str) -> bool:
    return text.lower().startswith(typed.lower())


def add_to(shell: Any, completer: Completer) -> None:
    """Let a shell's completer ask this one first; a second time it takes the place of the first."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    def flyte(context: Any) -> Any:
        found = completer.complete(_line(context))
        if found is None:
            return {"completions": []}
        return {
            "completions": [SimpleCompletion(text, type=kind) for text, kind in found.found],
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    matchers = shell.Completer.custom_matchers
    matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", "") != IDENTIFIER]
    matchers.append(context_matcher(identifier=IDENTIFIER, priority=_FIRST)(flyte))


def _line(context: Any) -> str:
    """Give the cursor's line up to the cursor; a ``%%flyte`` line only where it starts the cell."""
    line = str(context.text_until_cursor)
    before = context.full_text.split("\n")[: context.cursor_line]
    return "" if line.lstrip().startswith("%%") and any(part.strip() for part in before) else line
