"""Imports as a person keeps them: at the top, sorted, in groups — future, standard library, installed, local."""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterable

from flyte_nb.notebook.tidy import WIDTH

__all__ = ["grouped"]


def grouped(imports: Iterable[ast.Import | ast.ImportFrom], local: Container[str]) -> str:
    """Write imports; those from one module become one.

    Parameters
    ----------
    imports : iterable of ast nodes
        What is imported.
    local : container of str
        The top-level names of modules that are the project's own.
    """
    whole: set[tuple[str, str]] = set()
    taken: dict[str, set[tuple[str, str]]] = {}
    for node in imports:
        names = {(alias.name, alias.asname or "") for alias in node.names}
        if isinstance(node, ast.Import):
            whole |= names
        else:
            taken.setdefault("." * node.level + (node.module or ""), set()).update(names)
    groups: dict[int, list[str]] = {}
    for name, own in sorted(whole, key=lambda n: (n[0].lower(), n)):
        groups.setdefault(_group(name, local), []).append(f"import {name}{_as(own)}")
    for module, found in sorted(taken.items(), key=lambda m: (m[0].lower(), m)):
        groups.setdefault(_group(module, local), []).append(_from(module, found))
    return "\n\n".join("\n".join(groups[group]) for group in sorted(groups))


def _group(module: str, local: Container[str]) -> int:
    top = module.partition(".")[0]
    if module == "__future__":
        return 0
    if not top or top in local:
        return 3
    return 1 if top in sys.stdlib_module_names else 2


def _as(own: str) -> str:
    return f" as {own}" if own else ""


def _from(module: str, names: set[tuple[str, str]]) -> str:
    words = [f"{name}{_as(own)}" for name, own in sorted(names, key=lambda n: (_kind(n[0]), n[0].lower(), n))]
    line = f"from {module} import {', '.join(words)}"
    if len(line) <= WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {word},\n" for word in words) + ")"


def _kind(name: str) -> int:
    """Sort constants before classes before all else, as import sorters do."""
    return 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
