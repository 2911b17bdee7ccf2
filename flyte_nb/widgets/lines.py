"""Lines: rows of environments as the lines of a list, in columns as wide as they need, what needs notice in colour."""

from __future__ import annotations

from collections.abc import Sequence

from flyte_nb.views import escape, shown
from flyte_nb.widgets.listing import Row

__all__ = ["heading", "lines_of", "style_of"]

_HEADINGS = ("  environment", "kind", "tasks", "state", "declared")
_MOST = (34, 10, 6, 44, 40)  # characters of each column, at most
_CODE = "font-family:monospace;font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:12px"
_COLOURS = {"!": "var(--jp-error-color1,#c62828)", "▶": "var(--jp-success-color1,#2e7d32)"}


def lines_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Give the lines of a list: columns as wide as the longest that stands in them."""
    widths = _widths(rows)
    return tuple(_joined(_cells(row), widths) for row in rows)


def heading(rows: Sequence[Row] = ()) -> str:
    """Give the headings above the lines; a screen reader has them in the lines' own words."""
    return (
        f'<div aria-hidden="true" style="{_CODE};white-space:pre;overflow:hidden;padding-left:3px;'
        f'color:var(--jp-ui-font-color2,#616161)">{escape(_joined(_HEADINGS, _widths(rows)))}</div>'
    )


def _cells(row: Row) -> tuple[str, ...]:
    tasks = str(len(row.tasks)) if row.kind == "task" else ""
    return tuple(map(shown, (f"{row.sign} {row.name}", row.kind, tasks, row.told, row.place)))


def _widths(rows: Sequence[Row]) -> list[int]:
    columns = zip(_HEADINGS, *map(_cells, rows), strict=True)
    return [min(max(map(len, column)), most) for column, most in zip(columns, _MOST, strict=True)]


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    line = "\u00a0\u00a0".join(_cut(cell, width) for cell, width in zip(cells, widths, strict=True))
    return line.rstrip("\u00a0")


def _cut(text: str, width: int) -> str:
    text = text.replace("\n", " ").replace(" ", "\u00a0")
    return (text if len(text) <= width else f"{text[: width - 1]}…").ljust(width, "\u00a0")


def style_of(name: str, rows: Sequence[Row]) -> str:
    """Give the rules that make the list a table of one font, and colour the lines that need notice."""
    coloured = "".join(
        f".{name} option:nth-child({number}):not(:checked){{color:{_COLOURS[row.sign]}}}"
        for number, row in enumerate(rows, start=1)
        if row.sign in _COLOURS
    )
    unseen = f".{name}>label{{position:absolute;clip-path:inset(50%)}}"  # but read out
    # where the page is narrow the end of a line is cut, as its heading is: the card below tells it
    return f"<style>.{name} select{{{_CODE};line-height:1.5;overflow-x:hidden}}{unseen}{coloured}</style>"
