"""The slice: from names wanted to the statements, imports and values that they need, each before what reads it."""

from __future__ import annotations

import ast
import builtins
from collections import deque
from collections.abc import Container, Generator, Iterable, Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from flyte_nb import pickling
from flyte_nb.environments.base import Environment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import SliceError, suggestion
from flyte_nb.notebook.cells import CellLog, Statement
from flyte_nb.notebook.definitions import is_definition
from flyte_nb.notebook.module import Captured, Module
from flyte_nb.notebook.tidy import rewritten

__all__ = ["module_for"]

LIMIT = 10 * 1024 * 1024
#: yields the steps that have to be carried out before it goes on; returns what they are for
Steps = Generator["Steps", Any, Any]
_KERNEL_NAMES = {
    "display": "from IPython.display import display",
    "get_ipython": "from IPython import get_ipython",
}
_MODULE_NAMES = ("__builtins__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__spec__")
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
        take(cut.want_environment(env.name))
    for task in sorted(tasks, key=lambda t: (_is_latest(log, t), t.name)):  # what a name means now comes last
        take(cut.want_task(task))
    for name in sorted(names):
        take(cut.want(name, "the run"))
    return cut.module()


def _is_latest(log: CellLog, task: TaskTemplate) -> bool:
    return log.declaring(task.name) in (None, log.latest(task.name.rpartition(".")[2]))


class _Slice:
    """Collects statements, imports and captured values, each before what reads it.

    Its methods give `Steps`: each yields what has to be taken in first.
    """

    def __init__(self, log: CellLog, namespace: Mapping[str, Any]) -> None:
        self.log, self.namespace = log, namespace
        self.imports: set[str] = {f"from __future__ import {feature}" for feature in log.futures}
        self.parts: list[str] = []
        self.captured: dict[str, Captured] = {}
        self.seen: set[str] = set()
        self.sets: set[str] = set()
        self.placed: set[Statement] = set()
        self.later: deque[tuple[str, str]] = deque()

    def module(self) -> Module:
        while self.later:
            take(self.want(*self.later.popleft()))
        imports = "".join(f"{source}\n" for source in sorted(self.imports, key=_import_order))
        loader = f"\n{_LOADER}" if self.captured else ""
        body = "".join(f"\n\n{part}\n" for part in self.parts)
        return Module(f"{_DOCSTRING}\n{imports}{loader}{body}", tuple(self.captured[n] for n in sorted(self.captured)))

    def want(self, name: str, reader: str) -> Steps:
        """Take in a name, after everything that it needs in order to be bound."""
        if name in self.seen:
            return
        self.seen.add(name)
        statement = self.log.latest(name)
        if statement is None:
            yield self._unlogged(name, reader)
        elif self.log.importing(name):
            for one in self.log.importing(name):
                self.imports |= _imports_of(one.node, name)
        elif is_definition(statement, self.namespace):
            yield self._define(statement)
        else:
            yield self._capture(name, statement.label)

    def want_environment(self, name: str) -> Steps:
        """Take in the statement that declared an environment, and give the variable that holds it in the module.

        A variable that has been bound to something else since is renamed after its environment.
        """
        statement = self.log.declaring(name)
        if statement is None:
            return None
        variable = _variable(statement)
        if variable is None or self.log.latest(variable) is statement:
            yield self._define(statement)
            return variable
        renamed = f"{variable}_{name.replace('-', '_')}"
        while renamed in self.log:
            renamed += "_"
        yield self._define(statement, {variable: renamed})
        return renamed

    def want_task(self, task: TaskTemplate) -> Steps:
        """Take in the statement that bound a task."""
        statement = self.log.declaring(task.name)
        if statement is None:
            yield self.want(task.name.rpartition(".")[2], f"task {task.name!r}")
        else:
            yield self._define(statement)

    def _define(self, statement: Statement, renamed: Mapping[str, str] = MappingProxyType({})) -> Steps:
        if statement in self.placed:
            return
        self.placed.add(statement)
        names = statement.names
        spelled = {**renamed, **(yield self._environment_variables(statement))}
        hints = {name for name in names.hints if name in self.log or name in self.namespace}
        at_once = hints if _decorator_roots(statement.node) else set()  # a task reads its annotations when it is bound
        for read in sorted((names.reads | at_once) - names.binds - set(spelled)):
            yield self.want(read, statement.label)
        looked_up = yield self._looked_up(statement)
        self.parts.append(_marked(statement, spelled, looked_up))
        self.later += [(name, statement.label) for name in sorted(names.defers | hints)]
        self.sets |= names.sets
        # what the statement bound once but no longer stands for is still to be found
        self.seen |= {name for name in names.binds - set(renamed) if self.log.latest(name) is statement}
        for name in sorted(names.binds):
            for more in sorted(self.log.configuring(statement, name), key=lambda s: s.source):
                yield self._define(more, renamed)

    def _environment_variables(self, statement: Statement) -> Steps:
        """Spell a task's decorator after its own environment, where the variable means another one by now."""
        owners = [name.rpartition(".")[0] for name in self.log.declared_by(statement) if "." in name]
        spelled: dict[str, str] = {}
        for root in sorted(_decorator_roots(statement.node) if owners else ()):
            live = self.namespace.get(root)
            env = live if isinstance(live, Environment) else getattr(live, "__self__", None)
            gone = root not in self.namespace
            if gone or (isinstance(env, Environment) and env.name not in owners):
                variable = yield self.want_environment(owners[0])
                if variable is not None:
                    spelled[root] = variable if gone or env is live else f"{variable}.task"
        return spelled

    def _looked_up(self, statement: Statement) -> Steps:
        """Take in the environments that a statement looks up in the registry, as ``--depends-on`` does; give variables.

        Where the module is loaded nothing is registered.
        """
        found: dict[str, str] = {}
        for _, name in registry_calls(statement.node):
            variable = yield self.want_environment(name)
            if variable is None:
                live = self.namespace.items()
                variable = next((n for n, v in live if isinstance(v, Environment) and v.name == name), None)
                if variable is not None:
                    yield self.want(variable, statement.label)
            if variable is not None:
                found[name] = variable
        return found

    def _unlogged(self, name: str, reader: str) -> Steps:
        """Take in a name that no cell's statement bound: a builtin, one of IPython's, or one bound some other way."""
        if name in _KERNEL_NAMES:
            self.imports.add(_KERNEL_NAMES[name])
        elif name in _MODULE_NAMES or _is_builtin(name, self.namespace):
            return
        elif name in self.namespace:
            yield self._capture(name, "the kernel")
        elif name not in self.sets:  # else a function binds it before it reads it, or fails here as in the kernel
            raise SliceError(f"{reader} reads {name!r}, which no cell has bound; {suggestion(name, self.log)}")

    def _capture(self, name: str, label: str) -> Steps:
        if name not in self.namespace:
            raise SliceError(f"{name!r} of {label} no longer exists in the kernel; run its cell again")
        value = self.namespace[name]
        if isinstance(value, ModuleType):
            self.imports.add(f"import {value.__name__} as {name}")
            return
        try:
            data, used = pickling.dumps(value, _Without(self.log, name))
        except Exception as error:  # a stranger's __reduce__ may raise anything
            raise SliceError(
                f"variable {name!r} of {label} ({type(value).__name__}) cannot leave the kernel: {error}. "
                "Make it inside the task, pass it as an input, or bind it in a statement that can run again"
            ) from None
        if len(data) > LIMIT:
            raise SliceError(
                f"variable {name!r} of {label} is {len(data) / 2**20:.1f} MiB, over the limit of {LIMIT >> 20} MiB for "
                "captured values. Pass it as an input, or load it inside the task"
            )
        for other in sorted(used):
            yield self.want(other, f"variable {name!r}")
        self.captured[name] = Captured(name, data, label)
        self.parts.append(f"{name} = _captured({name!r})  # {type(value).__name__}")


