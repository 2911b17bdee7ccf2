"""The end of a log: what is seen is what was printed last, and little is sent for it."""

from __future__ import annotations

import html
import re

from flyte_nb.widgets.tail import MOST_LINES, Tail, lines_of, pre
from hypothesis import given, settings
from hypothesis import strategies as st


def seen(tail: Tail) -> list[str]:
    """Give the lines that a tail shows, from the first to the last."""
    blocks = [re.fullmatch(r"<pre[^>]*>(.*)</pre>", child.value, re.S) for child in reversed(tail.widget.children)]
    return [html.unescape(line) for block in blocks if block for line in block[1].split("\n")]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 150), max_size=8), st.integers(1, 3))
def test_whatever_is_printed_the_last_lines_are_seen(steps: list[int], kinds: int) -> None:
    tail, printed = Tail(), list[str]()
    for step in steps:
        printed += [f"line {n % kinds if kinds < 3 else n}" for n in range(len(printed), len(printed) + step)]
        tail.show(printed[-MOST_LINES:])
        shown = seen(tail)
        assert shown[-MOST_LINES:] == printed[-MOST_LINES:]
        assert len(shown) <= MOST_LINES + 20


def test_a_new_line_changes_one_block() -> None:
    tail = Tail()
    tail.show([f"line {n}" for n in range(150)])
    before = [child.value for child in tail.widget.children]
    tail.show([f"line {n}" for n in range(151)])
    after = [child.value for child in tail.widget.children]
    assert [one for one in after if one not in before] == after[:1]


def test_another_log_takes_the_place_of_one_that_ends_with_it() -> None:
    tail = Tail()
    tail.show(["a", "b", "c"])
    tail.show(["b", "c"], anew=True)
    assert seen(tail) == ["b", "c"]
    tail.show([], anew=True)
    assert seen(tail) == []


def test_lines_are_as_in_a_terminal_and_inert() -> None:
    assert lines_of("one\r\n10%\r20%\n\x1b[31mred\x1b[0m\nlast") == ["one", "20%", "red", "last"]
    assert lines_of("") == []
    assert len(lines_of("x\n" * 1000)) == MOST_LINES
    shown = pre(["</pre><b>", "\u202e\x00", "x" * 100_000])
    assert "&lt;/pre&gt;&lt;b&gt;\n\\u202e\\x00\nxxx" in shown
    assert len(shown) < 1_000
