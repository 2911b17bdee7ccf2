"""A kernel small enough to run a hundred times a second: cells are executed, logged and kept in a registry."""

import __future__

import sys
from types import ModuleType

import pytest
from flyte_nb.changes import tasks_of
from flyte_nb.environments.base import listen
from flyte_nb.environments.declaration import Declaration
from flyte_nb.notebook.cells import Cell, CellLog
from flyte_nb.notebook.slicing import module_for
from flyte_nb.registry import Registry, Source


class Kernel:
    def __init__(self):
        self.main = ModuleType("__main__")
        self.namespace = vars(self.main)
        self.log, self.registry = CellLog(), Registry()
        self.number = 0

    def cell(self, source, fails=False, key=None):
        self.number += 1
        cell = Cell(source, self.number, f"<ipython-input-{self.number}-0>")
        flags = sum(getattr(__future__, name).compiler_flag for name in self.log.futures)
        self.registry.begin(Source(key or source, cell.label, is_cell=True))
        until = None
        try:
            exec(compile(source, cell.file, "exec", flags, dont_inherit=True), self.namespace)
            self.registry.commit()
        except Exception as error:
            self.registry.rollback()
            until = next(line for file, line in _frames(error) if file == cell.file)
            if not fails:
                raise
        self.log.record(cell, until, configurable=self._is_declared, declared=self._declared_in(cell.file))

    def _is_declared(self, name):
        return isinstance(self.namespace.get(name), Declaration)

    def _declared_in(self, file):
        environments = [(env.name, env.place) for env in self.registry.values()]
        tasks = [(task.name, task.place) for env in self.registry.values() for task in tasks_of(env).values()]
        return [(name, place.line) for name, place in [*environments, *tasks] if place.file == file]

    def slice(self, *names, **wanted):
        return module_for(self.log, self.namespace, names, **wanted)

    def task(self, name):
        return module_for(self.log, self.namespace, tasks=[self.registry.find_task(name)])


def _frames(error):
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


@pytest.fixture
def kernel(monkeypatch):
    made = Kernel()
    monkeypatch.setitem(sys.modules, "__main__", made.main)
    before = listen(made.registry)
    yield made
    listen(before)


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Execute a module as a worker does, and give its names."""
    count = iter(range(1000))

    def load(module):
        path = module.write(tmp_path / str(next(count)))
        main = ModuleType("__main__")
        main.__file__ = str(path)
        kernel_main, before = sys.modules["__main__"], listen(None)
        sys.modules["__main__"] = main
        try:
            exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), vars(main))
        finally:
            sys.modules["__main__"] = kernel_main
            listen(before)
        return main

    return load
