"""What a line is about to say, read as its parser would."""

from __future__ import annotations

import shlex

import pytest
from flyte_nb.commands import Parser
from flyte_nb.completion.line import typed_words, wanted
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="%flyte run")
    parser.add_argument("task", metavar="TASK")
    parser.add_argument("inputs", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--engine")
    parser.add_argument("--fast", action="store_true")
    return parser


@pytest.mark.parametrize(
    ("words", "next_one", "is_value", "given_so_far"),
    [
        ([], "task", False, {}),
        (["t"], "inputs", False, {"task": ["t"]}),
        (["t", "x=1", "y=2"], "inputs", False, {"task": ["t"], "inputs": ["x=1", "y=2"]}),
        (["t", "--engine"], "engine", True, {"task": ["t"], "engine": []}),
        (["--engine", "local"], "task", False, {"engine": ["local"]}),
        (["--engine=local", "t"], "inputs", False, {"engine": ["local"], "task": ["t"]}),
        (["--fast", "t"], "inputs", False, {"fast": [], "task": ["t"]}),
        (["--unknown", "t"], "inputs", False, {"task": ["--unknown", "t"]}),
    ],
)
def test_what_comes_next(
    parser: Parser, words: list[str], next_one: str, is_value: bool, given_so_far: dict[str, list[str]]
) -> None:
    found = wanted(parser, words)
    assert found.action is not None
    assert (found.action.dest, found.is_value) == (next_one, is_value)
    if "--unknown" not in words:
        assert found.given == given_so_far


def test_after_the_last_argument_only_options_may_come() -> None:
    parser = Parser(prog="%flyte show")
    parser.add_argument("name")
    assert wanted(parser, ["a"]).action is None


@pytest.mark.parametrize(
    ("line", "words", "last", "raw"),
    [
        ("", [], "", ""),
        ("show", [], "show", "show"),
        ("show ", ["show"], "", ""),
        ("run t x=1 --en", ["run", "t", "x=1"], "--en", "--en"),
        (r"export my\ fol", ["export"], "my fol", r"my\ fol"),
        ("run t text='a b' x", ["run", "t", "text=a b"], "x", "x"),
        ("export my\\", ["export"], "my", "my\\"),
    ],
)
def test_words(line: str, words: list[str], last: str, raw: str) -> None:
    typed = typed_words(line)
    assert typed is not None
    assert (typed.words, typed.last, typed.raw) == (words, last, raw)


@pytest.mark.parametrize("line", ["show 'abc", 'run t text="a b'])
def test_nothing_is_known_within_a_quotation(line: str) -> None:
    assert typed_words(line) is None


@given(
    st.lists(st.text(st.characters(codec="ascii"), min_size=1), max_size=4),
    st.from_regex(r"[a-z=.:-]*", fullmatch=True),
)
def test_every_line_is_parted_as_a_shell_would(words: list[str], last: str) -> None:
    line = " ".join([*map(shlex.quote, words), last])
    typed = typed_words(line)
    assert typed is not None
    assert (typed.words, typed.last) == (words, last)
