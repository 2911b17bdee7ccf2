"""to_flyte: what is declared here as objects of the real Flyte SDK, with its functions in a module."""

from __future__ import annotations

from typing import Any

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.translation import Translation, translation_of
from flyte_nb.environments.base import Environment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeploymentError, UsageError, UsageTypeError
from flyte_nb.session import current_session

__all__ = ["to_flyte"]


def to_flyte(*declared: Environment | TaskTemplate) -> Any:
    """Give environments, or a task with its overrides, as objects of the real Flyte SDK, for the SDK's own verbs.

    The functions are those of a module in a folder of its own: source that imports ``flyte`` alone, with the files that
    travel beside it. ``flyte.deploy`` finds it with ``flyte.init(root_dir=Path(env._declaring_file).parent)`` and
    ``copy_style="all"``. Several environments share one module.

    Parameters
    ----------
    *declared : Environment or TaskTemplate
        One task, or one environment or more, in their newest declarations, with all that they depend on.

    Returns
    -------
    object
        The SDK's ``TaskEnvironment``, ``AppEnvironment``, … or task; for several environments a list of them.

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
    if len(declared) == 1 and isinstance(declared[0], TaskTemplate):
        return _task(declared[0])
    environments = [one for one in declared if isinstance(one, Environment)]
    for one in declared:
        if not isinstance(one, Environment):
            raise UsageTypeError(f"flyte.to_flyte: given {one!r:.80}; accepted: environments, or one task")
    if not environments:
        raise UsageError("nothing to translate: name one environment or more, or a task")
    found = _translation(*environments).environments
    made = [found[env.name] for env in environments]
    return made[0] if len(made) == 1 else made


def _task(task: TaskTemplate) -> Any:
    if task.environment is None:
        raise DeploymentError(f"task {task.name!r} belongs to no environment; make one with TaskEnvironment.from_task")
    return _translation(task.environment).task(task)


def _translation(*environments: Environment) -> Translation:
    session = current_session()
    return translation_of(session.shipping.for_sdk(environments), session.store.modules)
