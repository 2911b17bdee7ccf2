"""The slice: from names wanted to the statements, imports and values that they need, each before what reads it."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Iterable, Mapping
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

from flyte_nb import pickling
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import Declaration
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import SliceError, suggestion
from flyte_nb.notebook.cells import CellLog, Statement
from flyte_nb.notebook.module import Captured, Module

__all__ = ["is_definition", "module_for"]

LIMIT = 10 * 1024 * 1024
_KERNEL_NAMES = {
    "display": "from IPython.display import display",
    "get_ipython": "from IPython import get_ipython",
}
_DOCSTRING = '"""Definitions of a notebook, as its cells ran."""\n'
_LOADER = '''
def _captured(name):
    """Give a value that the notebook computed, as it was when this module was written."""
    import pathlib
    import pickle

    return pickle.loads((pathlib.Path(__file__).parent / "captured" / f"{name}.pkl").read_bytes())
'''


def module_for(
    log: CellLog,
    namespace: Mapping[str, Any],
    names: Iterable[str] = (),
    tasks: Iterable[TaskTemplate] = (),
    environments: Iterable[Environment] = (),
) -> Module:
    """Make the module that holds what is wanted and all that it reads.

    Parameters
    ----------
    log : CellLog
        What ran.
    namespace : mapping
        The live values of the kernel.
    names, tasks, environments
        What whoever loads the module will use.

    Returns
    -------
    Module
        The same bytes for the same definitions, whatever order the cells ran in.

    Raises
    ------
    SliceError
        For a name that nothing binds, and for a value that can neither be defined again nor travel.
    """
    cut = _Slice(log, namespace)
    for env in sorted(environments, key=lambda e: e.name):
        cut.want_environment(env.name)
    for task in sorted(tasks, key=lambda t: (_is_latest(log, t), t.name)):  # what a name means now comes last
        cut.want_task(task)
    for name in sorted(names):
        cut.want(name, "the run")
    return cut.module()


def _is_latest(log: CellLog, task: TaskTemplate) -> bool:
    return log.declaring(task.name) in (None, log.latest(task.name.rpartition(".")[2]))


class _Slice:
    """Collects statements, imports and captured values, each before what reads it."""

    def __init__(self, log: CellLog, namespace: Mapping[str, Any]) -> None:
        self.log, self.namespace = log, namespace
        self.imports: set[str] = set()
        self.parts: list[str] = []
        self.captured: dict[str, Captured] = {}
        self.seen: set[str] = set()
        self.placed: set[Statement] = set()
        self.later: list[tuple[str, str]] = []

    def module(self) -> Module:
        while self.later:
            self.want(*self.later.pop(0))
        imports = "".join(f"{source}\n" for source in sorted(self.imports, key=_import_order))
        loader = f"\n{_LOADER}" if self.captured else ""
        body = "".join(f"\n\n{part}\n" for part in self.parts)
        return Module(f"{_DOCSTRING}\n{imports}{loader}{body}", tuple(self.captured[n] for n in sorted(self.captured)))

    def want(self, name: str, reader: str) -> None:
        """Take in a name, after everything that it needs in order to be bound."""
        if name in self.seen:
            return
        self.seen.add(name)
        statement = self.log.latest(name)
        if statement is None:
            self._unlogged(name, reader)
        elif isinstance(statement.node, ast.Import | ast.ImportFrom):
            self.imports.add(statement.source)
        elif is_definition(statement, self.namespace):
            self._define(statement)
        else:
            self._capture(name, statement.label)

    def want_environment(self, name: str) -> str | None:
        """Take in the statement that declared an environment, and give the variable that holds it in the module.

        A variable that has been bound to something else since is renamed after its environment.
        """
        statement = self.log.declaring(name)
        if statement is None:
            return None
        variable = _variable(statement)
        if variable is None or self.log.latest(variable) is statement:
            self._define(statement)
            return variable
        renamed = f"{variable}_{name.replace('-', '_')}"
        self._define(statement, {variable: renamed})
        return renamed

    def want_task(self, task: TaskTemplate) -> None:
        """Take in the statement that bound a task."""
        statement = self.log.declaring(task.name)
        if statement is None:
            self.want(task.name.rpartition(".")[2], f"task {task.name!r}")
        else:
            self._define(statement)

    def _define(self, statement: Statement, renamed: Mapping[str, str] = MappingProxyType({})) -> None:
        if statement in self.placed:
            return
        self.placed.add(statement)
        spelled = {**renamed, **self._environment_variables(statement)}
        for read in sorted(statement.reads - statement.binds - set(spelled)):
            self.want(read, statement.label)
        self.parts.append(_marked(statement, spelled))
        self.later += [(name, statement.label) for name in sorted(statement.defers)]
        for name in sorted(statement.binds - set(renamed)):
            self.seen.add(name)
            for more in sorted(self.log.configuring(name), key=lambda s: s.source):
                self._define(more)

    def _environment_variables(self, statement: Statement) -> dict[str, str]:
        """Spell a task's decorator after its own environment, where the variable means another one by now."""
        roots = _decorator_roots(statement.node)
        if not roots:
            return {}
        owners = [name.rpartition(".")[0] for name in self.log.declared_by(statement) if "." in name]
        spelled = {}
        for root in roots:
            live = self.namespace.get(root)
            env = live if isinstance(live, Environment) else getattr(live, "__self__", None)
            if owners and isinstance(env, Environment) and env.name not in owners:
                variable = self.want_environment(owners[0])
                if variable is not None:
                    spelled[root] = variable if env is live else f"{variable}.task"
        return spelled

    def _unlogged(self, name: str, reader: str) -> None:
        """Take in a name that no cell's statement bound: a builtin, one of IPython's, or one bound some other way."""
        if name in self.namespace and name not in _KERNEL_NAMES:
            value = self.namespace[name]
            if isinstance(value, ModuleType):
                self.imports.add(f"import {value.__name__} as {name}")
            else:
                self._capture(name, "the kernel")
        elif name in _KERNEL_NAMES:
            self.imports.add(_KERNEL_NAMES[name])
        elif not hasattr(builtins, name) and name not in ("__file__", "__name__"):
            raise SliceError(f"{reader} reads {name!r}, which no cell has bound; {suggestion(name, self.log)}")

    def _capture(self, name: str, label: str) -> None:
        if name not in self.namespace:
            raise SliceError(f"{name!r} of {label} no longer exists in the kernel; run its cell again")
        try:
            data, used = pickling.dumps(self.namespace[name], self.log)
        except Exception as error:  # a stranger's __reduce__ may raise anything
            kind = type(self.namespace[name]).__name__
            raise SliceError(
                f"variable {name!r} of {label} ({kind}) cannot leave the kernel: {error}. "
                "Make it inside the task, pass it as an input, or bind it in a statement that can run again"
            ) from None
        if len(data) > LIMIT:
            raise SliceError(
                f"variable {name!r} of {label} is {len(data) / 2**20:.1f} MiB, over the limit of {LIMIT >> 20} MiB for "
                "captured values. Pass it as an input, or load it inside the task"
            )
        for other in sorted(used):
            self.want(other, f"variable {name!r}")
        self.captured[name] = Captured(name, data, label)
        self.parts.append(f"{name} = _captured({name!r})  # {type(self.namespace[name]).__name__}")


