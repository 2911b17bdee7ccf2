"""Declared source: where an environment is declared, and that source with other values — or the code to add instead."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import sys
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import set_fields
from flyte_nb.errors import UsageError
from flyte_nb.notebook.call_editor import cannot
from flyte_nb.notebook.cells import Cell
from flyte_nb.notebook.magic_line import edited_line, options_for
from flyte_nb.notebook.rewriting import RESET, Edit, edited, locate
from flyte_nb.notebook.shell import MAGIC
from flyte_nb.notebook.spelling import Spelling, variable_for
from flyte_nb.notebook.statement_block import block_at
from flyte_nb.notebook.tidy import laid_out_source
from flyte_nb.workbook import Workbook

__all__ = ["Rewritten", "declaration_of", "rewritten"]


@dataclass(frozen=True, repr=False)
class Rewritten:
    """The code of an edited declaration.

    Parameters
    ----------
    source : str
        The whole text of the cell or the file, rewritten; where that cannot be, the code to add in a new cell.
    before : str
        The text as it was; empty for code to add.
    where : str
        The cell or the file: ``"In [3]"``, or a path.
    reason : str
        Why the declaration cannot be rewritten; empty where it is.
    notices : tuple of str
        What to know of the code.
    path : Path, optional
        The file, where it is one.
    """

    source: str
    before: str
    where: str
    reason: str = ""
    notices: tuple[str, ...] = ()
    path: Path | None = None

    def __str__(self) -> str:
        return self.source

    def __repr__(self) -> str:  # the source may hold what an output must not: str() and print() give it
        told = "\n".join(f"! {line}" for line in filter(None, (self.reason, *self.notices)))
        what = f"{self.where}, rewritten" if self.before else "code to add in a new cell"
        return f"<{what}: {len(self.source.splitlines())} lines; print() shows them>" + (f"\n{told}" if told else "")


@dataclass(frozen=True)
class _Text:
    text: str
    line: int
    where: str
    names: Mapping[str, Any]
    cell: Cell | None = None
    path: Path | None = None
    notices: tuple[str, ...] = ()


def rewritten(env: Environment, draft: Environment, edits: list[Edit], workbook: Workbook) -> Rewritten:
    """Give the source of a declaration with other values.

    Parameters
    ----------
    env : Environment
        What was declared.
    draft : Environment
        What it becomes.
    edits : list of Edit
        The fields that differ.
    workbook : Workbook
        Knows the cells.

    Raises
    ------
    UsageError
        When a value cannot be written as code.
    """
    try:
        found = _text_of(env, workbook)
        spelling = Spelling(found.names)
        text = (
            _edited_cell(found, env, draft, edits, spelling)
            if found.cell
            else _edited_file(found, env, edits, spelling)
        )
    except UsageError as error:
        return _addition(env, draft, edits, workbook.namespace, str(error))
    notices = (*found.notices, *spelling.notices)
    return Rewritten(text, found.text, found.where, notices=notices, path=found.path)


# --- where it is declared ---


def _text_of(env: Environment, workbook: Workbook) -> _Text:
    place = env.place
    if not place.in_cell:
        return _file(env)
    cell = workbook.cell_of(place.file)
    if cell is None or not cell.raw:
        raise cannot(f"the cell that declared {env.name!r} is not known")
    newer = workbook.edited_since(cell)
    notices = () if newer is None else (
        f"the cell was edited and run again since, as {newer.label}, and that run did not declare {env.name!r}: "
        f"this is its text of {cell.label}",
    )  # fmt: skip
    return _Text(cell.raw, place.line, cell.label, workbook.namespace, cell, None, notices)


def _file(env: Environment) -> _Text:
    path = Path(env.place.file)
    try:
        with tokenize.open(path) as file:
            encoding = file.encoding
        with open(path, encoding=encoding, newline="") as file:
            text = file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise cannot(f"{env.name!r} is declared at {env.place}, which cannot be read: {error}") from None
    return _Text(text, env.place.line, str(path), _module_names(path) or _imports(text), path=path)


def _module_names(path: Path) -> Mapping[str, Any]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(path.name) and os.path.abspath(file) == str(path):
            return vars(module)
    return {}


def _imports(text: str) -> Mapping[str, Any]:
    """Give what a file that is no imported module imports, as far as that has been imported."""
    try:
        nodes = ast.parse(text).body
    except SyntaxError:
        return {}
    names: dict[str, Any] = {}
    for node in nodes:
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            module = sys.modules.get((node.module or "") if isinstance(node, ast.ImportFrom) else alias.name)
            found = getattr(module, alias.name, None) if isinstance(node, ast.ImportFrom) else module
            if found is not None and (alias.asname or "." not in alias.name):
                names[alias.asname or alias.name] = found
    return names


# --- rewriting it ---


def _edited_file(found: _Text, env: Environment, edits: list[Edit], spelling: Spelling) -> str:
    editor, is_clone = locate(found.text, found.line, env, found.names)
    return _with_imports(edited(editor, env, edits, is_clone, spelling), editor.statement, spelling)


def _edited_cell(found: _Text, env: Environment, draft: Environment, edits: list[Edit], spelling: Spelling) -> str:
    assert found.cell is not None
    head, line, rest = _first_line(found.text)
    if line.startswith(MAGIC) and found.line == 1:
        return head + _edited_magic(line, draft, edits, spelling) + rest
    block = block_at(found.cell, found.line)
    editor, is_clone = locate(block.text, found.line - block.line + 1, env, found.names)
    text = edited(editor, env, edits, is_clone, spelling)
    return block.put_back("".join(f"{statement}\n" for statement in spelling.imports) + text)


def _first_line(text: str) -> tuple[str, str, str]:
    """Split a cell at its first line that is not empty."""
    stripped = text.lstrip()
    head = text[: len(text) - len(stripped)]
    line = stripped.splitlines()[0] if stripped else ""
    return head, line, stripped[len(line) :]


def _edited_magic(line: str, draft: Environment, edits: list[Edit], spelling: Spelling) -> str:
    fields = [(edit.field, options_for(edit.field, edit.after)) for edit in edits]
    sayable = [(field, options) for field, options in fields if options is not None]
    if len(sayable) == len(fields):
        return edited_line(line, sayable)
    unsayable = ", ".join(field for field, options in fields if options is None)
    spelling.notices.append(
        f"the options of {MAGIC} cannot say {unsayable}: the cell declares {draft.name!r} in Python"
    )
    call = laid_out_source(f"env = {declaration_of(draft, spelling)}")
    return "\n".join([MAGIC, *spelling.imports, call, "task = env.task"])


def _with_imports(text: str, line: int, spelling: Spelling) -> str:
    """Put the imports that new values need before the statement that was edited."""
    if not spelling.imports:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    return "".join([*lines[: line - 1], *(f"{s}{newline}" for s in spelling.imports), *lines[line - 1 :]])


# --- the code to add ---


def _addition(
    env: Environment, draft: Environment, edits: Sequence[Edit], names: Mapping[str, Any], reason: str
) -> Rewritten:
    spelling = Spelling(names)
    try:
        if isinstance(draft, AppEnvironment):
            raise UsageError("an app's functions would be lost")  # they belong to the object that they were bound to
        code = f"{variable_for(draft.name, names)} = {declaration_of(draft, spelling)}"
    except UsageError:
        spelling = Spelling(names)
        code = _as_draft(draft, edits, spelling)
    text = "\n".join([*spelling.imports, laid_out_source(code)])
    return Rewritten(text, "", str(env.place), reason, tuple(spelling.notices))


def declaration_of(env: Environment, spelling: Spelling) -> str:
    """Give the call that declares an environment.

    Raises
    ------
    UsageError
        When a value cannot be written as code.
    """
    accepted = {f.name for f in dataclasses.fields(env) if f.init}
    return spelling.call(spelling.named(type(env)), {n: v for n, v in set_fields(env) if n in accepted})


def _as_draft(draft: Environment, edits: Sequence[Edit], spelling: Spelling) -> str:
    given = ", ".join(f"{e.field}={spelling.value(e.given)}" for e in edits if e.given is not RESET)
    reset = ", ".join(spelling.value(e.field) for e in edits if e.given is RESET)
    package = spelling.package()
    changes = (f".update({given})" if given else "") + (f".reset({reset})" if reset else "")
    name = spelling.value(draft.name)
    return f"{package}.draft({package}.current_registry().find({name})){changes}.apply()"
