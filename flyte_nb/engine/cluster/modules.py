"""Modules for the Flyte SDK: each in a folder of its own, which is the root of what is deployed."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from flyte_nb.engine.cluster import sdk
from flyte_nb.errors import DeploymentError
from flyte_nb.notebook.module import locate

__all__ = ["imported", "module_name", "written"]


def module_name(stem: str, digest: str) -> str:
    """Give a module's name: readable, importable, and another one for another content."""
    return f"{re.sub(r'[^0-9A-Za-z_]+', '_', stem).strip('_').lower() or 'module'}_{digest[:12]}"


def written(folder: Path, name: str, source: str, fill: Callable[[Path], None]) -> Path:
    """Write a module into ``folder``, whole or not at all; a folder that is there already is taken as it is.

    Parameters
    ----------
    folder : Path
        The folder of the module; its name says its content.
    name : str
        The module.
    source : str
        Its text.
    fill : callable
        Writes what lies beside it.
    """
    file = folder / f"{name}.py"
    if file.is_file():
        return file
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        (draft / file.name).write_text(source, encoding="utf-8")
        fill(draft)
        os.rename(draft, folder)
    except OSError:
        if not file.is_file():  # another process may have written the same meanwhile
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return file


def digest_of(source: str, beside: Mapping[str, str]) -> str:
    """Give the digest of a module and of what lies beside it, by path."""
    parts = [hashlib.sha256(source.encode()).hexdigest(), *(f"{path} {beside[path]}" for path in sorted(beside))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def imported(file: Path, beside: set[str]) -> tuple[ModuleType, dict[str, ModuleType], dict[str, Any]]:
    """Import a module, once; give it, the modules beside it, and the SDK's environments that it declares, by name.

    Whether it registers connectors is noted in it, as ``__connectors__``.

    Parameters
    ----------
    file : Path
        The module.
    beside : set of str
        The top-level names of the modules beside it, which are those that it shall import.

    Raises
    ------
    DeploymentError
        When it cannot be imported with the installed SDK; the message names the cell and the line.
    """
    if file.stem in sys.modules:
        module = sys.modules[file.stem]
        return module, module.__dict__["__beside__"], dict(module.__dict__["__environments__"])
    known: list[Any] = sdk.find("flyte._environment.list_loaded_environments")()
    before, spec = len(known), importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:  # a name that ends in .py always has both
        raise DeploymentError(f"{file} is no module")
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    try:
        with _first(file.parent, beside) as own, _connectors_apart(module):
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[file.stem], known[before:]
        if not isinstance(error, Exception):
            raise
        raise DeploymentError(_told(error, file)) from error
    module.__dict__["__beside__"] = own
    found = module.__dict__["__environments__"] = {env.name: env for env in known[before:]}
    for env in found.values():
        env._declaring_file = str(file)  # what it includes lies beside the module
    return module, own, dict(found)


@contextmanager
def _first(folder: Path, names: set[str]) -> Iterator[dict[str, ModuleType]]:
    """Let modules of some names be imported from a folder, in the place of those that were before; give them."""

    def taken() -> dict[str, ModuleType]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in names}

    before, own = taken(), dict[str, ModuleType]()
    sys.path.insert(0, str(folder))
    try:
        yield own
    finally:
        sys.path.remove(str(folder))
        own.update(taken())
        sys.modules.update(before)


@contextmanager
def _connectors_apart(module: ModuleType) -> Iterator[None]:
    """Let a module register connectors that another one registers, too, as it was before a cell changed it.

    Nobody serves them in this process: they are forgotten here.
    """
    before = _registered()
    try:
        yield
    finally:
        known = _registered()
        module.__dict__["__connectors__"] = known[:1] != before[:1]
        if known:
            for registry, kept in zip(_registries(), before or ({}, {}), strict=True):
                registry.clear()
                registry.update(kept)


def _registered() -> tuple[dict[Any, Any], ...]:
    """Copy what connectors are registered, and what is told of them; nothing where none can be."""
    return tuple(copy.copy(registry) for registry in _registries())


def _registries() -> tuple[dict[Any, Any], ...]:
    loaded = sys.modules.get("flyte.connectors._connector")
    registry = getattr(loaded, "ConnectorRegistry", None)
    return () if registry is None else (registry._REGISTRY, registry._METADATA)


def _told(error: Exception, file: Path) -> str:
    """Say what the SDK did not take, and where it is written."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        lines += [trace.tb_lineno] if trace.tb_frame.f_code.co_filename == str(file) else []
        trace = trace.tb_next
    place = locate(file.read_text(encoding="utf-8"), lines[-1]) if lines else None
    script = f"{file.stem.rpartition('_')[0]}.py"  # the lines of a script stay where they are
    where = f"{place[0]}, line {place[1]}" if place else f"{script}, line {lines[-1]}" if lines else script
    told = " ".join(str(error).split())
    return f"{where}: the installed Flyte SDK {sdk.version()} does not take it: {type(error).__name__}: {told:.300}"
