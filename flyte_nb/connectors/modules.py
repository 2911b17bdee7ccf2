"""Modules: the connectors that a server is told to serve are in modules, which register them when they are imported."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from flyte_nb import tracebacks
from flyte_nb.errors import ModuleLoadError

__all__ = ["load_cells", "load_modules"]


def load_modules(names: Iterable[str]) -> list[ModuleType]:
    """Import modules that register connectors.

    Parameters
    ----------
    names : iterable of str
        Dotted names, looked for in the working directory, too; or paths of Python files.

    Raises
    ------
    ModuleLoadError
        When one cannot be imported, with the lines of it that led to that.
    """
    if os.getcwd() not in map(os.path.realpath, sys.path):
        sys.path.append(os.getcwd())
    return [_loaded(name) for name in names]


def load_cells(path: str) -> ModuleType:
    """Execute the module of a notebook's cells as ``__main__``, which values that travel beside it refer to.

    Raises
    ------
    ModuleLoadError
        When it fails, with the lines of it that led to that.
    """
    return _loaded(path, "__main__")


def _loaded(name: str, known_as: str = "") -> ModuleType:
    try:
        return _from_file(Path(name), known_as) if name.endswith(".py") else importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what a module does when it is imported is a stranger's, sys.exit included
        trace = tracebacks.told(tracebacks.frames(error.__traceback__))
        text = f"the module {name!r} cannot be imported: {type(error).__name__}: {error}"
        raise ModuleLoadError("\n".join(filter(None, (text, trace)))) from error


def _from_file(path: Path, known_as: str) -> ModuleType:
    """Import a file under a name: its own, or its whole path where another module has that."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    name = known_as or (path.stem if path.stem not in sys.modules else str(path.absolute()).replace(".", "_"))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
