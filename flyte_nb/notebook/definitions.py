"""Definitions: the statements that can run again, in another process, and give what their names stand for now."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Mapping
from types import FunctionType, MethodType
from typing import Any

from flyte_nb.environments.declaration import Declaration
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.notebook.cells import Statement

__all__ = ["is_definition"]

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, *filter(None, [getattr(ast, "TypeAlias", None)]))
_DECLARED = (Declaration, TaskTemplate, FunctionType, typing.TypeVar, typing.ParamSpec, typing.NewType)


def is_definition(statement: Statement, namespace: Mapping[str, Any]) -> bool:
    """Tell whether running a statement again gives what its names stand for now.

    Functions, classes and imports do; so do assignments whose live value is declared, a class or a function, or
    still equals what the expression gives. What builds on the former value of its own name never does.
    """
    node, binds = statement.node, statement.names.binds
    if binds & statement.names.reads:
        return False
    if isinstance(node, ast.If | ast.Try):
        return all(_only_defines(child) for child in ast.walk(node) if isinstance(child, ast.stmt))
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return isinstance(node, _DEFINITIONS)
    if node.value is None:
        return False
    values = [namespace.get(name) for name in binds]
    if all(isinstance(value, Declaration | TaskTemplate) for value in values):
        return True
    if _has_no_call(node.value):
        return _still_equal(node, statement, namespace)
    return all(_is_declared(value) for value in values)


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


def _still_equal(node: ast.Assign | ast.AnnAssign, statement: Statement, namespace: Mapping[str, Any]) -> bool:
    """Tell whether evaluating a call-free assignment again gives the live values."""
    again: dict[str, Any] = {}
    known = namespace if isinstance(namespace, dict) else dict(namespace)
    try:
        exec(compile(ast.Module([node], []), "<definition>", "exec"), known, again)
        return all(name in namespace and _same(again[name], namespace[name]) for name in statement.names.binds)
    except Exception:  # a stranger's operators may raise, or compare to an array
        return False


def _same(one: Any, other: Any) -> bool:
    """Compare two values, types and the order of dicts included: ``[1]`` is not ``[True]``."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return _same(list(one.items()), list(other.items()))
    return bool(one == other)
