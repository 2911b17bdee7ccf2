"""Names: what a top-level statement binds, and which global names it reads at once, later, or in annotations only."""

from __future__ import annotations

import ast
import symtable
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Names", "names_of"]

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Names:
    """The global names of one statement.

    Parameters
    ----------
    binds : frozenset of str
        What it binds (for a ``del``: unbinds) when it runs.
    reads : frozenset of str
        What it reads when it runs.
    defers : frozenset of str
        What its functions read later, when they are called.
    sets : frozenset of str
        What its functions bind later, through ``global``.
    hints : frozenset of str
        What only its annotations name, where they are not evaluated: written as strings, or postponed.
    """

    binds: frozenset[str] = _NONE
    reads: frozenset[str] = _NONE
    defers: frozenset[str] = _NONE
    sets: frozenset[str] = _NONE
    hints: frozenset[str] = _NONE


def names_of(node: ast.stmt, source: str, postponed: bool = False) -> Names:
    """Give the names of a statement.

    Parameters
    ----------
    node : ast.stmt
        The statement; it is not changed.
    source : str
        Its text.
    postponed : bool
        Whether ``from __future__ import annotations`` holds for it.
    """
    plain = _Plain(postponed)
    try:
        text = ast.unparse(plain.visit(ast.parse(source)))
    except (RecursionError, ValueError):  # a very long expression; it is read as it stands
        text = source
    found = _Found()
    found.module(symtable.symtable(text or "pass", "<cell>", "exec"))
    if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
        found.binds |= _star(node)
    if isinstance(node, ast.ClassDef):
        found.reads.update(_shadowed(node))
    reads = frozenset(found.reads)
    defers = frozenset(found.defers) - reads
    return Names(
        frozenset(found.binds), reads, defers, frozenset(found.sets), frozenset(plain.hints - found.local) - reads
    )


class _Plain(ast.NodeTransformer):
    """Rewrites what symbol tables tell differently from version to version, or not at all; the names stay the same."""

    def __init__(self, postponed: bool) -> None:
        self.postponed, self.hints = postponed, set[str]()

    def _generator(self, node: Any) -> ast.expr:
        """Make every comprehension a scope of its own: Python 3.12 and later inline all but generators."""
        self.generic_visit(node)
        value = ast.Tuple([node.key, node.value], ast.Load()) if isinstance(node, ast.DictComp) else node.elt
        return ast.GeneratorExp(value, node.generators)

    visit_ListComp = visit_SetComp = visit_DictComp = _generator  # noqa: N815 - the names that ast calls

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        """Keep the expressions of an f-string only: before 3.12 not every one can be written again."""
        self.generic_visit(node)
        parts = [part for part in node.values if not isinstance(part, ast.Constant)]
        return ast.Tuple([_inside(part) for part in parts], ast.Load())

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        """Show that ``x += 1`` reads ``x``."""
        self.generic_visit(node)
        if not isinstance(node.target, ast.Name):
            return node
        read = ast.Name(node.target.id, ast.Load())
        return ast.Assign([node.target], ast.BinOp(read, node.op, node.value), lineno=node.lineno)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        """Show that ``x: int`` binds nothing."""
        node.annotation = self._annotation(node.annotation)
        self.generic_visit(node)
        if node.value is None:
            return ast.Expr(node.annotation)
        return ast.Assign([node.target, *_slot(node.annotation)], node.value, lineno=node.lineno)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """Take the names out of an annotation that is not evaluated."""
        if node.annotation is not None:
            node.annotation = self._annotation(node.annotation)
        self.generic_visit(node)
        return node

    def _function(self, node: Any) -> Any:
        if node.returns is not None:
            node.returns = self._annotation(node.returns)
        self.generic_visit(node)
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function  # noqa: N815

    def _annotation(self, annotation: ast.expr) -> ast.expr:
        if not self.postponed:
            self.hints.update(_quoted(annotation))
            return annotation
        self.hints.update(_quoted(annotation), _names_in(annotation))
        return ast.Constant(None)


