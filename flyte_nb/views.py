"""Views: the card, the diff, the table and the tree, each as text and as HTML.

Plain records that know nothing of what they show. Colours come from the front end's theme variables, so light and dark
are both right; every mark is also a word or a sign, so nothing is said by colour alone; all text is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, TypeVar

from flyte_nb.visible import visible

_MUTED = "color:var(--jp-ui-font-color2,#616161)"
_FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:var(--jp-ui-font-size1,13px);"
    "color:var(--jp-ui-font-color1,#212121);line-height:1.5"
)
_CODE = (
    "font-family:monospace;font-family:var(--jp-code-font-family,ui-monospace,monospace);"
    "font-size:var(--jp-code-font-size,13px)"
)
# a notebook that is not trusted keeps the first of both only: its front end drops what has a variable
_BORDER = "border:1px solid #9e9e9e;border-color:var(--jp-border-color1,#bdbdbd)"
_SIGNS = {"+": "var(--jp-success-color1,#2e7d32)", "~": "var(--jp-warn-color1,#b26a00)",
          "-": "var(--jp-error-color1,#c62828)", "!": "var(--jp-warn-color1,#b26a00)"}  # fmt: skip
_CELL = "padding:1px 16px 1px 0;text-align:left;vertical-align:top"
_NARROW, _LONG_WORD = 24, 40  # characters: what stays on one line, and what is too long for one
MOST_ROWS = 50
LONGEST_TEXT = 300
_Item = TypeVar("_Item")


def escape(text: Any) -> str:
    """Escape text for HTML, with control and direction characters made visible, cut when very long."""
    return html.escape(shown(text))


def shown(text: Any) -> str:
    """Give text as every view shows it: control and direction characters made visible, cut when very long."""
    text = str(text)
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}… ({len(text):,} characters)"
    return visible(text)


def _line(text: Any) -> str:
    """Give text on one line."""
    return shown(text).replace("\n", "\\n").replace("\t", " ")


def _cell(text: Any) -> str:
    """Give the style of a table's cell: what is short stays on one line, and no word is broken that fits on one."""
    text = str(text)
    if len(text) <= _NARROW and "\n" not in text:
        return f"{_CELL};white-space:nowrap"
    long = max(map(len, text.split()), default=0) > _LONG_WORD
    return f"{_CELL};white-space:pre-wrap;min-width:10em;overflow-wrap:{'anywhere' if long else 'break-word'}"


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
        lines = [[_line(cell) for cell in row] for row in ([self.headings, *rows] if self.headings else rows)]
        widths = [max(map(len, column)) for column in zip_longest(*lines, fillvalue="")]
        text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=False)).rstrip() for line in lines]
        return "\n".join([*([_line(self.title)] if self.title else []), *text, *([more] if more else [])])

    def body(self) -> str:
        rows, more = self._shown()
        head = "".join(f'<th style="{_cell(h)};{_MUTED};font-weight:600">{escape(h)}</th>' for h in self.headings)
        lines = "".join(
            "<tr>" + "".join(f'<td style="{_cell(cell)}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
        )
        title = f'<div style="font-weight:600">{escape(self.title)}</div>' if self.title else ""
        head = f"<thead><tr>{head}</tr></thead>" if head else ""
        foot = f'<div style="{_MUTED}">{escape(more)}</div>' if more else ""
        table = f'<table style="border-collapse:collapse;background:none">{head}<tbody>{lines}</tbody></table>'
        return f'{title}<div style="overflow-x:auto">{table}</div>{foot}'


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
        lines = [f"{_line(self.title)}  ({', '.join(map(_line, [self.kind, *filter(None, self.strip)]))})"]
        width = max((len(_line(label)) for label, _, _ in self.rows), default=0)
        for label, value, note in bounded(self.rows, _more):
            lines.append(f"  {_line(label).ljust(width)}  {shown(value)}{f'  ({_line(note)})' if note else ''}")
        for heading, items in self.sections:
            lines.append(f"  {_line(heading)}:")
            lines += [f"    {shown(item)}" for item in bullet(items, MOST_ROWS)]
        return "\n".join(lines)

    def body(self) -> str:
        strip = "".join(
            f'<span style="{_BORDER};display:inline-block;border-radius:8px;padding:0 8px;margin-left:8px;'
            f'white-space:nowrap;{_MUTED}">{escape(word)}</span>'
            for word in [self.kind, *filter(None, self.strip)]
        )
        rows = "".join(
            f'<tr style="background:none"><th scope="row" style="{_cell(label)};{_MUTED};font-weight:400">'
            f'{escape(label)}</th><td style="{_cell(value)};{_CODE}">{escape(value)}'
            + (f' <span style="{_MUTED};white-space:normal">{escape(note)}</span>' if note else "")
            + "</td></tr>"
            for label, value, note in bounded(self.rows, _more)
        )
        table = f'<table style="border-collapse:collapse;margin:4px 0;background:none">{rows}</table>' if rows else ""
        sections = "".join(
            f'<div style="{_MUTED}">{escape(heading)}</div>'
            + "".join(
                f'<div style="{_CODE};margin-left:12px;white-space:pre-wrap">{escape(i)}</div>'
                for i in bullet(items, MOST_ROWS)
            )
            for heading, items in self.sections
        )
        return (
            f'<div style="{_BORDER};border-radius:4px;padding:8px 12px;margin:4px 0;max-width:60em">'
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
        lines = bounded(self.lines, _more)
        return "\n".join(
            f"{_line(sign)} {shown(what)}{f'  {shown(text)}' if text else ''}" for sign, what, text in lines
        )

    def body(self) -> str:
        rows = "".join(
            f'<div style="{_CODE};white-space:pre-wrap;overflow-wrap:anywhere;padding-left:2ch;text-indent:-2ch">'
            f'<strong style="color:{_SIGNS.get(sign, "inherit")}">{escape(sign)}</strong> {escape(what)}'
            + (f'  <span style="{_MUTED}">{escape(text)}</span>' if text else "")
            + "</div>"
            for sign, what, text in bounded(self.lines, _more)
        )
        return f'<div style="margin:4px 0">{rows}</div>'


@dataclass(repr=False)
class Fold(View):
    """A view below a line that opens it.

    Parameters
    ----------
    title : str
        The line.
    inner : View
        What it opens.
    is_open : bool
        Whether it is open at first.
    """

    title: str
    inner: View
    is_open: bool = False

    def text(self) -> str:
        return "\n".join([_line(self.title), *(f"  {line}" for line in self.inner.text().split("\n"))])

    def body(self) -> str:
        return (
            f'<details{" open" if self.is_open else ""} style="margin:4px 0"><summary style="cursor:pointer;{_MUTED}">'
            f'{escape(self.title)}</summary><div style="margin-left:16px">{self.inner.body()}</div></details>'
        )


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
        return visible(self.content)

    def body(self) -> str:
        content = html.escape(visible(self.content))
        return f'<pre style="{_CODE};margin:0;background:none;color:inherit">{content}</pre>'


def told_size(size: int) -> str:
    """Word a number of bytes."""
    if size < 1024:
        return f"{size} byte{'s' if size != 1 else ''}"
    unit, one = ("KiB", 1 << 10) if size < 1 << 20 else ("MiB", 1 << 20) if size < 1 << 30 else ("GiB", 1 << 30)
    return f"{size / one:,.1f} {unit}"


def bullet(items: Iterable[str], most: int = 20) -> list[str]:
    """Bound a list of lines, saying how many more there are."""
    return bounded(list(items), lambda more: f"… and {more:,} more", most)


def bounded(items: Sequence[_Item], rest: Callable[[int], _Item], most: int = MOST_ROWS) -> list[_Item]:
    """Bound a list; ``rest`` gives the item that says how many more there are."""
    more = len(items) - most
    return [*items[:most], rest(more)] if more > 0 else list(items)


def _more(more: int) -> tuple[str, str, str]:
    return "…", f"and {more:,} more", ""
