"""Bundle: what a deployment ships under one version: a module, values and files beside it, and what is declared."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import stable_repr
from flyte_nb.environments.interface import EMPTY, NativeInterface, describe
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeploymentError
from flyte_nb.notebook.module import FILE, Captured, Module
from flyte_nb.plan.contents import Contents
from flyte_nb.plan.descriptions import descriptions
from flyte_nb.plan.files import MANIFEST, Shipped, copy_files
from flyte_nb.plan.seal import is_whole

__all__ = ["Bundle", "bundle_for", "names_of_tasks", "read_bundle", "rows_of"]

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True)
class Bundle:
    """What a deployment ships.

    Parameters
    ----------
    version : str
        From the content: the same definitions and declarations have the same version.
    module : Module
        The definitions of all the environments.
    environments : tuple of dict
        For each environment ``environment`` (its name), ``declaration``, ``tasks``, ``reads`` (what it is made of
        beside its tasks), ``files`` (those that it needs) and ``digest`` (of all that it is, whatever else the bundle
        holds), as JSON data. A task's row has ``reads``, too: each name that it reads, with a digest.
    files : tuple of Shipped
        The included files and the local modules, which lie beside the module as they lay beside the notebook.
    """

    version: str
    module: Module
    environments: tuple[dict[str, Any], ...]
    files: tuple[Shipped, ...] = ()

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise DeploymentError(
                f"version: given {self.version!r:.80}; accepted: letters, digits and . _ - + up to 100, "
                "beginning with a letter or a digit"
            )

    @cached_property
    def content(self) -> str:
        """SHA-256 of the definitions, declarations and files, in hex; their order does not count."""
        return _content(self.module, self.environments, self.files)

    @property
    def folder(self) -> str:
        """The name of its folder: another content has another, whatever the version is called."""
        digest = self.content[:12]
        return self.version if self.version == digest else f"{self.version}-{digest}"

    @property
    def named(self) -> bool:
        """Whether its version is a name that was given, rather than made from the content."""
        return self.version != self.content[:12]

    def write(self, folder: Path, tell: Callable[[str], None] = lambda step: None) -> Path:
        """Write the bundle as a folder under ``folder``, whole or not at all, and give its path.

        A bundle of the same content that is there already is left as it is, unless it was edited since.

        Parameters
        ----------
        folder : Path
            The folder of all bundles.
        tell : callable
            Hears what has just been written.
        """
        home, manifest = folder / self.folder, self.manifest()
        if is_whole(home, like=manifest):
            return home
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder, prefix=f".{self.folder}."))
        try:
            self.module.write(draft)
            tell("the module is written")
            copy_files(self.files, draft)
            tell("the files are copied")
            (draft / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True))
            tell("the manifest is written")
            if home.exists() and not is_whole(home, like=manifest):  # it was edited; what runs from it goes on
                os.rename(home, tempfile.mkdtemp(dir=folder, prefix=f".{self.folder}.edited."))
            os.rename(draft, home)
        except OSError:
            if not is_whole(home, like=manifest):  # another process may have written the same meanwhile
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return home

    def manifest(self) -> dict[str, Any]:
        """Give the bundle's table of contents as JSON data."""
        return {
            "version": self.version,
            "digest": self.module.digest,
            "parts": {
                FILE: hashlib.sha256(self.module.source.encode()).hexdigest(),
                **{f"captured/{v.name}.pkl": hashlib.sha256(v.data).hexdigest() for v in self.module.captured},
            },
            "environments": list(self.environments),
            "files": [file.row() for file in self.files],
        }


