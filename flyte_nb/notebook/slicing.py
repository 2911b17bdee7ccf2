"""The slice: from names wanted to the statements, imports and values that they need, each before what reads it."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import SliceError, suggestion
from flyte_nb.notebook.cells import CellLog, Configured, Statement
from flyte_nb.notebook.definitions import (
    added_methods,
    calls_something,
    decorates,
    decorator_roots,
    is_bare,
    is_made_by_a_call,
    is_shell,
)
from flyte_nb.notebook.facts import MISSING, Facts, is_builtin
from flyte_nb.notebook.module import Captured, Module
from flyte_nb.notebook.rendering import imports_of, marked, module_text, registry_calls, variable_of
from flyte_nb.notebook.secrecy import check_value, known_secrets, refuse_known, texts_in
from flyte_nb.notebook.steps import Steps, take
from flyte_nb.notebook.values import capture

__all__ = ["Slice", "module_for"]

_KERNEL_NAMES = {
    "display": "from IPython.display import display",
    "get_ipython": "from IPython import get_ipython",
}
_MODULE_NAMES = ("__builtins__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__spec__")


def module_for(
    log: CellLog,
    namespace: Mapping[str, Any],
    names: Iterable[str] = (),
    tasks: Iterable[TaskTemplate] = (),
    environments: Iterable[Environment] = (),
    secrets: Iterable[str] = (),
    edits: Mapping[str, Environment] = MappingProxyType({}),
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
    secrets : iterable of str
        The values of secrets; a module never holds one.
    edits : mapping of str to Environment
        The environments that drafts have changed, by name: they are declared as they are now.

    Returns
    -------
    Module
        The same bytes for the same definitions, whatever order the cells ran in.

    Raises
    ------
    SliceError
        For a name that nothing binds, for a value that can neither be defined again nor travel, and for a secret.
    """
    return Slice(log, namespace, secrets, edits).module_of(names, tasks, environments)


