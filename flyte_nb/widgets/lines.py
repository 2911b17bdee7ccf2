"""Lines: rows of environments as the lines of a list, in columns of one width, what needs notice in colour, too."""

from __future__ import annotations

from collections.abc import Sequence

from flyte_nb.views import escape, shown
from flyte_nb.widgets.listing import Row

__all__ = ["heading", "line_of", "style_of"]

_WIDTHS = (34, 10, 6, 44)  # characters: name, kind, tasks, state
_CODE = "font-family:monospace;font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:12px"
_COLOURS = {"!": "var(--jp-error-color1,#c62828)", "▶": "var(--jp-success-color1,#2e7d32)"}


def line_of(row: Row) -> str:
    """Give a line of the list: columns of one width."""
    cells = (f"{row.sign} {row.name}", row.kind, str(len(row.tasks)) if row.kind == "task" else "", row.told)
    columns = [_cut(shown(cell), width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    return "\u00a0".join([*columns, _cut(shown(row.place), 40).rstrip("\u00a0")])


def _cut(text: str, width: int) -> str:
    text = text.replace("\n", " ").replace(" ", "\u00a0")
    return (text if len(text) <= width else f"{text[: width - 1]}…").ljust(width, "\u00a0")


def heading() -> str:
    """Give the headings above the lines; a screen reader has them in the lines' own words."""
    words = [
        word.ljust(width) for word, width in zip(("  environment", "kind", "tasks", "state"), _WIDTHS, strict=True)
    ]
    return (
        f'<div aria-hidden="true" style="{_CODE};white-space:pre;overflow:hidden;padding-left:3px;'
        f'color:var(--jp-ui-font-color2,#616161)">{escape(" ".join([*words, "declared"]))}</div>'
    )


def style_of(name: str, rows: Sequence[Row]) -> str:
    """Give the rules that make the list a table of one font, and colour the lines that need notice."""
    coloured = "".join(
        f".{name} option:nth-child({number}):not(:checked){{color:{_COLOURS[row.sign]}}}"
        for number, row in enumerate(rows, start=1)
        if row.sign in _COLOURS
    )
    unseen = f".{name}>label{{position:absolute;clip-path:inset(50%)}}"  # but read out
    return f"<style>.{name} select{{{_CODE};line-height:1.5}}{unseen}{coloured}</style>"
