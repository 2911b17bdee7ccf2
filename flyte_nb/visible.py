"""Text as it may be shown anywhere: what a terminal obeys or a reader is misled by is made visible, and lines end."""

from __future__ import annotations

import re

__all__ = ["bounded_lines", "visible"]

#: what a terminal obeys, what turns the direction of text, and what no message can carry: half a surrogate pair
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LONGEST_LINE = 1_000
MOST_LINES = 300


def visible(text: str) -> str:
    """Make control and direction characters visible."""
    return _HIDDEN.sub(lambda match: ascii(match[0])[1:-1], text)


def bounded_lines(text: str) -> str:
    """Make control and direction characters visible, and cut what is very long, saying how long it is."""
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        left = len(lines) - MOST_LINES
        lines = [*lines[: MOST_LINES // 2], f"… {left:,} lines left out", *lines[-MOST_LINES // 2 :]]
    return "\n".join(map(_bounded, lines))


def _bounded(line: str) -> str:
    cut = f"{line[:LONGEST_LINE]}… ({len(line):,} characters)" if len(line) > LONGEST_LINE else line
    return visible(cut)
