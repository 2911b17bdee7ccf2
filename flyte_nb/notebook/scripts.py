"""Scripts: the sources that a statement runs in the cell's namespace, by ``%run``, ``%%time`` and the like."""

from __future__ import annotations

import ast
import json
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flyte_nb.notebook.cells import Cell, Statement

__all__ = ["cells_run_by"]

#: magics that execute the Python after them in the cell's namespace
_TIMED = ("time", "prun", "capture")
_RUN_OPTIONS = "nidtN:b:pD:l:rs:T:em:G"  # those that IPython's %run takes


def cells_run_by(shell: Any, statement: Statement) -> Iterator[Cell]:
    """Give the sources that a statement ran, as cells.

    Parameters
    ----------
    shell : InteractiveShell
        The shell that ran it.
    statement : Statement
        A statement of a cell, magics already rewritten into calls.
    """
    match statement.node:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(attr="run_line_magic" | "run_cell_magic" as kind),
                args=[ast.Constant(value=magic), *_, ast.Constant(value=str(text))],
            )
        ):
            if magic == "run":
                yield from _scripts(shell, text, statement.cell)
            elif magic in _TIMED:
                yield from _body(shell, text, statement, after=kind == "run_cell_magic")


def _body(shell: Any, text: str, statement: Statement, after: bool) -> Iterator[Cell]:
    """Give the Python of a magic, or after it, as a cell whose lines have the numbers that they have in the cell."""
    cell = statement.cell
    try:
        source = shell.transform_cell(text)
    except SyntaxError:
        return
    yield Cell("\n" * (statement.line - 1 + after) + source, cell.number, cell.file, cell.script)


def _scripts(shell: Any, line: str, cell: Cell) -> Iterator[Cell]:
    """Give the source of a script, or of each code cell of a notebook, that ``%run`` ran."""
    try:
        path = _path(shell, line)
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text("utf-8"))["cells"]
            texts = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        else:
            with tokenize.open(path) as file:
                texts = [file.read()]
        if path.suffix in (".ipy", ".ipynb"):
            texts = [shell.transform_cell(text) for text in texts]
    except Exception:  # a magic of another name, a file that is gone: its names are captured by value
        return
    for number, text in enumerate(texts, start=1):
        part = f" cell {number}" if path.suffix == ".ipynb" else ""
        yield Cell(text, cell.number, str(path), f"{path.name}{part}")


def _path(shell: Any, line: str) -> Path:
    from IPython.utils.path import get_py_filename

    magics = shell.find_line_magic("run").__self__
    options, arguments = magics.parse_options(shell.var_expand(line), _RUN_OPTIONS, mode="list", list_all=1)
    if "m" in options:
        from importlib.util import find_spec

        spec = find_spec(options["m"][0])
        return Path(str(spec and spec.origin))
    return Path(get_py_filename(arguments[0]))
