"""Cell, Statement and CellLog: what ran, and the names that each top-level statement binds and reads."""

from __future__ import annotations

import ast
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Cell", "CellLog", "Statement"]


@dataclass(frozen=True)
class Cell:
    """One execution of a cell.

    Parameters
    ----------
    source : str
        The Python that ran: magics already rewritten into calls.
    number : int
        The ``n`` of ``In [n]``.
    file : str
        The name that IPython gives the cell as a source file.
    """

    source: str
    number: int
    file: str = ""

    @property
    def label(self) -> str:
        """How people call it: ``In [n]``."""
        return f"In [{self.number}]"


@dataclass(frozen=True)
class Statement:
    """One top-level statement of a cell.

    Parameters
    ----------
    source : str
        Its text, decorators included.
    node : ast.stmt
        Its syntax tree.
    cell : Cell
        The cell it is in.
    line : int
        Its first line in the cell, from 1.
    binds : frozenset of str
        The names it binds.
    reads : frozenset of str
        The global names that it reads when it runs.
    defers : frozenset of str
        The global names that its functions read later, when they are called.
    """

    source: str
    node: ast.stmt = field(repr=False)
    cell: Cell = field(repr=False)
    line: int
    binds: frozenset[str]
    reads: frozenset[str]
    defers: frozenset[str]

    @property
    def label(self) -> str:
        """Where it is: ``In [n], line m``."""
        return f"{self.cell.label}, line {self.line}"

    def holds(self, line: int) -> bool:
        """Tell whether a line of the cell is one of the statement's."""
        return self.line <= line <= (self.node.end_lineno or self.line)


class CellLog:
    """The latest statement that bound each name, and the statements that configured what it bound."""

    def __init__(self) -> None:
        self._latest: dict[str, Statement] = {}
        self._configures: dict[str, list[Statement]] = {}
        self._declares: dict[str, Statement] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._latest

    def __iter__(self) -> Iterator[str]:
        return iter(self._latest)

    def latest(self, name: str) -> Statement | None:
        """Give the latest successful statement that bound ``name``."""
        return self._latest.get(name)

    def declaring(self, name: str) -> Statement | None:
        """Give the statement that declared an environment, or bound a task, of a (fully qualified) name.

        Unlike `latest`, this finds it where its variable has been bound to something else since.
        """
        return self._declares.get(name)

    def declared_by(self, statement: Statement) -> list[str]:
        """Give the environments and tasks that a statement declared."""
        return [name for name, known in self._declares.items() if known is statement]

    def configuring(self, name: str) -> list[Statement]:
        """Give the statements that configured the object of ``name`` since it was bound, such as ``name.add(…)``."""
        return self._configures.get(name, [])

    def record(
        self,
        cell: Cell,
        until: int | None = None,
        only: Callable[[Statement], bool] = lambda statement: True,
        configurable: Callable[[str], bool] = lambda name: False,
        declared: Iterable[tuple[str, int]] = (),
    ) -> None:
        """Take in a cell that ran.

        Parameters
        ----------
        cell : Cell
            The cell.
        until : int, optional
            The line that failed; statements that end before it count.
        only : callable
            Says whether a statement counts.
        configurable : callable
            Says whether a call on the object of a name configures it.
        declared : iterable of (name, line)
            The environments and tasks that the cell declared, and the lines of it where it did.
        """
        lines = list(declared)
        for statement in statements(cell, until):
            if only(statement):
                self._take(statement, configurable)
                self._declares.update((name, statement) for name, line in lines if statement.holds(line))

    def _take(self, statement: Statement, configurable: Callable[[str], bool]) -> None:
        if isinstance(statement.node, ast.Delete):
            for name in statement.binds:
                self._latest.pop(name, None)
                self._configures.pop(name, None)
            return
        for name in statement.binds:
            self._latest[name] = statement
            self._configures.pop(name, None)
        target = configured(statement.node)
        if target is not None and configurable(target):
            known = self._configures.setdefault(target, [])
            known[:] = [s for s in known if s.source != statement.source] + [statement]


