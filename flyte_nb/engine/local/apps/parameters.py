"""Parameters: the values that an app receives, as texts: what is a file or a folder elsewhere is brought here first."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyte_nb.engine.local.apps.spec import Spec
from flyte_nb.environments.delayed_values import AppEndpoint, ArtifactValue, RunOutput, io_kind
from flyte_nb.environments.parameters import Parameter
from flyte_nb.errors import UsageError
from flyte_nb.io.places import is_local, last_part, local

__all__ = ["Materialised", "materialise"]

Say = Callable[[str], None]
Endpoint = Callable[[str], str | None]


@dataclass(frozen=True)
class Materialised:
    """The values of an app's parameters.

    Parameters
    ----------
    texts : dict of str
        By the parameter's name: the text, the path, or the address.
    variables : dict of str
        Those that are carried by an environment variable, by its name.
    """

    texts: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


async def materialise(spec: Spec, folder: Path, endpoint: Endpoint, say: Say) -> Materialised:
    """Give the values of an app's parameters.

    Parameters
    ----------
    spec : Spec
        The app.
    folder : Path
        Takes what is brought here.
    endpoint : callable
        Gives the address of an app that is served here; None where it is not.
    say : callable
        Takes what is not as it would be on a cluster.

    Raises
    ------
    UsageError
        When one has no value, or none that can be had here; it names the parameter.
    """
    found = Materialised()
    for parameter in spec.parameters:
        value = _value(spec, parameter, endpoint)
        if io_kind(type(value)) is not None:
            value = await _brought(parameter, value, folder, say)
        text = str(value)
        found.texts[str(parameter.name)] = text
        if parameter.env_var:
            found.variables[parameter.env_var] = text
    return found


def _value(spec: Spec, parameter: Parameter, endpoint: Endpoint) -> Any:
    """Give the value of a parameter: a text, a File or a Dir."""
    value, what = parameter.value, f"parameter {parameter.name!r} of app {spec.name!r}"
    if value is None:
        raise UsageError(
            f"{what} has no value; give one in its declaration, or with "
            f"flyte.with_servecontext(parameter_values={{{spec.name!r}: {{{parameter.name!r}: …}}}})"
        )
    if isinstance(value, ArtifactValue):
        raise UsageError(f"{what} is an artifact, which only a cluster has; give it a File, a Dir or a text here")
    if isinstance(value, AppEndpoint):
        address = endpoint(value.app_name)
        if address is None:
            raise UsageError(f"{what} is the address of app {value.app_name!r}, which is not served here; serve it "
                             "first, or add it to depends_on")  # fmt: skip
        return address
    if isinstance(value, RunOutput):
        value.validate()
        if spec.find_output is None:
            raise UsageError(f"{what} is the output of a run, and no runs are known here")
        return _plain(spec.find_output(value), what)
    return value


def _plain(value: Any, what: str) -> Any:
    if isinstance(value, str | int | float | bool | os.PathLike) or io_kind(type(value)) is not None:
        return value
    raise UsageError(f"{what} is the output of a run of type {type(value).__name__}; accepted: text, a number, a File "
                     "or a Dir")  # fmt: skip


async def _brought(parameter: Parameter, value: Any, folder: Path, say: Say) -> str:
    """Give the path of a file or a folder on this machine; what is elsewhere is downloaded, unless it shall not be."""
    path = str(value.path)
    if is_local(path) and not parameter.mount and not parameter.ignore_patterns:
        return str(local(path).absolute())
    if not is_local(path) and not parameter.download and not parameter.mount:
        return path
    target = folder / "parameters" / str(parameter.name) / (last_part(path) or "data")
    if parameter.mount:
        target = _mounted(parameter, path, folder)
        say(f"parameter {parameter.name!r} is not mounted at {parameter.mount} on this machine, but at {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(_copy, value, path, target, list(parameter.ignore_patterns))
    return str(target)


def _mounted(parameter: Parameter, path: str, folder: Path) -> Path:
    """Give where a mount lies: the same path, under a folder of the replica; a file into a folder keeps its name."""
    mount = str(parameter.mount)
    inner = os.path.normpath(f"/{mount}").lstrip("/")
    target = folder / "mounts" / inner
    return target / (last_part(path) or "data") if mount.endswith("/") and not _is_dir(parameter) else target


def _is_dir(parameter: Parameter) -> bool:
    return io_kind(type(parameter.value)) == "directory"


def _copy(value: Any, path: str, target: Path, ignored: list[str]) -> None:
    if io_kind(type(value)) == "directory":
        source = local(path) if is_local(path) else Path(value.download_sync(target.with_name(f".{target.name}")))
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*ignored), dirs_exist_ok=True)
    elif is_local(path):
        shutil.copy2(local(path), target)
    else:
        value.download_sync(target)
