"""From names to a module: the definitions a task needs, cut out of the cells, as one importable file.

For every name wanted, and for every name that those read in turn, the module holds the latest statement that bound it;
never a whole cell, so side effects stay in the kernel. What is not a plain definition travels by value, beside the file.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from flyte_nb import pickling
from flyte_nb.environments.declaration import Declaration
from flyte_nb.environments.task import TaskTemplate
from flyte_nb.errors import SliceError, suggestion
from flyte_nb.notebook.cells import CellLog, Statement

__all__ = ["Captured", "Module", "locate", "module_for"]

LIMIT = 10 * 1024 * 1024
FILE = "cells.py"
_MARK = re.compile(r"^# (In \[\d+\]), line (\d+)$")
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


@dataclass(frozen=True)
class Captured:
    """A value that travels beside the module because no plain definition gives it.

    Parameters
    ----------
    name : str
        The variable.
    data : bytes
        Its pickle.
    label : str
        The cell and line that bound it, or ``"the kernel"``.
    """

    name: str
    data: bytes = field(repr=False)
    label: str


@dataclass(frozen=True)
class Module:
    """The source of a generated module and the captured values beside it.

    Parameters
    ----------
    source : str
        Python, with a comment before each statement that tells its cell and line.
    captured : tuple of Captured
        What travels by value.
    """

    source: str
    captured: tuple[Captured, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the definitions and captured values, in hex; cell numbers do not count."""
        lines = (line for line in self.source.splitlines() if not _MARK.match(line))
        total = hashlib.sha256("\n".join(lines).encode())
        for value in self.captured:
            total.update(f"\0{value.name}\0".encode() + hashlib.sha256(value.data).digest())
        return total.hexdigest()

    def write(self, folder: Path) -> Path:
        """Write the module into ``folder``, private to the user, and give the path of the file.

        Each file is replaced in one step, so that a reader never sees half of it.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.captured:
            (folder / "captured").mkdir(mode=0o700, exist_ok=True)
        for value in self.captured:
            write_file(folder / "captured" / f"{value.name}.pkl", value.data)
        write_file(folder / FILE, self.source.encode())
        return folder / FILE


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step: beside it first, then renamed over it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def locate(source: str, line: int) -> tuple[str, int] | None:
    """Give the cell and the line in it for a line of a generated module, or None outside any statement."""
    lines = source.splitlines()
    for index in range(min(line, len(lines)) - 1, -1, -1):
        mark = _MARK.match(lines[index])
        if mark:
            return mark[1], int(mark[2]) + line - index - 2
    return None


def module_for(log: CellLog, wanted: Iterable[str], namespace: Mapping[str, Any]) -> Module:
    """Make the module that holds what is wanted and all that it reads.

    Parameters
    ----------
    log : CellLog
        What ran.
    wanted : iterable of str
        The names that whoever loads the module will use.
    namespace : mapping
        The live values of the kernel.

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
    for name in sorted(wanted):
        cut.want(name, "the task")
    return cut.module()


class _Slice:
    """Collects statements, imports and captured values, each before what reads it."""

    def __init__(self, log: CellLog, namespace: Mapping[str, Any]) -> None:
        self.log, self.namespace = log, namespace
        self.imports: dict[str, str] = {}
        self.parts: list[str] = []
        self.captured: dict[str, Captured] = {}
        self.seen: set[str] = set()
        self.placed: set[Statement] = set()
        self.later: list[tuple[str, str]] = []

    def module(self) -> Module:
        while self.later:
            name, reader = self.later.pop(0)
            self.want(name, reader)
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
            self.imports[statement.source] = statement.source
        elif is_definition(statement, self.namespace):
            self._define(statement)
        else:
            self._capture(name, statement.label)

    def _define(self, statement: Statement) -> None:
        if statement in self.placed:
            return
        self.placed.add(statement)
        for read in sorted(statement.reads - statement.binds):
            self.want(read, statement.label)
        self.parts.append(_marked(statement))
        self.later += [(name, statement.label) for name in sorted(statement.defers)]
        for name in sorted(statement.binds):
            self.seen.add(name)
            for more in sorted(self.log.configuring(name), key=lambda s: s.source):
                self._define(more)

    def _unlogged(self, name: str, reader: str) -> None:
        """Take in a name that no cell's statement bound: a builtin, one of IPython's, or one bound some other way."""
        if name in self.namespace and name not in _KERNEL_NAMES:
            value = self.namespace[name]
            if isinstance(value, ModuleType):
                self.imports[f"import {value.__name__} as {name}"] = name
            else:
                self._capture(name, "the kernel")
        elif name in _KERNEL_NAMES:
            self.imports[_KERNEL_NAMES[name]] = name
        elif not hasattr(builtins, name) and name not in ("__file__", "__name__"):
            raise SliceError(f"{reader} reads {name!r}, which no cell has bound; {suggestion(name, self.log)}")

    def _capture(self, name: str, label: str) -> None:
        if name not in self.namespace:
            raise SliceError(f"{name!r} of {label} no longer exists in the kernel; run its cell again")
        try:
            data, used = pickling.dumps(self.namespace[name], self.log)
        except Exception as error:  # a stranger's __reduce__ may raise anything
            raise SliceError(
                f"variable {name!r} of {label} ({type(self.namespace[name]).__name__}) cannot leave the kernel: {error}. "
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


def _marked(statement: Statement) -> str:
    return f"# {statement.cell.label}, line {statement.line}\n{statement.source}"


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
