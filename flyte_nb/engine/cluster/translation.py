"""Translation: a project as the environments that its module declares with the SDK, checked field by field."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from flyte_nb.changes import tasks_of
from flyte_nb.engine.cluster import matching, sdk
from flyte_nb.engine.cluster.environments import environments_as_sdk, task_as_sdk
from flyte_nb.engine.cluster.modules import digest_of, imported, module_name, written
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import mask
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeploymentError
from flyte_nb.notebook.module import write_file
from flyte_nb.notebook.sdk import spelled_module
from flyte_nb.plan.files import copy_files
from flyte_nb.plan.project import DATA, Project

__all__ = ["Translation", "translation_of"]

_importing = threading.Lock()  # an import changes the path of imports for its time


class Translation(NamedTuple):
    """What the SDK is given.

    Parameters
    ----------
    file : Path
        The module; its folder is the root of what is deployed.
    environments : dict
        The SDK's environments by name, each after those that it depends on.
    modules : dict
        What stands in the place of each module of this process: of ``__main__``, and of the local modules beside.
    declared : dict of str to Environment
        The same as they are declared.
    """

    file: Path
    environments: dict[str, Any]
    modules: dict[str, ModuleType]
    declared: dict[str, Environment]

    @property
    def root(self) -> Path:
        """The folder that is deployed."""
        return self.file.parent

    def files(self) -> list[Path]:
        """Give what lies in it, in order; what importing left there is not of it."""
        found = self.root.rglob("*")
        return sorted(p for p in found if p.is_file() and "__pycache__" not in p.relative_to(self.root).parts)

    def task(self, task: TaskTemplate) -> Any:
        """Give a task with its overrides as the SDK's.

        Raises
        ------
        DeploymentError
            When the installed version cannot express an override.
        """
        env = self.environments[task.environment.name]  # type: ignore[union-attr]  # it is one of these
        own = env.tasks[task.name]
        return task_as_sdk(task, env, getattr(own, "func", None)) if task.override_settings else own


def translation_of(project: Project, modules: Path) -> Translation:
    """Write a project's module, import it with the SDK, and insist that it declares what is declared here.

    Parameters
    ----------
    project : Project
        What is translated.
    modules : Path
        The folder of all modules.

    Raises
    ------
    InitializationError
        When the SDK is not installed.
    DeploymentError
        When the installed version cannot express a field, which the message names, or the module would say something
        else than what is declared.
    """
    sdk.installed()
    with _importing:
        declared = environments_as_sdk(project.environments)
        file = _written(project, modules)
        module, beside, found = imported(file, _beside(project))
    for env in project.environments:
        _match(env, declared[env.name], found.get(env.name))
    own = dict.fromkeys(("__main__", project.name), module) | beside
    named = {env.name: env for env in project.environments}
    return Translation(file, {name: found[name] for name in named}, own, named)


def _written(project: Project, modules: Path) -> Path:
    beside = {file.path: file.digest for file in project.files}
    beside |= {f"{DATA}/{value.name}.pkl": value.data.hex() for value in project.module.captured}
    digest = digest_of(project.source, beside)

    def fill(draft: Path) -> None:
        copy_files(project.files, draft)
        for file in project.files:
            if file.path.endswith(".py"):
                _respell(draft / file.path, file.path)
        for value in project.module.captured:
            (draft / DATA).mkdir(exist_ok=True)
            write_file(draft / DATA / f"{value.name}.pkl", value.data)

    return written(modules / digest[:16], module_name(project.name, digest), project.source, fill)


def _respell(file: Path, name: str) -> None:
    """Let a module of the project import the SDK where it imports this package."""
    before = file.read_text(encoding="utf-8")
    if "flyte_nb" in before and (source := spelled_module(before, name)) != before:
        file.chmod(0o600)
        write_file(file, source.encode())


def _beside(project: Project) -> set[str]:
    return {file.path.partition("/")[0].partition(".")[0] for file in project.files if file.path.endswith(".py")}


def _match(env: Environment, declared: Any, found: Any) -> None:
    """Refuse a module that would declare something else, so that a task in a cluster never has other settings."""
    if found is None:
        raise DeploymentError(f"environment {env.name!r}: its module does not declare it; run its cell again")
    for difference in matching.environment_differences(declared, found):
        raise _mismatch(env.name, difference)
    for name, difference in _task_differences(env, declared, found):
        raise _mismatch(name, difference)


def _task_differences(env: Environment, declared: Any, found: Any) -> Iterator[tuple[str, matching.Difference]]:
    for name in tasks_of(env):
        if name not in found.tasks:
            raise DeploymentError(f"task {name!r}: its module does not bind it to {env.name!r}; run its cell again")
        matching.adopt_words(declared.tasks[name], found.tasks[name])
        for difference in matching.task_differences(declared.tasks[name], found.tasks[name]):
            yield name, difference


def _mismatch(name: str, difference: matching.Difference) -> DeploymentError:
    field, ours, theirs = difference
    return DeploymentError(
        f"{name}: {field} is {mask(field, ours)} here, and {mask(field, theirs)} as the Flyte SDK "
        f"{sdk.version()} reads its source; write it into the declaration itself, not into a clone or by assignment"
    )
