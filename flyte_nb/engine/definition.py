"""Definition: how a worker process gets hold of a task."""

from __future__ import annotations

import functools
import os
import sys
import threading
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from flyte_nb import pickling
from flyte_nb.environments.base import Environment
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import SliceError, UsageError

__all__ = [
    "MAIN",
    "SCRIPT",
    "Definition",
    "definition_of",
    "holds",
    "import_of",
    "loading",
    "module_of",
    "refuse_while_loading",
    "tasks_in",
]

MAIN = "__main__"
SCRIPT = "__mp_main__"  # a script runs again under this name, so that its ``if __name__ == "__main__"`` does not

#: set in a worker while it executes a module, so that a script's own verbs do not run once more in it, in any thread
loading = threading.Event()


def refuse_while_loading(verb: str) -> None:
    """Refuse a verb that a module calls when it is merely loaded, which would go on for ever.

    Raises
    ------
    UsageError
        In a worker that loads its module.
    """
    if loading.is_set():
        raise UsageError(
            f'the script calls flyte.{verb} whenever it is imported; put the call under  if __name__ == "__main__":'
        )


@dataclass(frozen=True)
class Definition:
    """Where a worker finds a task: in a file that becomes its main module, in a module to import, or as a value.

    Parameters
    ----------
    path : Path, optional
        The file that becomes the worker's ``__main__``: a generated module, a bundle's, or a script.
    main : str
        The ``__name__`` that the file runs under.
    module : str
        The module that holds the task.
    pickled : bytes
        The task itself, when no module holds it (one made inside a function).
    folder : Path, optional
        The folder of a bundle, whose local modules the worker imports before all others.
    inside : bool
        Whether that folder is the worker's working directory as well, for it holds included files.
    values : tuple of str
        The values that travel beside the file: the name, the size and the cell of each, in words.
    """

    path: Path | None = None
    main: str = MAIN
    module: str = MAIN
    pickled: bytes = field(default=b"", repr=False)
    folder: Path | None = None
    inside: bool = False
    values: tuple[str, ...] = field(default=(), compare=False)

    def stamp(self) -> tuple[str, int, int]:
        """Give what changes when its file does: the path, the time in nanoseconds, the size in bytes."""
        module = sys.modules.get(self.module) if self.path is None else None
        file = str(self.path or getattr(module, "__file__", None) or "")
        try:
            found = os.stat(file)
        except OSError:
            return file, 0, 0
        return file, found.st_mtime_ns, found.st_size


def definition_of(task: TaskTemplate) -> Definition:
    """Say where a task outside a notebook's cells is found.

    Raises
    ------
    SliceError
        When it is in no module and cannot be pickled either.
    """
    name = task.__module__
    module = sys.modules.get(name)
    path = _script() if module is not None and module is sys.modules[MAIN] else None
    if module is not None and holds(module, task):
        if path is not None:
            return Definition(path, SCRIPT)
        if name != MAIN and find_spec(name) is not None:
            return Definition(module=name)
    try:
        data, _ = pickling.dumps(task, vars(sys.modules[MAIN]) if path else ())
    except Exception as error:  # a stranger's __reduce__ may raise anything
        raise SliceError(
            f"task {task.name!r} is defined inside a function and cannot travel: {error}. "
            "Define it at the top of its module"
        ) from None
    return Definition(path, SCRIPT, pickled=data)


def tasks_in(module: ModuleType) -> dict[str, TaskTemplate]:
    """Give the tasks of a module by their fully qualified names: those of its environments, and those it names."""
    values = list(vars(module).values())
    bound = [task for env in values if isinstance(env, TaskEnvironment) for task in env.tasks.values()]
    named = [value for value in values if isinstance(value, TaskTemplate)]
    return {task.name: task for task in [*bound, *named]}


def import_of(env: Environment) -> str | None:
    """Give the statement that imports an environment of a plain module; None for one of a cell, or of a function."""
    if env.place.in_cell:
        return None
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == env.place.file and name not in (MAIN, SCRIPT):
            held = [variable for variable, value in vars(module).items() if value is env]
            if held:
                return f"from {name} import {held[0]} as _{name.replace('.', '_')}_{held[0]}"
    return None


def holds(module: ModuleType, task: TaskTemplate) -> bool:
    """Tell whether another process that loads the module gets the task; not so for one made inside a function."""
    if any(value is task for value in vars(module).values()):
        return True
    is_local = "<locals>" in getattr(task, "func", type(task)).__qualname__
    return task.name in tasks_in(module) and not is_local


def module_of(name: str) -> ModuleType:
    """Give a module by its name, imported when need be."""
    return sys.modules.get(name) or import_module(name)


def _script() -> Path | None:
    """Give the file of the running script, if there is one: not in an interpreter or a kernel."""
    main = sys.modules[MAIN]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None:
        return None  # ``python -m`` and the kernel: their main module is not the user's
    return _existing(file)


@functools.cache
def _existing(file: str) -> Path | None:
    """Give the path of a file, looked for once: a script that runs is there."""
    return Path(file).absolute() if Path(file).is_file() else None