def configured(node: ast.stmt) -> str | None:
    """Give ``name`` for a statement of the form ``name.method(…)``."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name
    return None


def statements(cell: Cell, until: int | None = None) -> Iterator[Statement]:
    """Give the top-level statements of a cell that end before line ``until``; none for a syntax error."""
    try:
        tree = ast.parse(cell.source)
    except (SyntaxError, ValueError):
        return
    lines = cell.source.splitlines(keepends=True)
    for node in tree.body:
        if until is not None and (node.end_lineno or node.lineno) >= until:
            return
        yield _statement(node, cell, lines)


def _statement(node: ast.stmt, cell: Cell, lines: list[str]) -> Statement:
    first, source = _text(node, lines)
    binds, reads, defers = names(source)
    if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
        binds |= _star(node)
    reads |= _quoted(node)
    return Statement(source, node, cell, first, frozenset(binds), frozenset(reads), frozenset(defers - reads))


def _text(node: ast.stmt, lines: list[str]) -> tuple[int, str]:
    """Give the first line and the text of a statement: whole lines, unless it shares them with another one."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    last = node.end_lineno or node.lineno
    before = lines[node.lineno - 1].encode()[: node.col_offset]
    after = lines[last - 1].encode()[node.end_col_offset or 0 :].decode().strip()
    if not before.strip() and (not after or after.startswith("#")):
        return first, "".join(lines[first - 1 : last]).rstrip()
    return first, ast.get_source_segment("".join(lines), node) or ""


def names(source: str) -> tuple[set[str], set[str], set[str]]:
    """Give the global names that a piece of code binds, reads when it runs, and reads later in its functions."""
    top = symtable.symtable(source, "<cell>", "exec")
    binds: set[str] = set()
    reads: set[str] = set()
    defers: set[str] = set()
    for symbol in top.get_symbols():
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
            binds.add(symbol.get_name())
        if symbol.is_referenced():
            reads.add(symbol.get_name())
    for child in top.get_children():
        _inner(child, False, reads, defers)
    inlined = _comprehension_names(ast.parse(source))
    return binds - inlined, reads - inlined, defers


def _comprehension_names(tree: ast.Module) -> set[str]:
    """Give the names that live in top-level comprehensions only; Python 3.12 and later inline those scopes."""
    own: set[str] = set()
    outside: set[str] = set()

    def walk(node: ast.AST, in_comprehension: bool) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            return
        if isinstance(node, ast.comprehension):
            own.update(part.id for part in ast.walk(node.target) if isinstance(part, ast.Name))
        if isinstance(node, ast.Name) and not in_comprehension:
            outside.add(node.id)
        nested = isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
        for child in ast.iter_child_nodes(node):
            walk(child, in_comprehension or nested)

    walk(tree, False)
    return own - outside


def _inner(table: symtable.SymbolTable, later: bool, reads: set[str], defers: set[str]) -> None:
    """Collect what nested scopes read: class bodies and comprehensions at once, functions when they are called."""
    comprehension = table.get_name() in ("listcomp", "setcomp", "dictcomp", "genexpr")
    later = later or (str(table.get_type()) in ("function", "SymbolTableType.FUNCTION") and not comprehension)
    for symbol in table.get_symbols():
        if symbol.is_global() and (symbol.is_referenced() or symbol.is_assigned()):
            (defers if later else reads).add(symbol.get_name())
    for child in table.get_children():
        _inner(child, later, reads, defers)


def _quoted(node: ast.stmt) -> set[str]:
    """Collect the names in annotations that are written as strings."""
    found: set[str] = set()
    for inner in ast.walk(node):
        annotations = [getattr(inner, "annotation", None), getattr(inner, "returns", None)]
        for annotation in filter(None, annotations):
            for part in ast.walk(annotation):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    found |= _names_in(part.value)
    return found


def _names_in(text: str) -> set[str]:
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return set()
    return {part.id for part in ast.walk(tree) if isinstance(part, ast.Name)}


def _star(node: ast.ImportFrom) -> set[str]:
    module: Any = sys.modules.get(node.module or "")
    public = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    return set(public)