class _Without:
    """The names that a captured value may refer to: all but its own, which does not exist before it is loaded."""

    def __init__(self, names: Container[str], own: str) -> None:
        self._names, self._own = names, own

    def __contains__(self, name: object) -> bool:
        return name != self._own and name in self._names


def take(steps: Steps) -> Any:
    """Carry out steps and the steps that they need first; a long chain of definitions does not use up the stack."""
    running, answer = [steps], None
    while running:
        try:
            needed = running[-1].send(answer)
        except StopIteration as done:
            running.pop()
            answer = done.value
        else:
            running.append(needed)
            answer = None
    return answer


def _is_builtin(name: str, namespace: Mapping[str, Any]) -> bool:
    """Tell whether a name that no cell bound is a builtin, or what IPython puts in its place."""
    if not hasattr(builtins, name):
        return False
    value = namespace.get(name, getattr(builtins, name))
    module = str(getattr(value, "__module__", None) or type(value).__module__)
    own = (module, type(value).__module__)
    return getattr(value, "__wrapped__", value) is getattr(builtins, name) or any(
        m.partition(".")[0] in ("IPython", "ipykernel") for m in own
    )


def _imports_of(node: ast.stmt, name: str) -> set[str]:
    """Give the imports of a statement that bind ``name``, one a line, so that they bind nothing else."""
    if isinstance(node, ast.Import):
        found = [a for a in node.names if (a.asname or a.name.partition(".")[0]) == name]
        return {f"import {a.name}" + (f" as {a.asname}" if a.asname else "") for a in found}
    assert isinstance(node, ast.ImportFrom)
    origin = f"from {'.' * node.level}{node.module or ''} import"
    found = [a for a in node.names if (a.asname or a.name) == name][-1:]
    return {f"{origin} {a.name}" + (f" as {a.asname}" if a.asname else "") for a in found} or {f"{origin} {name}"}


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


def _marked(statement: Statement, spelled: Mapping[str, str], looked_up: Mapping[str, str]) -> str:
    source = _respelled(statement.source, spelled) if spelled else statement.source
    if looked_up:
        calls = registry_calls(ast.parse(source))
        source = rewritten(source, [(call, looked_up[name]) for call, name in calls if name in looked_up])
    return f"# {statement.cell.label}, line {statement.line}\n{source}"


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