def bundle_for(
    environments: Iterable[Environment],
    module: Module,
    version: str | None = None,
    files: Iterable[Shipped] = (),
    policy: Callable[[TaskTemplate], str] = lambda task: "",
    included: Mapping[str, Sequence[Shipped]] = MappingProxyType({}),
    variables: Mapping[str, str] = MappingProxyType({}),
    used: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Bundle:
    """Make the bundle of some environments, in the order given.

    Parameters
    ----------
    environments : iterable of Environment
        What is deployed.
    module : Module
        The definitions they need.
    version : str, optional
        A name for the version in the place of the one from the content.
    files : iterable of Shipped
        What lies beside the module.
    policy : callable
        Gives what a task's settings ask of an engine, as JSON; empty for nothing.
    included : mapping of str to sequence of Shipped
        For each environment, those of the files that it includes.
    variables : mapping of str to str
        For environments whose declaration does not tell their name, a variable that it binds.
    used : mapping of str to sequence of str
        For environments that use definitions which they do not name, those.

    Raises
    ------
    DeploymentError
        For a version that cannot be the name of a folder.
    """
    files = tuple(files)
    contents = Contents(module, files, included, variables, used)
    rows = tuple(_row(env, contents, policy) for env in environments)
    if version is None:
        version = _content(module, rows, files)[:12]
    return Bundle(version, module, rows, files)


def _row(env: Environment, contents: Contents, policy: Callable[[TaskTemplate], str]) -> dict[str, Any]:
    tasks = {
        name: {**task_row(task, policy(task)), "reads": contents.task_reads(env, name)}
        for name, task in sorted(_tasks(env).items())
    }
    row = {
        "environment": env.name,
        "declaration": env.to_dict(),
        "tasks": tasks,
        "reads": contents.reads(env, tasks),
        "files": contents.files(env, tasks),
    }
    return {**row, "digest": contents.digest(row)}


def read_bundle(home: Path) -> tuple[Module, dict[str, str]]:
    """Read the module of a bundle that was written, and the digests of the files beside it.

    Raises
    ------
    DeploymentError
        When it is not there any more.
    """
    try:
        captured = sorted((home / "captured").glob("*.pkl"))
        values = tuple(Captured(path.stem, path.read_bytes(), "") for path in captured)
        module = Module((home / FILE).read_text(), values)
        rows = json.loads((home / MANIFEST).read_text()).get("files", [])
    except (OSError, ValueError) as error:
        raise DeploymentError(f"the bundle {home} cannot be read: {error}; deploy again") from None
    return module, {row["path"]: row["digest"] for row in rows}


def names_of_tasks(home: Path) -> list[str]:
    """Name the tasks of a bundle that was written, of all its environments; none when it is not there any more."""
    return [name for row in rows_of(home).values() for name in row["tasks"]]


def rows_of(home: Path) -> dict[str, dict[str, Any]]:
    """Give the rows of the environments of a bundle that was written; none when it is not there any more."""
    try:
        rows = json.loads((home / MANIFEST).read_text())["environments"]
    except (OSError, ValueError):
        return {}
    return {row["environment"]: row for row in rows}


def _content(module: Module, rows: Iterable[dict[str, Any]], files: Iterable[Shipped]) -> str:
    beside = sorted((file.path, file.digest) for file in files)
    parts: list[Any] = [
        module.digest,
        sorted(rows, key=lambda row: str(row["environment"])),
        *([beside] if beside else []),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tasks(env: Environment) -> dict[str, TaskTemplate]:
    return env.tasks if isinstance(env, TaskEnvironment) else {}


def task_row(task: TaskTemplate, policy: str = "") -> dict[str, Any]:
    """Describe a task as JSON data: its inputs with type and default, its outputs, its description, its policy."""
    interface: NativeInterface = task.interface
    told = descriptions(interface.docstring)
    return {
        "inputs": [
            {
                "name": name,
                "type": describe(kind),
                **({} if default is EMPTY else {"default": stable_repr(default)}),
                **({"help": told[name]} if name in told else {}),
            }
            for name, (kind, default) in interface.inputs.items()
        ],
        "outputs": {name: describe(kind) for name, kind in interface.outputs.items()},
        "interface": str(interface),
        "description": interface.docstring,
        **({"policy": policy} if policy else {}),
    }
