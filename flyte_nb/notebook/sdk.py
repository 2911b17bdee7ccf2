"""The package that an exported module imports: flyte_nb, or the Flyte SDK in its place."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Literal

from flyte_nb.errors import SliceError
from flyte_nb.notebook.cells import Cell, statements
from flyte_nb.notebook.ordering import Part, respelled
from flyte_nb.notebook.tidy import renamed, rewritten

__all__ = ["Target", "check", "imports_for", "spelled_for", "spelled_module"]

Target = Literal["flyte_nb", "flyte"]
#: modules of the SDK that its root does not import by itself
_NAMESPACES = ("app", "config", "connectors", "extend", "extras", "io", "notify", "report", "types")
#: what only flyte_nb has
_OWN = ("absent", "current_registry", "deployed", "edit", "export", "plan", "plugins", "preview_clone", "to_flyte")
Imports = list[ast.Import | ast.ImportFrom]


def imports_for(target: Target, imports: Imports, parts: Iterable[Part], magic: str) -> Imports:
    """Give the imports for a target; ``magic`` is the name that a ``%%flyte`` line has for the package."""
    own = [name for node in imports for name in _aliases(node)]
    kept = [node for node in imports if not (isinstance(node, ast.Import) and node.names[0].asname == magic)]
    read = {name for part in parts for name in part.names.reads | part.names.defers | part.names.hints}
    if magic in own and "flyte" in read and "flyte" not in own:
        kept += _parsed("import flyte_nb as flyte")
    if target == "flyte_nb":
        return kept
    namespaces = sorted({n for part in parts for n in _attributes(part.node, {*own, "flyte"}) if n in _NAMESPACES})
    return [*map(_for_sdk, kept), *_parsed("\n".join(f"import flyte.{name}" for name in namespaces))]


def _parsed(source: str) -> Imports:
    return [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]


def _aliases(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Give the names that an import has for the package."""
    if isinstance(node, ast.Import):
        yield from (a.asname or "flyte_nb" for a in node.names if a.name.partition(".")[0] == "flyte_nb")


def _for_sdk(node: ast.Import | ast.ImportFrom) -> ast.Import | ast.ImportFrom:
    """Give an import of flyte_nb as one of the SDK."""
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        own = node.level == 0 and module.partition(".")[0] == "flyte_nb"
        return ast.ImportFrom(_module_for_sdk(module), node.names, 0) if own else node
    names = []
    for alias in node.names:
        if alias.name.partition(".")[0] == "flyte_nb":
            name = _module_for_sdk(alias.name)
            alias = ast.alias(name, None if alias.asname == name else alias.asname)
        names.append(alias)
    return ast.Import(names)


def _module_for_sdk(name: str) -> str:
    """Give the SDK's name of a module of flyte_nb; its plugins are packages of their own."""
    rest = name.removeprefix("flyte_nb")
    return f"flyteplugins{rest.removeprefix('.plugins')}" if rest.startswith(".plugins") else f"flyte{rest}"


def spelled_for(target: Target, part: Part) -> Part:
    """Give a statement with the target's name for the package, in the imports of its functions, too."""
    if target == "flyte_nb" or "flyte_nb" not in part.source:
        return part
    source = renamed(part.source, {"flyte_nb": "flyte"})
    inner = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    changed: list[tuple[ast.expr | ast.stmt, str]] = [
        (node, text) for node in inner if (text := ast.unparse(_for_sdk(node))) != ast.unparse(node)
    ]
    return respelled(part, rewritten(source, changed))


def spelled_module(source: str, name: str) -> str:
    """Give a module that was written for flyte_nb as one for the Flyte SDK; every line stays where it is.

    Parameters
    ----------
    source : str
        The module.
    name : str
        What errors call it.

    Raises
    ------
    SliceError
        For what the SDK does not have, with its line.
    """
    parts = [Part(s.source, s.node, s.names, name, s.line) for s in statements(Cell(source, 0)) if _is_imported(s.node)]
    tree = ast.parse(source)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    own = {name for node in found for name in _aliases(node)}
    check("flyte", [_for_sdk(node) for node in found], parts)
    used = sorted({n for n in _attributes(tree, own) if n in _NAMESPACES})
    changed: list[tuple[ast.expr | ast.stmt, str]] = []
    for node in found:
        text = ast.unparse(_for_sdk(node))
        if [*_aliases(node)]:
            text = "; ".join([text, *(f"import flyte.{n}" for n in used)])
        if text != ast.unparse(node):
            changed.append((node, text))
    return renamed(rewritten(source, changed), {"flyte_nb": "flyte"})


def _is_imported(node: ast.stmt) -> bool:
    """Tell whether a statement is more than what a script does when it is run itself."""
    return not (isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'")


def _attributes(node: ast.AST, roots: set[str]) -> Iterator[str]:
    """Give the attributes of the package that a statement uses."""
    for part in ast.walk(node):
        match part:
            case ast.Attribute(value=ast.Name(id=root), attr=name) if root in roots:
                yield name


def check(target: Target, imports: Imports, parts: Iterable[Part]) -> None:
    """Refuse what the Flyte SDK does not have.

    Raises
    ------
    SliceError
        With the name and its cell.
    """
    if target == "flyte_nb":
        return
    names = [alias for node in imports if isinstance(node, ast.Import) for alias in node.names]
    roots = {a.asname or "flyte" for a in names if a.name.partition(".")[0] == "flyte"}
    for part in parts:
        own = [f"flyte.{name}" for name in _attributes(part.node, roots) if name in _OWN]
        calls = (node for node in ast.walk(part.node) if isinstance(node, ast.Call))
        own += ["clone_with(reset=…)" for call in calls if _is_reset(call)]
        if own:
            raise SliceError(
                f"{part.cell}, line {part.line} uses {own[0]}, which the Flyte SDK does not have; "
                "write it another way, or export for flyte_nb"
            )


def _is_reset(call: ast.Call) -> bool:
    named = isinstance(call.func, ast.Attribute) and call.func.attr == "clone_with"
    return named and any(word.arg == "reset" for word in call.keywords)
