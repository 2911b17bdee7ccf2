"""Tail: the last lines of a log in a widget; a new line costs that line, not all of them again."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

from flyte_nb.views import shown

__all__ = ["MOST_LINES", "Tail", "lines_of", "pre"]

MOST_LINES = 200
_BLOCK = 20  # lines that are sent together
_STYLE = (
    "margin:0;padding:0 8px;background:none;color:inherit;white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.4;"
    "font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:var(--jp-code-font-size,13px)"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # of a terminal


def lines_of(text: str, most: int = MOST_LINES) -> list[str]:
    """Give the last lines of a text as they would stand in a terminal, without its colours."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [_COLOURS.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines[-most:]]


def pre(lines: list[str]) -> str:
    """Give lines as HTML."""
    return f'<pre style="{_STYLE}">{html.escape(chr(10).join(map(_bounded, lines)), quote=False)}</pre>'


def _bounded(line: str) -> str:
    return shown(line).replace("\n", "\\n") or " "


class Tail:
    """The last lines of a log, as a widget that scrolls and stays at its end.

    Parameters
    ----------
    label : str
        What it is, told where one points at it.
    """

    def __init__(self, label: str) -> None:
        import ipywidgets

        self._blocks: list[tuple[list[str], Any]] = []
        common = ipywidgets.Layout(margin="0", flex="0 0 auto"), ipywidgets.HTML().style
        self._new: Callable[[], Any] = lambda: ipywidgets.HTML(layout=common[0], style=common[1])
        layout = {"flex_flow": "column-reverse nowrap", "overflow": "auto", "max_height": "22em",
                  "border_left": "3px solid var(--jp-border-color1,#bdbdbd)"}  # fmt: skip
        self.widget: Any = ipywidgets.VBox(layout=layout, tabbable=True, tooltip=label)

    def show(self, lines: list[str]) -> None:
        """Show the last lines as they are now: those that were shown before are not sent again."""
        have = [line for block, _ in self._blocks for line in block]
        at = next(at for at in range(len(have) + 1) if have[at:] == lines[: len(have) - at])
        if at == len(have):
            gone, self._blocks = self._blocks, []
        else:
            gone = []
        self._add(lines[len(have) - at :])
        while len(self._blocks) > 1 and sum(len(block) for block, _ in self._blocks[1:]) >= MOST_LINES:
            gone.append(self._blocks.pop(0))
        children = [widget for _, widget in reversed(self._blocks)]
        if list(self.widget.children) != children:
            self.widget.children = children
        for _, widget in gone:
            widget.close()

    def _add(self, lines: list[str]) -> None:
        changed = []
        for line in lines:
            if not self._blocks or len(self._blocks[-1][0]) >= _BLOCK:
                self._blocks.append(([], self._new()))
            self._blocks[-1][0].append(line)
            changed.append(self._blocks[-1])
        for block, widget in {id(one): one for one in changed}.values():
            widget.value = pre(block)
