"""Series: the arguments of a call or the items of a dict in a source, edited one at a time, all else left as it is."""

from __future__ import annotations

import ast
import bisect
import functools
import re
import tokenize
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["Item", "Series", "Source", "Span"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_BLANK = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


class Span(NamedTuple):
    """A part of a source, as offsets of characters."""

    start: int
    end: int


class _Token(NamedTuple):
    text: str
    span: Span
    blank: bool


class Source:
    """A source as Python reads it: every line ends with a line feed, whatever it ends with in the file.

    Parameters
    ----------
    text : str
        Python that can be parsed.
    """

    def __init__(self, text: str) -> None:
        self._original = text
        lines = _LINE.findall(text)
        ends = [line[len(line.rstrip("\r\n")) :] for line in lines]
        self._newline = max(("\n", "\r\n", "\r"), key=ends.count)
        self.lines = [line.rstrip("\r\n") + ("\n" if end else "") for line, end in zip(lines, ends, strict=True)]
        self.text = "".join(self.lines)
        self._starts = _starts(self.lines)
        self._original_starts = _starts(lines)

    @functools.cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text)

    @functools.cached_property
    def tokens(self) -> list[_Token]:
        """Its tokens, in order."""
        lines = iter(self.lines)
        found = tokenize.generate_tokens(lambda: next(lines, ""))
        return [_Token(t.string, Span(self._at(*t.start), self._at(*t.end)), t.type in _BLANK) for t in found]

    def _at(self, line: int, column: int) -> int:
        return self._starts[min(line, len(self._starts)) - 1] + (column if line <= len(self._starts) else 0)

    def span(self, node: ast.expr | ast.keyword) -> Span:
        """Give where a node is, brackets around it left out."""
        end = node.end_lineno or 0, node.end_col_offset or 0
        return Span(self._of_bytes(node.lineno, node.col_offset), self._of_bytes(*end))

    def _of_bytes(self, line: int, column: int) -> int:
        return self._at(line, len(self.lines[line - 1].encode()[:column].decode()))

    def line_start(self, offset: int) -> int:
        """Give where the line of an offset starts."""
        return self._starts[bisect.bisect_right(self._starts, offset) - 1]

    def line_end(self, offset: int) -> int:
        """Give where the line of an offset ends, before its line feed."""
        found = self.text.find("\n", offset)
        return len(self.text) if found < 0 else found

    def replaced(self, span: Span, text: str) -> str:
        """Give the original text with another text in the place of a part of it."""
        start, end = self._in_original(span.start), self._in_original(span.end)
        return self._original[:start] + text.replace("\n", self._newline) + self._original[end:]

    def _in_original(self, offset: int) -> int:
        line = bisect.bisect_right(self._starts, offset) - 1
        if line < 0:
            return 0
        return self._original_starts[line] + offset - self._starts[line]


def _starts(lines: Sequence[str]) -> list[int]:
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line)
    return [*starts, at]


class Item(NamedTuple):
    """One item of a series: where it is, brackets around it included, and its comma."""

    span: Span
    comma: Span | None


class Series:
    """The items between the brackets of a call or a dict.

    Parameters
    ----------
    source : Source
        What it is in.
    whole : Span
        The call or the dict; it ends with the closing bracket.
    after : int
        Where to look for the opening bracket.
    items : sequence of Span
        Where the items are, in order, brackets around them left out.
    """

    def __init__(self, source: Source, whole: Span, after: int, items: Sequence[Span]) -> None:
        self._source, self._close = source, whole.end - 1
        tokens = [t for t in source.tokens if after <= t.span.start < whole.end and not t.blank]
        opening = next(i for i, token in enumerate(tokens) if token.text in ("(", "{"))
        self._open = tokens[opening].span.end
        self.items = list(self._items(tokens[opening + 1 :], items))

    def _items(self, tokens: list[_Token], spans: Sequence[Span]) -> Iterator[Item]:
        begin = self._open
        for span in spans:
            first = next(token for token in tokens if token.span.start >= begin)
            end, comma = span.end, None
            for token in tokens:
                if token.span.start < span.end:
                    continue
                if token.text == "," or token.span.start >= self._close:
                    comma = token.span if token.text == "," else None
                    break
                end = token.span.end
            yield Item(Span(first.span.start, end), comma)
            begin = comma.end if comma else end

    def removed(self, index: int) -> str:
        """Give the source without an item; on a line of its own it takes the line along, with the comment there."""
        text, item = self._source.text, self.items[index]
        end = item.comma.end if item.comma else item.span.end
        line, line_end = self._source.line_start(item.span.start), self._source.line_end(end)
        if not text[line : item.span.start].strip() and re.fullmatch(r"[ \t]*(#.*)?", text[end:line_end]):
            return self._source.replaced(Span(line, min(line_end + 1, len(text))), "")
        return self._source.replaced(self._inline(index, end), "")

    def _inline(self, index: int, end: int) -> Span:
        text, item = self._source.text, self.items[index]
        if index + 1 < len(self.items):
            following = self.items[index + 1].span.start
            if not text[end:following].strip(" \t"):
                return Span(item.span.start, following)
        elif index and re.fullmatch(r"\s*,\s*", text[self.items[index - 1].span.end : item.span.start]):
            return Span(self.items[index - 1].span.end, item.span.end)  # a comma after it becomes that of the former
        start = len(text[: item.span.start].rstrip(" \t"))
        keeps = start == self._open or text[start - 1] == "\n"
        return Span(item.span.start if keeps else start, end)

    def added(self, text: str) -> str:
        """Give the source with one item more, at the end, laid out as the others are."""
        if not self.items:
            return self._source.replaced(Span(self._open, self._open), text)
        last = self.items[-1]
        line = self._source.line_start(last.span.start)
        indent = self._source.text[line : last.span.start]
        if indent.strip() or line <= self._open <= last.span.start:
            return self._inserted(last, f" {text}")
        return self._on_own_line(last, f"\n{indent}{text}")

    def _inserted(self, last: Item, text: str) -> str:
        if last.comma:
            return self._source.replaced(Span(last.comma.end, last.comma.end), f"{text},")
        return self._source.replaced(Span(last.span.end, last.span.end), f",{text}")

    def _on_own_line(self, last: Item, text: str) -> str:
        end = last.comma.end if last.comma else last.span.end
        line_end = self._source.line_end(end)
        rest = self._source.text[end:line_end]
        if not re.fullmatch(r"[ \t]*(#.*)?", rest):  # the closing bracket, or a backslash
            return self._inserted(last, text)
        comma = "" if last.comma else ","
        return self._source.replaced(Span(end, line_end), f"{comma}{rest}{text}{',' if last.comma else ''}")