class Slice:
    """Collects statements, imports and captured values, each before what reads it.

    Its methods give `Steps`: each yields what has to be taken in first.

    Parameters
    ----------
    log, namespace, secrets
        As of `module_for`.
    edits : mapping of str to Environment
        The environments that drafts have changed, by name: their declarations are written as they are now.
    """

    def __init__(
        self,
        log: CellLog,
        namespace: Mapping[str, Any],
        secrets: Iterable[str],
        edits: Mapping[str, Environment] = MappingProxyType({}),
    ) -> None:
        self.log, self.namespace, self.edits = log, namespace, edits
        self.facts = Facts(log, namespace)
        self.secrets = known_secrets(secrets)
        self.imports: set[str] = {f"from __future__ import {feature}" for feature in log.futures}
        self.parts: list[str] = []
        self.captured: dict[str, Captured] = {}
        self.notices: list[str] = []
        self.seen: set[str] = set()
        self.sets: set[str] = set()
        self.placed: set[Statement] = set()
        self.open: dict[str, Statement] = {}
        self.later: deque[tuple[str, str]] = deque()
        self.waiting: list[tuple[Statement, Mapping[str, str]]] = []

    def module_of(
        self, names: Iterable[str], tasks: Iterable[TaskTemplate], environments: Iterable[Environment]
    ) -> Module:
        """Take in all that is wanted, and what that reads later; put it together."""
        for env in sorted(environments, key=lambda e: e.name):
            take(self.want_environment(env.name))
        for task in sorted(tasks, key=lambda t: (self._is_latest(t), t.name)):  # what a name means now comes last
            take(self.want_task(task))
        for name in sorted(names):
            take(self.want(name, "the run"))
        while self.later:
            take(self.want(*self.later.popleft()))
        text = module_text(self.imports, self.parts, bool(self.captured))
        refuse_known(self.secrets, text, "a statement that the task reads")
        return Module(text, tuple(self.captured[n] for n in sorted(self.captured)), tuple(self.notices))

    def _is_latest(self, task: TaskTemplate) -> bool:
        return self.facts.declaring(task.name) in (None, self.facts.latest(task.name.rpartition(".")[2]))

    # --- what is wanted ---

    def want(self, name: str, reader: str) -> Steps:
        """Take in a name, after everything that it needs in order to be bound."""
        if name in self.open:
            yield self._break_circle(name, reader)
        if name in self.seen:
            return
        self.seen.add(name)
        statement = self.facts.latest(name)
        if statement is None:
            yield self._unlogged(name, reader)
        elif imports := self.facts.importing(name):
            for one in imports:
                self.imports |= imports_of(one.node, name)
        elif (declared := self._applied(name)) is not None:
            variable = yield self.want_environment(self.facts.value(name).name)
            self.parts += [f"{name} = {variable}"] if variable_of(declared) != name else []
        elif isinstance(statement.node, ast.If | ast.Try) and self.facts.value(name) is MISSING:
            yield self._capture(name, statement.label)  # the other branch was taken
        elif self.facts.is_definition(statement) or self._is_built_up(statement, name):
            self._refuse_secrets(statement)
            yield self._define(statement)
        else:
            yield self._capture(name, statement.label)

    def want_environment(self, name: str) -> Steps:
        """Take in the statement that declared an environment, and give the variable that holds it in the module.

        A variable that has been bound to something else since is renamed after its environment.
        """
        statement = self.facts.declaring(name)
        if statement is None:
            return None
        variable = variable_of(statement)
        if variable is None or self._stands_for(variable, statement):
            yield self._define(statement)
            return variable
        renamed = f"{variable}_{name.replace('-', '_')}"
        while self.facts.latest(renamed) is not None:
            renamed += "_"
        yield self._define(statement, {variable: renamed})
        return renamed

    def _stands_for(self, name: str, statement: Statement) -> bool:
        return self.facts.latest(name) is statement or self._applied(name) is statement

    def _applied(self, name: str) -> Statement | None:
        """Give what declared the environment that a name got by ``draft.apply()``; the declaration has the edit."""
        statement, live = self.facts.latest(name), self.facts.value(name)
        match getattr(statement, "node", None):
            case ast.Assign(value=ast.Call(func=ast.Attribute(attr="apply"))) if isinstance(live, Environment):
                declared = self.facts.declaring(live.name)
                return None if declared is statement or declared is None or variable_of(declared) is None else declared
        return None

    def want_task(self, task: TaskTemplate) -> Steps:
        """Take in the statement that bound a task."""
        statement = self.facts.declaring(task.name)
        if statement is None:
            yield self.want(task.name.rpartition(".")[2], f"task {task.name!r}")
        else:
            yield self._define(statement)

    # --- definitions ---

    def _define(self, statement: Statement, renamed: Mapping[str, str] = MappingProxyType({})) -> Steps:
        if statement in self.placed:
            return
        self.placed.add(statement)
        now = self._amended(statement)
        names = now.names
        current = {name for name in names.binds - set(renamed) if self._stands_for(name, statement)}
        self.open.update(dict.fromkeys(current, statement))
        spelled = {**renamed, **(yield self._environment_variables(statement))}
        hints = {name for name in names.hints if self.facts.is_known(name)}
        reads = names.reads - names.binds - set(spelled)
        for read in sorted(reads):
            yield self.want(read, statement.label)
        if decorator_roots(statement.node):  # a task reads its annotations when it is bound
            for hint in sorted(hints - reads - set(self.open)):
                yield self.want(hint, statement.label)
        if calls_something(statement.node):
            yield self._before_a_call(reads)
        looked_up = yield self._looked_up(now)
        for name in current:
            self.open.pop(name, None)
        self.parts.append(marked(now, spelled, looked_up))
        self.later += [(name, statement.label) for name in sorted(names.defers | hints)]
        self.sets |= names.sets
        # what the statement bound once but no longer stands for is still to be found
        self.seen |= current
        for name in sorted(names.binds):
            yield self._configure(statement, name, renamed)

    def _amended(self, statement: Statement) -> Statement:
        """Give a statement as it is placed: with what drafts have changed of the environments that it declares."""
        now, edited = statement, [e for n in self.facts.declared_by(statement) if (e := self.edits.get(n)) is not None]
        if edited:
            from flyte_nb.notebook.amending import amended  # most kernels never edit one
        for env in edited:
            now, imports, notice = amended(now, env, self.namespace, self.edits)
            self.imports.update(imports)
            self.notices += [notice] if notice else []
        return now

    def _before_a_call(self, reads: Iterable[str]) -> Steps:
        """Take in what the functions that a statement may call read themselves, unless that waits for the statement."""
        waiting, met = deque(sorted(reads)), set(reads)
        while waiting:
            statement = self.facts.latest(waiting.popleft())
            if statement is None:
                continue
            for name in sorted(statement.names.defers - met):
                met.add(name)
                if self.facts.is_known(name) and not self._waits(name):
                    yield self.want(name, statement.label)
                    waiting.append(name)

    def _waits(self, name: str) -> bool:
        """Tell whether a name cannot be bound before a statement that is being taken in."""
        waiting, met = [name], {name}
        while waiting:
            one = waiting.pop()
            if one in self.open:
                return True
            statement = None if one in self.seen else self.facts.latest(one)
            fresh = (statement.names.reads - met) if statement is not None else ()
            met.update(fresh)
            waiting += fresh
        return False

    def _configure(self, statement: Statement, name: str, renamed: Mapping[str, str]) -> Steps:
        """Take in what configured the object that a statement bound to a name, now or when what it reads is there."""
        chosen = [c for c in self.facts.configuring(statement, name) if self._counts(c, statement)]
        if all(c.declared for c in chosen):
            chosen.sort(key=lambda c: c.statement.source)  # the order of declaring does not matter
        if self.facts.latest(name) is statement:
            yield self._add_methods(statement, name, {c.how.word for c in chosen})
        self.waiting += [(c.statement, renamed) for c in chosen]
        for one in list(self.waiting):
            if one in self.waiting and not any(map(self._waits, one[0].names.reads)):
                self.waiting.remove(one)
                self._refuse_secrets(one[0])
                yield self._define(*one)

    def _counts(self, configured: Configured, statement: Statement) -> bool:
        """Tell whether what configured an object has to be done again with the statement that bound it."""
        how = configured.how
        if configured.declared:
            return how.word != "task"  # tasks come along when they are wanted
        if any(name == "get_ipython" or self._is_shell(name) for name in configured.statement.names.reads):
            return False  # there is no shell where the module is loaded
        if isinstance(statement.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return how.registers
        return is_made_by_a_call(statement) and how.builds

    def _is_shell(self, name: str) -> bool:
        statement = self.facts.latest(name)
        return statement is not None and is_shell(statement.node)

    def _is_built_up(self, statement: Statement, name: str) -> bool:
        """Tell whether a call made an object that decorators have filled since, such as ``app = FastAPI()``."""
        return is_made_by_a_call(statement) and any(
            c.how.kind == "decorator" for c in self.facts.configuring(statement, name)
        )

    def _add_methods(self, statement: Statement, name: str, known: set[str]) -> Steps:
        """Give a class again the methods that it got by code which is not part of the slice."""
        cls = self.namespace.get(name)
        if not isinstance(cls, type) or not isinstance(statement.node, ast.ClassDef):
            return
        for attribute, function in added_methods(statement.node, self.facts.attributes(cls)).items():
            if attribute in known:
                continue
            own = function.__name__
            if self.facts.value(own) is function and self.facts.latest(own) is not None and own not in self.open:
                yield self.want(own, f"{name}.{attribute}")
                self.parts.append(f"{name}.{attribute} = {own}")
            else:
                yield self._keep(f"{name}.{attribute}", function, f"{statement.label}, class {name}")

    def _environment_variables(self, statement: Statement) -> Steps:
        """Spell a task's decorator after its own environment, where the variable means another one by now."""
        owners = [name.rpartition(".")[0] for name in self.facts.declared_by(statement) if "." in name]
        spelled: dict[str, str] = {}
        for root in sorted(decorator_roots(statement.node) if owners else ()):
            live = self.facts.value(root)
            env = live if isinstance(live, Environment) else getattr(live, "__self__", None)
            taken = live is MISSING or not decorates(statement.node, root, live)
            if taken or (isinstance(env, Environment) and env.name not in owners):
                variable = yield self.want_environment(owners[0])
                if variable is not None:
                    spelled[root] = f"{variable}.task" if is_bare(statement.node, root) else variable
        return spelled

    def _break_circle(self, name: str, reader: str) -> Steps:
        """Take in by value what a statement reads that, the other way round, reads what the statement binds."""
        statement = self.open[name]
        if isinstance(self.facts.value(name), type) or variable_of(statement) is None:
            raise SliceError(
                f"{reader} reads {name!r} of {statement.label} as it runs, which itself needs {reader} to have run: "
                "neither can come first. Run again, with its new text, the cell that does not need the other one"
            )
        if name not in self.captured:
            yield self._capture(name, statement.label)

    # --- values ---
    def _looked_up(self, statement: Statement) -> Steps:
        """Take in the environments that a statement looks up in the registry, as ``--depends-on`` does; give variables.

        Where the module is loaded nothing is registered.
        """
        found: dict[str, str] = {}
        for _, name in registry_calls(statement.node) if "current_registry" in statement.source else ():
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
        value = self.facts.value(name)
        if name in _KERNEL_NAMES:
            self.imports.add(_KERNEL_NAMES[name])
        elif name in _MODULE_NAMES or is_builtin(name, value):
            return
        elif value is not MISSING:
            yield self._capture(name, "the kernel")
        elif name not in self.sets:  # else a function binds it before it reads it, or fails here as in the kernel
            raise SliceError(f"{reader} reads {name!r}, which no cell has bound; {suggestion(name, self.log)}")

    def _capture(self, name: str, label: str) -> Steps:
        value = self.facts.value(name)
        if value is MISSING:
            raise SliceError(f"{name!r} of {label} no longer exists in the kernel; run its cell again")
        if isinstance(value, ModuleType):
            self.imports.add(f"import {value.__name__} as {name}")
            return
        self._note_secret(name, value, label)
        yield self._keep(name, value, label)

    def _keep(self, name: str, value: Any, label: str) -> Steps:
        """Take in a value by its pickle; ``name`` may be that of an attribute."""
        captured, used = capture(self.log, name, value, label)
        refuse_known(self.secrets, captured.data.decode("latin-1") if self.secrets else "", captured.what)
        self.facts.pickled(name, value, captured.data)
        for other in sorted(used):
            yield self.want(other, f"variable {name!r}")
        yield self._before_a_call(used)
        self.captured[name] = captured
        self.parts.append(f"{name} = _captured({name!r})  # {type(value).__name__}")

    def _refuse_secrets(self, statement: Statement) -> None:
        """Refuse a constant that is a secret."""
        if isinstance(statement.node, ast.Assign | ast.AnnAssign) and (texts := texts_in(statement.node)):
            for name in sorted(statement.names.binds):
                self._note_secret(name, self.facts.value(name), statement.label, texts)

    def _note_secret(self, name: str, value: Any, label: str, written: Collection[str] | None = None) -> None:
        notice = check_value(name, value, label, written)
        if notice is not None:
            self.notices.append(notice)
