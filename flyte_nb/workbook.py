"""Workbook: the notebook of a session — which cells ran, where it lies, and the modules made of its definitions."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

from flyte_nb.changes import tasks_of
from flyte_nb.engine.definition import MAIN, definition_of
from flyte_nb.environments import place
from flyte_nb.environments.declaration import Declaration
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.notebook.cells import Cell, CellLog, Statement
from flyte_nb.notebook.location import Location, find_location, stated_location
from flyte_nb.notebook.module import Module
from flyte_nb.notebook.scripts import cells_run_by
from flyte_nb.notebook.shell import Running, Watch, line_in
from flyte_nb.notebook.slicer import Slicer
from flyte_nb.registry import Registry

__all__ = ["Workbook"]


class Workbook:
    """The cells of a kernel; outside one, the main module.

    Parameters
    ----------
    shell : InteractiveShell, optional
        The shell whose cells are meant; None outside IPython.
    registry : Registry
        What they declared.
    """

    def __init__(self, shell: Any, registry: Registry) -> None:
        self.shell, self._registry = shell, registry
        self.log = CellLog()
        #: gives the values of secrets that no module may hold
        self.secret_values: Callable[[], list[str]] = list
        #: the cell that runs now
        self.running: Running | None = None
        self._so_far: tuple[Running | None, int] = None, 0
        self._slicer = Slicer(self.log)
        self._noticed: set[str] = set()
        self._is_quiet = False
        self._ran: dict[str, tuple[Cell, str]] = {}
        self._newest: dict[str, Cell] = {}
        self._wrote_in: Running | None = None
        self._wrote: dict[str, list[tuple[int, str]]] = {}
        self._folder = Path.cwd()
        self._stated: Location | None = None
        if shell is not None:
            place.notebook_folder = lambda: str(self.location.folder)

    @property
    def namespace(self) -> dict[str, Any]:
        """The live values of the kernel, or of the main module."""
        return self.shell.user_ns if self.shell is not None else vars(sys.modules[MAIN])

    @property
    def location(self) -> Location:
        """Where the notebook is: what relative paths in its cells mean."""
        return self._stated or find_location(self.namespace, os.environ, self._folder)

    def state_location(self, path: Path) -> Location:
        """Take a person's word for where the notebook is: the path of its file, or of its folder.

        Raises
        ------
        UnknownNameError
            When there is no such file or folder.
        """
        self._stated = stated_location(path)
        return self._stated

    def module(self, **wanted: Any) -> Module:
        """Make the module of what is wanted, as `Slicer.module_for`; show its notices, each once.

        The statements of the running cell that are through count.
        """
        self._record_so_far()
        edits = {env.name: env for env in self._registry.values() if env.unwritten}
        if edits:  # a clone keeps what it inherited
            clones = [env for env in self._registry.values() if env.origin and env.origin.parent in edits]
            edits.update((env.name, env) for env in clones)
        module = self._slicer.module_for(self.namespace, secrets=self.secret_values(), edits=edits, **wanted)
        if not self._is_quiet:
            for notice in module.notices:
                if notice not in self._noticed:
                    print(f"notice: {notice}", file=sys.stderr)
            self._noticed.update(module.notices)
        return module

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Make modules without showing their notices: a view looks, and sends nothing."""
        before, self._is_quiet = self._is_quiet, True
        try:
            yield
        finally:
            self._is_quiet = before

    def holds(self, task: TaskTemplate) -> bool:
        """Tell whether a task is defined at the top of a cell."""
        is_local = "<locals>" in getattr(task, "func", type(task)).__qualname__
        return self.shell is not None and task.__module__ == MAIN and not is_local

    def defined(self, task: TaskTemplate) -> Container[str]:
        """Give the names of this process's main module that the process of a task will have, too."""
        if self.holds(task):
            self._record_so_far()
            return self.log
        return self.namespace if definition_of(task).path is not None else ()

    def cell_of(self, file: str) -> Cell | None:
        """Give the cell that IPython calls ``file``, the running one included."""
        if self.running is not None and self.running.cell.file == file:
            return self.running.cell
        return self._ran[file][0] if file in self._ran else None

    def edited_since(self, cell: Cell) -> Cell | None:
        """Give the latest run of the same cell, where its source was another one."""
        newest = self._newest.get(self._ran[cell.file][1]) if cell.file in self._ran else None
        return None if newest is None or newest.raw == cell.raw else newest

    def offer(self, text: str, replace: bool = False) -> None:
        """Put code into a new cell below the running one, or into that itself; a terminal prints it."""
        if hasattr(self.shell, "kernel"):
            self.shell.set_next_input(text, replace=replace)
        else:
            print(text)

    def run_here(self, source: str) -> bool:
        """Run a line of code as a part of the line that the running cell has reached; False where there is none."""
        line = None if self.running is None else line_in(self.running.cell.file)
        if self.running is None or line is None:
            return False
        file = self.running.cell.file
        if self._wrote_in is not self.running:
            self._wrote_in = self.running
            self._wrote.pop(file, None)  # what an earlier run of the cell wrote
        exec(compile("\n" * (line - 1) + source, file, "exec"), self.namespace)
        self._wrote.setdefault(file, []).append((line, source))
        return True

    def run_as_cell(self, source: str) -> bool:
        """Run code as a cell of its own, with a number; False where one runs already, or there is no shell.

        Raises
        ------
        Exception
            What the code raised; nothing of it counts then.
        """
        if self.shell is None or self.running is not None:
            return False
        self.shell.run_cell(source, store_history=True).raise_error()
        return True

    def _runs(self, statement: Statement) -> Iterator[Cell]:
        """Give the sources that a statement ran in its place."""
        yield from cells_run_by(self.shell, statement)
        cell = statement.cell
        for line, source in self._wrote.get(cell.file, ()):
            is_written = cell.source.lstrip("\n") == source  # it is what was written, and wrote nothing itself
            if statement.line <= line <= statement.end and not is_written:
                yield Cell("\n" * (line - 1) + source, cell.number, cell.file, cell.script)

    def record(self, running: Running, until: int | None) -> None:
        """Take in a cell that ran, up to the line that failed."""
        self._ran[running.cell.file] = running.cell, running.key
        self._newest[running.key] = running.cell
        self.log.record(
            running.cell,
            until,
            configurable=self._is_declared,
            declared=_declared_in(self._registry, running.cell.file),
            runs=self._runs,
            is_live=self.namespace.__contains__,
        )

    def _record_so_far(self) -> None:
        """Take in the statements of the running cell that are through, once for each line it has reached."""
        line = None if self.running is None else line_in(self.running.cell.file)
        if self.running is None or line is None:
            return
        running, reached = self._so_far
        if running is not self.running or reached != line:
            self._so_far = self.running, line
            self.record(self.running, line)

    def _is_declared(self, name: str) -> bool:
        return isinstance(self.namespace.get(name), Declaration)

    def catch_up(self, watch: Watch) -> None:
        """Take in the cells that ran before anyone watched; what bound no live name is taken to have failed."""
        for cell in watch.past():
            self._ran[cell.file] = cell, ""
            self.log.record(
                cell,
                only=lambda s: all(name in self.namespace for name in s.names.binds),
                configurable=self._is_declared,
                declared=_declared_in(self._registry, cell.file),
                runs=self._runs,
                is_live=self.namespace.__contains__,
            )


def _declared_in(registry: Registry, file: str) -> list[tuple[str, int]]:
    """List the environments and tasks that a cell's file declared, with their lines."""
    environments = [(env.name, env.place) for env in registry.values()]
    tasks = [(task.name, task.place) for env in registry.values() for task in tasks_of(env).values()]
    return [(name, place.line) for name, place in [*environments, *tasks] if place.file == file]
