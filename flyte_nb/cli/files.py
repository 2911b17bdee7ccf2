"""Files: the environments that a Python file declares, for the verbs that take a notebook or a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from flyte_nb.engine.definition import SCRIPT, loading
from flyte_nb.environments.base import Environment
from flyte_nb.errors import UsageError, suggestion
from flyte_nb.session import current_session

__all__ = ["declared_in"]


def declared_in(file: Path, names: Sequence[str], prog: str) -> list[Environment]:
    """Load a file and give the environments that it declares, or those of them that are named.

    Parameters
    ----------
    file : Path
        The file, as it was given.
    names : sequence of str
        What is wanted; all that the file declares by default.
    prog : str
        The command, for messages.

    Raises
    ------
    UsageError
        When there is no such file, or it declares nothing.
    UnknownNameError
        For a name that is not declared.
    """
    path = file.absolute()
    if not path.is_file():
        known = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UsageError(f"{prog}: there is no file {str(file)!r}; {suggestion(path.name, known)}")
    registry = current_session().registry
    _load(path, prog)
    declared = [env for env in registry.values() if env.place.file == str(path)]
    wanted = [registry.find(name) for name in names] or declared
    if not wanted:
        raise UsageError(f"{prog}: {file} declares no environment")
    return wanted


def _load(path: Path, prog: str) -> None:
    """Execute a file as a module: what is under ``if __name__ == "__main__"`` does not run, verbs are refused."""
    sys.path.insert(0, str(path.parent))
    spec = spec_from_file_location(SCRIPT, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{prog}: {path} is no Python file")
    module = sys.modules[SCRIPT] = module_from_spec(spec)
    loading.set()
    try:
        spec.loader.exec_module(module)
    finally:
        loading.clear()
