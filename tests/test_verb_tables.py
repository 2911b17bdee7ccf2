"""The tables of verbs: every one of them is told with a sentence, its options and examples."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any

import pytest
from flyte_nb import cli, magics
from flyte_nb.commands import Command, HelpAsked, Parser
from flyte_nb.engine.local.secrets import Secrets

MAGICS, SHELL = magics.VERBS.values(), cli.VERBS.values()
#: parsing a line needs no more of it
SESSION = SimpleNamespace(secrets=Secrets())


def parser_of(command: Command, *words: str) -> Parser:
    """Give the parser that a verb makes before it does anything else."""
    arguments: list[Any] = [[*words, "--help"], *([SESSION] if command in MAGICS else [])]
    with pytest.raises(HelpAsked) as asked:
        command.function(*arguments)
    return asked.value.parser


@pytest.mark.parametrize("command", [*MAGICS, *SHELL], ids=lambda command: command.usage)
def test_every_verb_has_a_page_with_a_sentence_options_and_examples(command: Command) -> None:
    prefix = "%flyte" if command in MAGICS else "flyte-nb"
    parser = parser_of(command)
    assert parser.prog == f"{prefix} {command.name}"
    assert command.usage.startswith(f"{prefix} {command.name}")
    assert command.text
    assert not command.text.endswith(".")
    assert all(text for _, text in parser.rows()), "each option says what it is"
    assert command.examples
    for line in command.examples:
        assert line.startswith(f"{prefix} {command.name}")
        assert shlex.split(line)


@pytest.mark.parametrize("command", MAGICS, ids=lambda command: command.usage)
def test_the_examples_of_the_magics_use_options_that_there_are(command: Command) -> None:
    for line in command.examples:
        words = shlex.split(line)[2:]
        parser = parser_of(command, *[word for word in words[:1] if not word.startswith("-")])
        known = {option for action in parser._actions for option in action.option_strings}
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}
