"""to_flyte: what is declared here as objects of the real Flyte SDK, with its functions in a module."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flyte_nb.changes import tasks_of
from flyte_nb.engine.cluster import matching, sdk
from flyte_nb.engine.cluster.environments import environments_as_sdk, task_as_sdk
from flyte_nb.engine.cluster.modules import digest_of, imported, module_name, written
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import mask
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeploymentError, UsageTypeError
from flyte_nb.notebook.module import write_file
from flyte_nb.notebook.sdk import spelled_module
from flyte_nb.plan.files import copy_files
from flyte_nb.session import current_session
from flyte_nb.shipping import DATA, Project

__all__ = ["to_flyte"]


def to_flyte(declared: Environment | TaskTemplate) -> Any:
    """Give an environment, or a task with its overrides, as the object of the real Flyte SDK, for the SDK's own verbs.

    The functions are those of a module in a folder of its own: source that imports ``flyte`` alone, with the files that
    travel beside it. ``flyte.deploy`` finds it with ``flyte.init(root_dir=Path(env._declaring_file).parent)`` and
    ``copy_style="all"``.

    Parameters
    ----------
    declared : Environment or TaskTemplate
        In its newest declaration, with all that it depends on.

    Returns
    -------
    object
        The SDK's ``TaskEnvironment``, ``AppEnvironment``, … or task.

    Raises
    ------
    InitializationError
        When the SDK is not installed (the extra ``cluster``).
    DeploymentError
        When the installed version cannot express a field, which the message names; for a cycle; when the module would
        say something else than what is declared.
    SliceError
        For what cannot leave the kernel, and for what the SDK does not have.
    UsageTypeError
        For anything else than an environment or a task.
    """
    sdk.installed()
    if isinstance(declared, TaskTemplate):
        return _task(declared)
    if not isinstance(declared, Environment):
        raise UsageTypeError(f"flyte.to_flyte: given {declared!r:.80}; accepted: an environment, or a task of one")
    return _environments([declared])[declared.name]


def _task(task: TaskTemplate) -> Any:
    if task.environment is None:
        raise DeploymentError(f"task {task.name!r} belongs to no environment; make one with TaskEnvironment.from_task")
    env = _environments([task.environment])[task.environment.name]
    own = env.tasks[task.name]
    return task_as_sdk(task, env, getattr(own, "func", None)) if task.override_settings else own


def _environments(environments: Iterable[Environment]) -> dict[str, Any]:
    """Give environments, and what they depend on, as those that their module declares with the SDK."""
    project = current_session().shipping.for_sdk(environments)
    declared = environments_as_sdk(project.environments)
    found = imported(_written(project), _beside(project))[1]
    for env in project.environments:
        _match(env, declared[env.name], found.get(env.name))
    return found


def _written(project: Project) -> Path:
    beside = {file.path: file.digest for file in project.files}
    beside |= {f"{DATA}/{value.name}.pkl": value.data.hex() for value in project.module.captured}
    digest = digest_of(project.source, beside)
    folder = current_session().store.modules / digest[:16]

    def fill(draft: Path) -> None:
        copy_files(project.files, draft)
        for file in project.files:
            if file.path.endswith(".py"):
                _respell(draft / file.path, file.path)
        for value in project.module.captured:
            (draft / DATA).mkdir(exist_ok=True)
            write_file(draft / DATA / f"{value.name}.pkl", value.data)

    return written(folder, module_name(project.name, digest), project.source, fill)


def _respell(file: Path, name: str) -> None:
    """Let a module of the project import the SDK where it imports this package."""
    before = file.read_text(encoding="utf-8")
    if "flyte_nb" in before and (source := spelled_module(before, name)) != before:
        file.chmod(0o600)
        write_file(file, source.encode())


def _beside(project: Project) -> set[str]:
    return {file.path.partition("/")[0].partition(".")[0] for file in project.files if file.path.endswith(".py")}


def _match(env: Environment, declared: Any, found: Any) -> None:
    """Refuse a module that would declare something else, so that a task in a cluster never has other settings.

    Raises
    ------
    DeploymentError
        With the field, what is declared and what the module has.
    """
    if found is None:
        raise DeploymentError(f"environment {env.name!r}: its module does not declare it; run its cell again")
    for difference in matching.environment_differences(declared, found):
        raise _mismatch(env.name, difference)
    for name in tasks_of(env):
        if name not in found.tasks:
            raise DeploymentError(f"task {name!r}: its module does not bind it to {env.name!r}; run its cell again")
        matching.adopt_words(declared.tasks[name], found.tasks[name])
        for difference in matching.task_differences(declared.tasks[name], found.tasks[name]):
            raise _mismatch(name, difference)


def _mismatch(name: str, difference: matching.Difference) -> DeploymentError:
    field, ours, theirs = difference
    return DeploymentError(
        f"{name}: {field} is {mask(field, ours)} here, and {mask(field, theirs)} as the Flyte SDK "
        f"{sdk.version()} reads its source; write it into the declaration itself, not into a clone or by assignment"
    )
