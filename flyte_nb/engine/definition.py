"""Definition: how a worker process gets hold of a task."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from flyte_nb import pickling
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import SliceError, UsageError

__all__ = ["MAIN", "SCRIPT", "Definition", "definition_of", "loading", "refuse_while_loading"]

MAIN = "__main__"
SCRIPT = "__mp_main__"  # a script runs again under this name, so that its ``if __name__ == "__main__"`` does not

#: set in a worker while it executes a module, so that a script's own verbs do not run once more in it
loading: ContextVar[bool] = ContextVar("loading", default=False)


def refuse_while_loading(verb: str) -> None:
    """Refuse a verb that a module calls when it is merely loaded, which would go on for ever.

    Raises
    ------
    UsageError
        In a worker that loads its module.
    """
    if loading.get():
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
    """

    path: Path | None = None
    main: str = MAIN
    module: str = MAIN
    pickled: bytes = field(default=b"", repr=False)


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
    if _holds(module, task):
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


def _holds(module: ModuleType | None, task: TaskTemplate) -> bool:
    values: dict[str, Any] = vars(module) if module is not None else {}
    return any(isinstance(value, TaskTemplate) and value.name == task.name for value in values.values())


def _script() -> Path | None:
    """Give the file of the running script, if there is one: not in an interpreter or a kernel."""
    main = sys.modules[MAIN]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None:
        return None  # ``python -m`` and the kernel: their main module is not the user's
    return Path(file).absolute() if Path(file).is_file() else None
