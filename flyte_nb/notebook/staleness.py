"""Staleness: what changed in the definitions of a task since it last ran, or was deployed, name by name."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flyte_nb.notebook.cells import Cell, Statement, statements
from flyte_nb.notebook.module import Module, locate
from flyte_nb.notebook.tidy import captured_name, rewritten

__all__ = ["Stale", "changed_files", "changed_names", "place_of"]


@dataclass(frozen=True)
class Stale:
    """One thing that makes a run or a deployment out of date.

    Parameters
    ----------
    name : str
        The variable, function, class or file.
    where : str
        The cell and line that bound it; empty for a file and for an import.
    what : str
        ``"changed"`` or ``"is new"``.
    since : str
        Since when, in words.
    """

    name: str
    where: str
    what: str
    since: str = ""

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.name}{place} {self.what}{f' since {self.since}' if self.since else ''}"


@dataclass
class _Defined:
    digest: str
    where: str


def changed_names(before: Module, now: Module, since: str) -> list[Stale]:
    """Compare what a task reads now with what it read; what only the former module holds may be another task's.

    Parameters
    ----------
    before : Module
        The definitions that ran, or were deployed.
    now : Module
        The definitions that would be taken now.
    since : str
        What ``before`` is, in words.
    """
    if before.digest == now.digest:
        return []
    known, found = _definitions(before), _definitions(now)
    return [
        Stale(name, defined.where, "changed" if name in known else "is new", since)
        for name, defined in found.items()
        if name not in known or known[name].digest != defined.digest
    ]


def changed_files(before: Mapping[str, str], now: Mapping[str, str], since: str) -> list[Stale]:
    """Compare files by digest, as `changed_names` compares definitions."""
    return [
        Stale(path, "", "changed" if path in before else "is new", since)
        for path, digest in sorted(now.items())
        if before.get(path) != digest
    ]


def place_of(statement: Statement, lines: list[str]) -> tuple[str, int] | None:
    """Give the cell and the line that the mark right above a statement of a generated module tells."""
    return locate(lines[statement.line - 2], 2) if statement.line > 1 else None


def _definitions(module: Module) -> dict[str, _Defined]:
    """Give the names of a module with a digest of the statements that made each of them what it is.

    An environment goes by its own name: its variable is another one where the notebook has used it again.
    """
    values = {value.name: value for value in module.captured}
    found: dict[str, _Defined] = {}
    variables: dict[str, str] = {}
    lines = module.source.split("\n")
    for statement in statements(Cell(module.source, 0)):
        variables |= _variables(statement.node, variables)
        if _is_short(statement.node, variables):
            continue
        place = place_of(statement, lines)
        where = f"{place[0]}, line {place[1]}" if place else ""
        for name in _concerned(statement, place is not None, found):
            data, label = _spelled(statement.source, variables).encode(), where
            captured = values.get(captured_name(statement.node) or "")
            if captured is not None:
                data, label = captured.data, captured.label
            name = variables.get(name, name)
            earlier = found[name].digest if name in found else ""
            found[name] = _Defined(hashlib.sha256(earlier.encode() + data).hexdigest(), label)
    return found


def _concerned(statement: Statement, is_marked: bool, found: Iterable[str]) -> Iterator[str]:
    """Give the names that a statement binds; for one that binds none, those that it works on."""
    if isinstance(statement.node, ast.Import | ast.ImportFrom | ast.Assign) or is_marked:
        yield from sorted(statement.names.binds or statement.names.reads & set(found))


def _variables(node: ast.stmt, known: Mapping[str, str]) -> dict[str, str]:
    """Give the variable that a statement binds to an environment, or to its ``task``, with what it stands for."""
    match node:
        case ast.Assign(targets=[ast.Name(id=variable)], value=ast.Call() as call):
            given = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "name")]
            names = [g.value for g in given if isinstance(g, ast.Constant) and isinstance(g.value, str)]
            is_one = ast.unparse(call.func).endswith(("Environment", ".clone_with"))
            return {variable: names[0]} if names and is_one else {}
        case ast.Assign(targets=[ast.Name(id=short)], value=ast.Attribute(value=ast.Name(id=owner), attr="task")):
            return {short: f"{known[owner]}.task"} if owner in known else {}
    return {}


def _is_short(node: ast.stmt, variables: Mapping[str, str]) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute(attr="task")):
            return name in variables
    return False


def _spelled(source: str, variables: Mapping[str, str]) -> str:
    """Write environments by name where the slice may have renamed their variables: in targets, decorators and calls."""
    if not variables:
        return source
    node: ast.AST = ast.parse(source).body[0]
    call = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
    places = [*getattr(node, "decorator_list", []), *getattr(node, "targets", []), getattr(call, "func", None)]
    parts = [part for place in places if place is not None for part in ast.walk(place)]
    names = [part for part in parts if isinstance(part, ast.Name) and part.id in variables]
    return rewritten(source, [(name, variables[name.id]) for name in names])
