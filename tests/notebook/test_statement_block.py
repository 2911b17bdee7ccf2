"""The lines of a statement in a cell as it was typed."""

from __future__ import annotations

import pytest
from flyte_nb.errors import UsageError
from flyte_nb.notebook.cells import Cell
from flyte_nb.notebook.statement_block import block_at
from IPython.core.inputtransformer2 import TransformerManager


def cell(raw: str) -> Cell:
    return Cell(TransformerManager().transform_cell(raw), 1, "file", raw=raw)


@pytest.mark.parametrize(
    ("raw", "line", "text"),
    [
        ("a = 1\nb = 2\n", 2, "b = 2\n"),
        ("\n\na = 1\nb = 2", 2, "b = 2"),
        ("%time 1\n!ls \\\n  -l\na = (1,\n  2)\nb = 3\n", 3, "a = (1,\n  2)\n"),
        ("x = !ls\na = 1; b = (\n 2)\nc = 3", 2, "a = 1; b = (\n 2)\n"),
        ("a = 1\na = 1\na = 1\n", 2, "a = 1\n"),
        ("a = 'ü'\r\nb = 2\r\n", 2, "b = 2\r\n"),
    ],
)
def test_the_lines_are_found_and_put_back(raw: str, line: int, text: str) -> None:
    block = block_at(cell(raw), line)
    assert block.text == text
    assert block.put_back(block.text) == raw
    assert block.put_back("NEW\n").replace("NEW\n", text) == raw


def test_an_indented_cell_keeps_its_indentation() -> None:
    raw = "    a = 1\n    b = f(\n        2)\n\n    c = 3\n"
    block = block_at(cell(raw), 2)
    assert block.text == "b = f(\n    2)\n"
    assert block.put_back("b = f(\n    2,\n    3)\n") == "    a = 1\n    b = f(\n        2,\n        3)\n\n    c = 3\n"


def test_a_statement_that_a_magic_wrote_is_told() -> None:
    with pytest.raises(UsageError, match=r"what ran as In \[1\] is not what stands in it"):
        block_at(cell("%time a = 1\n"), 1)