def _variable(statement: Statement) -> str | None:
    """Give the one plain name that an assignment binds."""
    match statement.node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def _decorator_roots(node: ast.stmt) -> set[str]:
    """Give the names at the root of a definition's decorators: ``env`` of ``@env.task(…)``."""
    roots = set()
    for decorator in getattr(node, "decorator_list", []):
        while isinstance(decorator, ast.Call | ast.Attribute):
            decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
        if isinstance(decorator, ast.Name):
            roots.add(decorator.id)
    return roots


def _marked(statement: Statement, spelled: Mapping[str, str]) -> str:
    source = _respelled(statement.source, spelled) if spelled else statement.source
    return f"# {statement.cell.label}, line {statement.line}\n{source}"


def _respelled(source: str, spelled: Mapping[str, str]) -> str:
    """Write other names for some of a statement's own: in its targets and decorators, nowhere else."""
    node: Any = ast.parse(source).body[0]
    places = [
        *getattr(node, "decorator_list", []),
        *getattr(node, "targets", []),
        getattr(node, "target", None),
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


def is_definition(statement: Statement, namespace: Mapping[str, Any]) -> bool:
    """Tell whether running a statement again gives what its names stand for now.

    Functions, classes and imports do; so do assignments whose live value is declared, a class or a function, or
    still equals what the expression gives.
    """
    node = statement.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return True
    if isinstance(node, ast.If | ast.Try):
        return all(_only_defines(child) for child in ast.walk(node) if isinstance(child, ast.stmt))
    if isinstance(node, ast.Expr):
        return True  # it configures something that is wanted
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None or statement.binds & statement.reads:
        return False
    values = [namespace[name] for name in statement.binds if name in namespace]
    if all(_is_declared(value) for value in values):
        return True
    return _has_no_call(node.value) and _still_equal(node, statement, namespace)


def _only_defines(node: ast.stmt) -> bool:
    return isinstance(node, ast.If | ast.Try | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef
                      | ast.ClassDef | ast.Pass | ast.Raise | ast.Return) or (
        isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    )  # fmt: skip


def _is_declared(value: Any) -> bool:
    """Tell whether a value comes from a declaration or a definition, and not from a computation."""
    if isinstance(value, Declaration | TaskTemplate | FunctionType):
        return True
    return inspect.isclass(value)


def _has_no_call(value: ast.expr) -> bool:
    calls = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.ListComp, ast.SetComp, ast.DictComp,
             ast.GeneratorExp, ast.Lambda)  # fmt: skip
    return not any(isinstance(part, calls) for part in ast.walk(value))


def _still_equal(node: ast.Assign | ast.AnnAssign, statement: Statement, namespace: Mapping[str, Any]) -> bool:
    """Tell whether evaluating a call-free assignment again gives the live values."""
    again: dict[str, Any] = {}
    try:
        exec(compile(ast.Module([node], []), "<definition>", "exec"), dict(namespace), again)
        return all(
            name in namespace and type(again[name]) is type(namespace[name]) and bool(again[name] == namespace[name])
            for name in statement.binds
        )
    except Exception:  # a stranger's operators may raise, or compare to an array
        return False
