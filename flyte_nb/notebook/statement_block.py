"""Statement block: the lines of a statement in a cell as it was typed, magics and indentation around it left alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flyte_nb.errors import UsageError
from flyte_nb.notebook.call_editor import cannot
from flyte_nb.notebook.cells import Cell, Statement, statements

__all__ = ["Block", "block_at"]

_LINES = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True)
class Block:
    """The whole lines that a statement stands on.

    Parameters
    ----------
    text : str
        The lines, as Python runs them.
    line : int
        The first of them in the cell that ran, from 1.
    before, after : str
        What stands around them in the cell as it was typed.
    indent : str
        What each line of the cell is indented by.
    """

    text: str
    line: int
    before: str
    after: str
    indent: str

    def put_back(self, text: str) -> str:
        """Give the cell with other text in the place of the lines."""
        lines = text if not self.indent else re.sub(r"(?m)^(?=.)", lambda _: self.indent, text)
        return self.before + lines + self.after


def block_at(cell: Cell, line: int) -> Block:
    """Find the lines of the statement that covers a line of a cell.

    Raises
    ------
    UsageError
        When the cell as it was typed does not hold them.
    """
    lines = _LINES.findall(cell.source)
    first, last = _extent(list(statements(cell)), line)
    wanted = [text.rstrip("\r\n") for text in lines[first - 1 : last]]
    indent, typed = _without_indent(_LINES.findall(cell.raw))
    plain = [text.rstrip("\r\n") for text in typed]
    found = [i for i in range(len(plain)) if plain[i : i + len(wanted)] == wanted]
    same = [i for i in range(first) if [t.rstrip("\r\n") for t in lines[i : i + len(wanted)]] == wanted]
    if len(found) < len(same) or not same:
        raise _changed(cell)
    start = found[len(same) - 1]
    raw = _LINES.findall(cell.raw)
    text = "".join(typed[start : start + len(wanted)])
    return Block(text, first, "".join(raw[:start]), "".join(raw[start + len(wanted) :]), indent)


def _changed(cell: Cell) -> UsageError:
    return cannot(f"what ran as {cell.label} is not what stands in it: a magic has written it")


def _extent(found: list[Statement], line: int) -> tuple[int, int]:
    """Give the first and last line of a statement, with those that it shares lines with."""
    first = last = line
    grown = True
    while grown:
        over = [s for s in found if s.line <= last and s.end >= first]
        start, end = min([first, *(s.line for s in over)]), max([last, *(s.end for s in over)])
        grown, first, last = (start, end) != (first, last), start, end
    return first, last


def _without_indent(lines: list[str]) -> tuple[str, list[str]]:
    """Take away the indentation of the first line, as IPython does."""
    first = next((text for text in lines if text.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    return indent, [text.removeprefix(indent) for text in lines]
