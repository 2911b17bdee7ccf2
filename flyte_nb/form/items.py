"""Items: settings that hold several things, with one of them added or taken away."""

from __future__ import annotations

from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.secrets import Secret
from flyte_nb.errors import DeclarationValueError, UnknownNameError
from flyte_nb.notebook.rewriting import RESET

__all__ = [
    "listed",
    "with_dependency",
    "with_secret",
    "with_variable",
    "without_dependency",
    "without_secret",
    "without_variable",
]


def listed(secrets: Any) -> list[str | Secret]:
    """Give the items of ``secrets`` as a list."""
    return [] if secrets is None else list(secrets) if isinstance(secrets, list) else [secrets]


def with_variable(env: Environment, name: str, value: str) -> dict[str, str]:
    """Give the variables with one set.

    Raises
    ------
    DeclarationError
        Without a name.
    """
    if not name:
        raise DeclarationValueError("env_vars", "no name", "a name such as LOG_LEVEL")
    return {**(env.env_vars or {}), name: value}


def without_variable(env: Environment, name: str) -> Any:
    """Give the variables without one."""
    return {n: v for n, v in (env.env_vars or {}).items() if n != name} or RESET


def with_secret(env: Environment, key: str, group: str = "") -> list[str | Secret]:
    """Give the secrets with one more.

    Raises
    ------
    DeclarationError
        When it is there already, or no variable can be made of its name.
    """
    if not key:
        raise DeclarationValueError("secrets", "no key", "the name of a secret, such as api-key")
    added = Secret(key, group=group or None)
    there = [item if isinstance(item, Secret) else Secret(item) for item in listed(env.secrets)]
    if added in there:
        raise DeclarationValueError("secrets", repr(key), "a secret that is not there yet")
    return [*listed(env.secrets), added if group else key]


def without_secret(env: Environment, key: str, group: str = "") -> Any:
    """Give the secrets without those of a key and group."""
    kept = [item for item in listed(env.secrets) if _named(item) != (key, group)]
    return kept or RESET


def _named(item: str | Secret) -> tuple[str, str]:
    return (item.key, item.group or "") if isinstance(item, Secret) else (item, "")


def with_dependency(env: Environment, other: Environment) -> list[Environment]:
    """Give the dependencies with one more.

    Raises
    ------
    DeclarationError
        When it is there already, or the environment itself.
    """
    if other.name in [env.name, *(one.name for one in env.depends_on)]:
        raise DeclarationValueError("depends_on", repr(other.name), "another environment that is not there yet")
    return [*env.depends_on, other]


def without_dependency(env: Environment, name: str) -> Any:
    """Give the dependencies without one.

    Raises
    ------
    UnknownNameError
        When it is not there.
    """
    names = [one.name for one in env.depends_on]
    if name not in names:
        raise UnknownNameError("dependency", name, names)
    return [one for one in env.depends_on if one.name != name] or RESET
