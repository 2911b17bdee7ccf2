"""Deployers: what deploys environments of a type of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flyte_nb.context.records import SerializationContext
from flyte_nb.environments.base import Environment
from flyte_nb.errors import UsageTypeError

__all__ = ["DeployedEnvironment", "Deployer", "DeploymentContext", "get_deployer", "register_deployer"]


@dataclass
class DeploymentContext:
    """What a deployer is told.

    Parameters
    ----------
    environment : Environment
        What it deploys: the newest declaration.
    serialization_context : SerializationContext
        The ``version``, and as ``root_dir`` the folder of the bundle; in a dry run there is none yet.
    dryrun : bool
        Whether it shall only say what it would do.
    """

    environment: Environment
    serialization_context: SerializationContext
    dryrun: bool = False


class DeployedEnvironment(Protocol):
    """What a deployer gives: an environment as it is deployed."""

    def get_name(self) -> str:
        """Give the name of the environment."""

    def env_repr(self) -> list[tuple[str, ...]]:
        """Describe the environment, as labels and values."""

    def table_repr(self) -> list[list[tuple[str, ...]]]:
        """Describe what was deployed of it, a list of labels and values for each."""

    def summary_repr(self) -> str:
        """Describe it in a line."""


class Deployer(Protocol):
    """Deploys environments of one type."""

    async def __call__(self, context: DeploymentContext) -> DeployedEnvironment:
        """Deploy the environment of a context; what it raises fails the deployment."""


_deployers: dict[type[Environment], Deployer] = {}


def register_deployer(env_type: type[Environment], deployer: Deployer) -> None:
    """Have environments of a type deployed by a function of one's own.

    It is called in each deployment that changes such an environment, after those that it depends on. When it raises,
    neither the environment nor any that depends on it, or it on them, becomes current.

    Parameters
    ----------
    env_type : type of Environment
        The type, and all that are derived from it and have no deployer of their own.
    deployer : async callable
        Takes a `DeploymentContext`. It takes the place of the one registered before.

    Raises
    ------
    UsageTypeError
        For something that is not a type of environment, or cannot be called.
    """
    if not (isinstance(env_type, type) and issubclass(env_type, Environment)):
        raise UsageTypeError(f"register_deployer: given {env_type!r:.80}; accepted: a class derived from Environment")
    if not callable(deployer):
        raise UsageTypeError(f"register_deployer: given {deployer!r:.80}; accepted: an async function of one context")
    _deployers[env_type] = deployer


def find_deployer(env_type: type[Environment]) -> Deployer | None:
    """Give the deployer that is registered for a type, or for the nearest that it is derived from; None for none."""
    return next((_deployers[kind] for kind in env_type.__mro__ if kind in _deployers), None)


def get_deployer(env_type: type[Environment]) -> Deployer:
    """Give the deployer that is registered for a type, or for the nearest that it is derived from.

    Raises
    ------
    ValueError
        When there is none: its environments are deployed as all others are.
    """
    found = find_deployer(env_type)
    if found is None:
        raise ValueError(f"no deployer is registered for {env_type.__name__}; register one: register_deployer")
    return found
