"""Views: the card, the diff, the table and the tree, each as text and as HTML.

Plain records that know nothing of what they show. Colours come from the front end's theme variables, so light and dark
are both right; every mark is also a word or a sign, so nothing is said by colour alone; all text is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

_MUTED = "color:var(--jp-ui-font-color2,#616161)"
_FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:var(--jp-ui-font-size1,13px);"
    "color:var(--jp-ui-font-color1,#212121);line-height:1.5"
)
_CODE = "font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:var(--jp-code-font-size,13px)"
_BORDER = "var(--jp-border-color1,#bdbdbd)"
_SIGNS = {"+": "var(--jp-success-color1,#2e7d32)", "~": "var(--jp-warn-color1,#b26a00)",
          "-": "var(--jp-error-color1,#c62828)", "!": "var(--jp-warn-color1,#b26a00)"}  # fmt: skip
_CELL = "padding:1px 16px 1px 0;text-align:left;vertical-align:top;white-space:pre-wrap;overflow-wrap:anywhere"
MOST_ROWS = 50
LONGEST_TEXT = 300


def escape(text: Any) -> str:
    """Escape text for HTML, with control and direction characters made visible, cut when very long."""
    text = str(text)
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}… ({len(text):,} characters)"
    return html.escape("".join(_visible(c) for c in text))


def _visible(char: str) -> str:
    hidden = (
        ord(char) < 32 and char not in "\n\t"
    ) or char in "\x7f\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return f"\\x{ord(char):02x}" if hidden else char


class View:
    """Something shown as text in a terminal and as HTML in a notebook."""

    def text(self) -> str:
        """Give the view as plain text."""
        raise NotImplementedError

    def body(self) -> str:
        """Give the view as an HTML fragment."""
        raise NotImplementedError

    def html(self) -> str:
        """Give the view as HTML that stands alone."""
        return f'<div style="{_FONT}">{self.body()}</div>'

    def __str__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": self.html()}

    def __repr__(self) -> str:
        return self.text()


@dataclass(repr=False)
class Table(View):
    """Rows under headings; long tables are cut and say so.

    Parameters
    ----------
    headings : sequence of str
        The column headings; empty for a table without.
    rows : list of sequence of str
        The cells.
    title : str
        A line above; may be empty.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""

    def _shown(self) -> tuple[Sequence[Sequence[str]], str]:
        more = len(self.rows) - MOST_ROWS
        return self.rows[:MOST_ROWS], f"… and {more:,} more" if more > 0 else ""

    def text(self) -> str:
        rows, more = self._shown()
        lines = [list(map(str, row)) for row in ([self.headings, *rows] if self.headings else rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)] if lines else []
        text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*([self.title] if self.title else []), *text, *([more] if more else [])])

    def body(self) -> str:
        rows, more = self._shown()
        head = "".join(f'<th style="{_CELL};{_MUTED};font-weight:600">{escape(h)}</th>' for h in self.headings)
        lines = "".join(
            "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
        )
        title = f'<div style="font-weight:600">{escape(self.title)}</div>' if self.title else ""
        head = f"<thead><tr>{head}</tr></thead>" if head else ""
        foot = f'<div style="{_MUTED}">{escape(more)}</div>' if more else ""
        return (
            f'{title}<table style="border-collapse:collapse;background:none">{head}<tbody>{lines}</tbody></table>{foot}'
        )


@dataclass(repr=False)
class Card(View):
    """One thing: its name, its kind, its state, its settings, and what belongs to it.

    Parameters
    ----------
    title : str
        The name.
    kind : str
        What it is.
    strip : list of str
        Its states in a few words: ``"declared in In [3]"``, ``"deployed at 1f3a"``.
    rows : list of (label, value, note)
        Its settings; the note says where a value comes from and may be empty.
    sections : list of (heading, lines)
        What belongs to it.
    """

    title: str
    kind: str
    strip: list[str] = field(default_factory=list)
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    sections: list[tuple[str, list[str]]] = field(default_factory=list)

    def text(self) -> str:
        lines = [f"{self.title}  ({', '.join([self.kind, *self.strip])})"]
        width = max((len(label) for label, _, _ in self.rows), default=0)
        for label, value, note in self.rows:
            lines.append(f"  {label.ljust(width)}  {value}{f'  ({note})' if note else ''}")
        for heading, items in self.sections:
            lines.append(f"  {heading}:")
            lines += [f"    {item}" for item in items]
        return "\n".join(lines)

    def body(self) -> str:
        strip = "".join(
            f'<span style="border:1px solid {_BORDER};border-radius:8px;padding:0 8px;margin-left:8px;'
            f'white-space:nowrap;{_MUTED}">{escape(word)}</span>'
            for word in [self.kind, *self.strip]
        )
        rows = "".join(
            f'<tr style="background:none"><th scope="row" style="{_CELL};{_MUTED};font-weight:400">{escape(label)}</th>'
            f'<td style="{_CELL};{_CODE}">{escape(value)}'
            + (f' <span style="{_MUTED}">{escape(note)}</span>' if note else "")
            + "</td></tr>"
            for label, value, note in self.rows
        )
        table = f'<table style="border-collapse:collapse;margin:4px 0;background:none">{rows}</table>' if rows else ""
        sections = "".join(
            f'<div style="{_MUTED}">{escape(heading)}</div>'
            + "".join(f'<div style="{_CODE};margin-left:12px;white-space:pre-wrap">{escape(i)}</div>' for i in items)
            for heading, items in self.sections
        )
        return (
            f'<div style="border:1px solid {_BORDER};border-radius:4px;padding:8px 12px;margin:4px 0;max-width:60em">'
            f"<div><strong>{escape(self.title)}</strong>{strip}</div>{table}{sections}</div>"
        )


@dataclass(repr=False)
class Diff(View):
    """What changed, a line each: ``+`` added, ``~`` changed, ``-`` withdrawn, ``!`` to notice.

    Parameters
    ----------
    lines : list of (sign, what, text)
        The sign, the thing in a few words, and how it changed; the text may be empty.
    """

    lines: list[tuple[str, str, str]]

    def text(self) -> str:
        return "\n".join(f"{sign} {what}{f'  {text}' if text else ''}" for sign, what, text in self.lines)

    def body(self) -> str:
        rows = "".join(
            f'<div style="{_CODE};white-space:pre-wrap;overflow-wrap:anywhere">'
            f'<strong style="color:{_SIGNS.get(sign, "inherit")}">{escape(sign)}</strong> {escape(what)}'
            + (f'  <span style="{_MUTED}">{escape(text)}</span>' if text else "")
            + "</div>"
            for sign, what, text in self.lines
        )
        return f'<div style="margin:4px 0">{rows}</div>'


@dataclass(repr=False)
class Stack(View):
    """Several views, one under the other."""

    views: list[View]

    def text(self) -> str:
        return "\n".join(view.text() for view in self.views)

    def body(self) -> str:
        return "".join(view.body() for view in self.views)


@dataclass(repr=False)
class Text(View):
    """Plain text, kept as it is."""

    content: str

    def text(self) -> str:
        return self.content

    def body(self) -> str:
        return f'<pre style="{_CODE};margin:0;background:none;color:inherit">{html.escape(self.content)}</pre>'


def bullet(items: Iterable[str], most: int = 20) -> list[str]:
    """Bound a list of lines, saying how many more there are."""
    items = list(items)
    return items[:most] + ([f"… and {len(items) - most:,} more"] if len(items) > most else [])
