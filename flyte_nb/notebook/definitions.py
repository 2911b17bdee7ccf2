"""Definitions: the statements that can run again, in another process, and give what their names stand for now."""

from __future__ import annotations

import ast
import functools
import inspect
import typing
from collections.abc import Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any

from flyte_nb.environments.declaration import Declaration
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.notebook.cells import Statement

__all__ = [
    "added_methods",
    "calls_something",
    "decorates",
    "decorator_roots",
    "is_bare",
    "is_definition",
    "is_made_by_a_call",
    "is_shell",
]

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, *filter(None, [getattr(ast, "TypeAlias", None)]))
_DECLARED = (Declaration, TaskTemplate, typing.TypeVar, typing.ParamSpec, typing.NewType)


def is_definition(statement: Statement, namespace: Mapping[str, Any]) -> bool:
    """Tell whether running a statement again gives what its names stand for now.

    Functions, classes and imports do; so do assignments whose live value is declared, a class or a lambda, or
    still equals what the expression gives. What builds on the former value of its own name never does.
    """
    node, binds = statement.node, statement.names.binds
    if binds & statement.names.reads:
        return False
    if isinstance(node, ast.If | ast.Try):
        inner = [child for child in ast.walk(node) if isinstance(child, ast.stmt)]
        return all(map(_only_defines, inner)) and _gives_the_same(statement, namespace)
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return isinstance(node, _DEFINITIONS)
    if node.value is None:
        return False
    values = [namespace.get(name) for name in binds]
    if all(isinstance(value, Declaration | TaskTemplate) for value in values):
        return True
    if isinstance(node.value, ast.Lambda):
        return all(isinstance(value, FunctionType) for value in values)
    if is_shell(node):
        return True
    if _has_no_call(node.value):
        return _gives_the_same(statement, namespace)
    return all(_is_declared(value) for value in values)


def is_made_by_a_call(statement: Statement) -> bool:
    """Tell whether a statement is of the form ``name = Maker(…)``."""
    match statement.node:
        case ast.Assign(targets=[ast.Name()], value=ast.Call()) | ast.AnnAssign(target=ast.Name(), value=ast.Call()):
            return True
    return False


def is_shell(node: ast.stmt) -> bool:
    """Tell whether a statement asks for IPython's shell: ``ip = get_ipython()``."""
    match node:
        case ast.Assign(value=ast.Call(func=ast.Name(id="get_ipython"))):
            return True
    return False


def calls_something(node: ast.stmt) -> bool:
    """Tell whether a statement may call a function of the notebook when it runs."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        defaults = [*node.args.defaults, *node.args.kw_defaults]
        return bool(node.decorator_list) or any(isinstance(n, ast.Call) for d in defaults if d for n in ast.walk(d))
    if isinstance(node, ast.ClassDef):
        return bool(node.decorator_list or node.bases or node.keywords) or any(
            isinstance(n, ast.Call) for part in node.body for n in ast.walk(part)
        )
    return any(isinstance(part, ast.Call) for part in ast.walk(node))


def added_methods(node: ast.ClassDef, attributes: Mapping[str, Any]) -> dict[str, FunctionType]:
    """Give the notebook's functions among the attributes of a class that its body does not define.

    A class with decorators or keywords gets them again as it is defined again.
    """
    if node.decorator_list or node.keywords:
        return {}
    found = {
        name: value
        for name, value in attributes.items()
        if isinstance(value, FunctionType) and value.__module__ == "__main__" and not name.startswith("__")
    }
    if not found:
        return {}
    parts = list(ast.walk(node))
    inside = {part.name for part in parts if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
    inside |= {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    return {name: value for name, value in found.items() if name not in inside}


def _only_defines(node: ast.stmt) -> bool:
    return isinstance(node, ast.If | ast.Try | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef
                      | ast.ClassDef | ast.Pass | ast.Raise | ast.Return) or (
        isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    )  # fmt: skip


def _is_declared(value: Any) -> bool:
    """Tell whether a value comes from a declaration or a definition, and not from a computation."""
    if isinstance(value, MethodType):
        return isinstance(value.__self__, Declaration)
    return inspect.isclass(value) or isinstance(value, _DECLARED)


def _has_no_call(value: ast.expr) -> bool:
    calls = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.ListComp, ast.SetComp, ast.DictComp,
             ast.GeneratorExp, ast.Lambda)  # fmt: skip
    return not any(isinstance(part, calls) for part in ast.walk(value))


def _gives_the_same(statement: Statement, namespace: Mapping[str, Any]) -> bool:
    """Tell whether running a statement without side effects again gives the live values."""
    again: dict[str, Any] = {}
    known = namespace if isinstance(namespace, dict) else dict(namespace)
    try:
        exec(compiled(statement), known, again)
        # of two branches, only one has bound its names
        names = [name for name in statement.names.binds if name in namespace or name in again]
        return all(_same(again[name], namespace[name]) for name in names)
    except Exception:  # a stranger's operators may raise, or compare to an array
        return False


@functools.lru_cache(maxsize=2_000)
def compiled(statement: Statement) -> CodeType:
    """Give the code of a statement alone."""
    return compile(ast.Module([statement.node], []), "<definition>", "exec", dont_inherit=True)


def _same(one: Any, other: Any) -> bool:
    """Compare two values, types and the order of dicts included: ``[1]`` is not ``[True]``."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return _same(list(one.items()), list(other.items()))
    if isinstance(one, FunctionType):
        return one is other or one.__code__.replace(co_filename="") == other.__code__.replace(co_filename="")
    if isinstance(one, type):
        return one is other or (one.__qualname__, one.__module__) == (other.__qualname__, other.__module__)
    return bool(one == other)


def decorator_roots(node: ast.stmt) -> set[str]:
    """Give the names at the root of a definition's decorators: ``env`` of ``@env.task(…)``."""
    roots = set()
    for decorator in getattr(node, "decorator_list", []):
        while isinstance(decorator, ast.Call | ast.Attribute):
            decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
        if isinstance(decorator, ast.Name):
            roots.add(decorator.id)
    return roots


def is_bare(node: ast.stmt, root: str) -> bool:
    """Tell whether a name is called as a decorator itself, as ``@task`` or ``@task(…)`` does."""
    return any(_is_named(one, root) for one in _decorators(node))


def decorates(node: ast.stmt, root: str, live: Any) -> bool:
    """Tell whether what a name holds by now can still be the root of a definition's decorator."""
    if is_bare(node, root):
        return callable(live)
    reads = [one.attr for one in _decorators(node) if isinstance(one, ast.Attribute) and _is_named(one.value, root)]
    return all(hasattr(live, attribute) for attribute in reads)


def _is_named(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _decorators(node: ast.stmt) -> list[ast.expr]:
    return [d.func if isinstance(d, ast.Call) else d for d in getattr(node, "decorator_list", [])]
