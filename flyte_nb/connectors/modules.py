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

__all__ = ["load_modules"]


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


def _loaded(name: str) -> ModuleType:
    try:
        return _from_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what a module does when it is imported is a stranger's, sys.exit included
        trace = tracebacks.told(tracebacks.frames(error.__traceback__))
        text = f"the module {name!r} cannot be imported: {type(error).__name__}: {error}"
        raise ModuleLoadError("\n".join(filter(None, (text, trace)))) from error


def _from_file(path: Path) -> ModuleType:
    """Import a file under its own name; under its whole path where that name is taken, as for cells."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    name = path.stem if path.stem not in sys.modules else str(path.absolute()).replace(".", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