def _inside(part: Any) -> ast.expr:
    """Give the expressions of one replacement field of an f-string, those of its format included."""
    value, spec = getattr(part, "value", part), getattr(part, "format_spec", None)
    return value if spec is None else ast.Tuple([value, spec], ast.Load())


def _slot(annotation: ast.expr) -> list[ast.expr]:
    """Give a target that reads an annotation without binding anything."""
    return [ast.Subscript(annotation, ast.Constant(0), ast.Store())]


class _Found:
    """Collects names from symbol tables: class bodies and comprehensions run at once, functions when called."""

    def __init__(self) -> None:
        self.binds, self.reads, self.defers, self.sets, self.local = (set[str]() for _ in range(5))

    def module(self, table: symtable.SymbolTable) -> None:
        for symbol in table.get_symbols():
            if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                self.binds.add(symbol.get_name())
            if symbol.is_referenced():
                self.reads.add(symbol.get_name())
        for child in table.get_children():
            self._inner(child, False)

    def _inner(self, table: symtable.SymbolTable, later: bool) -> None:
        later = later or (isinstance(table, symtable.Function) and ".0" not in table.get_identifiers())
        for symbol in table.get_symbols():
            name = symbol.get_name()
            if not symbol.is_global():
                if _is_type_parameter(table):
                    self.local.add(name)
                continue
            if symbol.is_referenced():
                (self.defers if later else self.reads).add(name)
            if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                (self.sets if later else self.binds).add(name)
        for child in table.get_children():
            self._inner(child, later)


def _is_type_parameter(table: symtable.SymbolTable) -> bool:
    return sys.version_info >= (3, 12) and "type param" in str(table.get_type()).lower().replace("_", " ")


def _shadowed(node: ast.ClassDef) -> Iterator[str]:
    """Give the names that a class body reads from outside before it binds its own: ``class A: limit = limit``."""
    bound: set[str] = set()
    for statement in node.body:
        own = {part.id for part in ast.walk(statement) if isinstance(part, ast.Name) and not _is_load(part)}
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and statement.value is not None:
            yield from (_read_at_once(statement.value) & own) - bound
        bound |= own


def _read_at_once(expression: ast.expr) -> set[str]:
    """Give the names that an expression reads in its own scope: of a comprehension, only the first iterable."""
    read: set[str] = set()
    waiting: list[ast.AST] = [expression]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Name) and _is_load(part):
            read.add(part.id)
        elif isinstance(part, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            waiting.append(part.generators[0].iter)
        elif isinstance(part, ast.Lambda):
            waiting += [d for d in (*part.args.defaults, *part.args.kw_defaults) if d is not None]
        else:
            waiting += ast.iter_child_nodes(part)
    return read - {part.target.id for part in ast.walk(expression) if isinstance(part, ast.NamedExpr)}


def _is_load(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _names_in(expression: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(expression) if isinstance(part, ast.Name)}


def _quoted(annotation: ast.AST) -> Iterator[str]:
    """Give the names in the strings of an annotation; those of ``Literal`` and the notes of ``Annotated`` are data."""
    waiting: list[ast.AST] = [annotation]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from _quoted_names(part.value)
        elif isinstance(part, ast.Subscript) and _ends_in(part.value, "Literal"):
            continue
        elif isinstance(part, ast.Subscript) and _ends_in(part.value, "Annotated"):
            waiting += part.slice.elts[:1] if isinstance(part.slice, ast.Tuple) else [part.slice]
        else:
            waiting += ast.iter_child_nodes(part)


def _ends_in(node: ast.expr, name: str) -> bool:
    return name == (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", ""))


def _quoted_names(text: str) -> set[str]:
    try:
        return _names_in(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        return set()


def _star(node: ast.ImportFrom) -> set[str]:
    module: Any = sys.modules.get(node.module or "")
    public = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    return set(public)
