"""Words to options: what is accepted, and what a wrong word is told."""

from __future__ import annotations

import pytest
from flyte_nb.commands import HelpAsked, Parser, choose, key_values, pair
from flyte_nb.errors import UsageError


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="%flyte run")
    parser.add_argument("task")
    parser.add_argument("--version")
    parser.add_argument("-n", "--number", type=int)
    return parser


def test_parses(parser: Parser) -> None:
    found = parser.parse_args(["e.t", "--number", "-3", "--version=v1"])
    assert (found.task, found.number, found.version) == ("e.t", -3, "v1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["t", "--verison", "1"], "unknown option '--verison'; did you mean '--version'?"),
        (["t", "--verison=1"], "did you mean '--version'?"),
        (["t", "--vers", "1"], "unknown option '--vers'"),
        (["t", "-x"], "unknown option '-x'"),
        (["t", "more"], "unrecognized arguments: more"),
        ([], "the following arguments are required: task"),
        (["t", "--number", "three"], "invalid int value: 'three'"),
        (["t", "--version"], "expected one argument"),
    ],
)
def test_wrong_words_are_refused(parser: Parser, words: list[str], told: str) -> None:
    with pytest.raises(UsageError) as raised:
        parser.parse_args(words)
    assert told in str(raised.value)
    assert str(raised.value).startswith("%flyte run: ")


def test_choose() -> None:
    verbs = ["help", "list", "run"]
    assert choose("%flyte", ["run", "e.t", "x=1"], verbs) == ("run", ["e.t", "x=1"])
    assert choose("%flyte", [], verbs) == ("help", [])
    assert choose("%flyte", [], verbs, "list") == ("list", [])
    with pytest.raises(UsageError, match="%flyte: unknown verb 'rnu'; did you mean 'run'"):
        choose("%flyte", ["rnu"], verbs)


def test_a_verb_that_means_something_else_is_not_taken_for_the_nearest() -> None:
    for word in ("serve", "stop", "edit"):
        with pytest.raises(UsageError, match=f"unknown verb '{word}'; there is secret, show, list"):
            choose("%flyte", [word], ["secret", "show", "list"])


def test_help_in_the_place_of_a_verb_tells_the_verbs() -> None:
    with pytest.raises(HelpAsked) as asked:
        choose("%flyte cache", ["--help"], ["list", "clear"], "list")
    assert asked.value.parser.rows() == [("list|clear", "list by default")]


def test_a_value_that_is_no_choice_is_told_the_nearest() -> None:
    parser = Parser(prog="%flyte run")
    parser.add_argument("--keep", choices=("never", "always"))
    with pytest.raises(UsageError, match="--keep: given 'alway'; did you mean 'always'"):
        parser.parse_args(["--keep", "alway"])


def test_pairs() -> None:
    assert pair("a=b=c") == ("a", "b=c")
    assert key_values(["a=1", "b="]) == {"a": "1", "b": ""}
    for text in ("a", "=1", ""):
        with pytest.raises(UsageError, match="accepted: KEY=V"):
            pair(text, "KEY=V")


def test_name_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="'a' is given twice"):
        key_values(["a=1", "b=2", "a=3"])
