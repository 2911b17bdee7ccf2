"""Rendering: the text of a generated module, put together from imports, statements and captured values."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from flyte_nb.notebook.cells import Statement
from flyte_nb.notebook.tidy import rewritten

__all__ = ["imports_of", "marked", "module_text", "registry_calls", "variable_of"]

_DOCSTRING = '"""Definitions of a notebook, as its cells ran."""\n'
_LOADER = '''
def _captured(name):
    """Give a value that the notebook computed, as it was when this module was written."""
    import pathlib
    import pickle

    return pickle.loads((pathlib.Path(__file__).parent / "captured" / f"{name}.pkl").read_bytes())
'''


def module_text(imports: Iterable[str], parts: Sequence[str], loads: bool) -> str:
    """Give the source of a module.

    Parameters
    ----------
    imports : iterable of str
        Its imports, one name each.
    parts : sequence of str
        What follows them, in order.
    loads : bool
        Whether captured values are loaded.
    """
    head = "".join(f"{source}\n" for source in sorted(imports, key=_import_order))
    body = "".join(f"\n\n{part}\n" for part in parts)
    loader = f"\n{_LOADER}" if loads else ""
    return f"{_DOCSTRING}\n{head}{loader}{body}"


def marked(statement: Statement, spelled: Mapping[str, str], looked_up: Mapping[str, str]) -> str:
    """Give a statement's text below a comment that tells its cell and line.

    Parameters
    ----------
    statement : Statement
        The statement.
    spelled : mapping of str to str
        Other names for some of those that it binds or configures.
    looked_up : mapping of str to str
        Variables for the environments that it looks up in the registry, by the environments' names.
    """
    source = _respelled(statement.source, spelled) if spelled else statement.source
    if looked_up:
        calls = registry_calls(ast.parse(source))
        source = rewritten(source, [(call, looked_up[name]) for call, name in calls if name in looked_up])
    return f"# {statement.cell.label}, line {statement.line}\n{source}"


def imports_of(node: ast.stmt, name: str) -> set[str]:
    """Give the imports of a statement that bind ``name``, one a line, so that they bind nothing else."""
    if isinstance(node, ast.Import):
        found = [a for a in node.names if (a.asname or a.name.partition(".")[0]) == name]
        return {f"import {a.name}" + (f" as {a.asname}" if a.asname else "") for a in found}
    assert isinstance(node, ast.ImportFrom)
    origin = f"from {'.' * node.level}{node.module or ''} import"
    found = [a for a in node.names if (a.asname or a.name) == name][-1:]
    return {f"{origin} {a.name}" + (f" as {a.asname}" if a.asname else "") for a in found} or {f"{origin} {name}"}


def variable_of(statement: Statement) -> str | None:
    """Give the one plain name that an assignment binds."""
    match statement.node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def registry_calls(node: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Give the calls ``….current_registry().find("name")`` of a statement, with the names."""
    for part in ast.walk(node):
        match part:
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Call(func=ast.Attribute(attr="current_registry") | ast.Name(id="current_registry")),
                    attr="find",
                ),
                args=[ast.Constant(value=str(name))],
            ):
                yield part, name


def _respelled(source: str, spelled: Mapping[str, str]) -> str:
    """Write other names for some of a statement's own: in its targets, its decorators and what it configures."""
    node: Any = ast.parse(source).body[0]
    places = [
        *getattr(node, "decorator_list", []),
        *getattr(node, "targets", []),
        getattr(node, "target", None),
        node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None,
    ]
    found = [part for place in filter(None, places) for part in ast.walk(place) if isinstance(part, ast.Name)]
    lines = source.encode().splitlines(keepends=True)
    for name in sorted(found, key=lambda n: (n.lineno, n.col_offset), reverse=True):
        if name.id in spelled:
            line = lines[name.lineno - 1]
            lines[name.lineno - 1] = (
                line[: name.col_offset] + spelled[name.id].encode() + line[name.end_col_offset or 0 :]
            )
    return b"".join(lines).decode()


def _import_order(source: str) -> tuple[bool, bool, str]:
    """Put ``__future__`` first, then whole modules, then names from modules."""
    return not source.startswith("from __future__"), source.startswith("from"), source
