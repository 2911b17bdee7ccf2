"""Provenance: whom an environment was cloned from, and where each of its settings comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from flyte_nb.environments.declaration import set_fields

if TYPE_CHECKING:
    from flyte_nb.environments.base import Environment

__all__ = ["How", "Origin", "Setting", "settings_of"]

How = Literal["set", "default", "inherited", "overridden", "reset"]


@dataclass(frozen=True)
class Origin:
    """What an environment remembers of its making by ``clone_with``.

    Parameters
    ----------
    parent : str
        The name of the environment that was cloned.
    overridden : frozenset of str
        The fields that were given other values.
    reset : frozenset of str
        The fields that went back to their defaults.
    before : Origin, optional
        The parent's own origin, where it was a clone, too.
    """

    parent: str
    overridden: frozenset[str] = frozenset()
    reset: frozenset[str] = frozenset()
    before: Origin | None = None

    def changed(self, field: str) -> Origin:
        """Give the origin of the same environment after one of its fields was changed in place."""
        return dataclasses.replace(self, overridden=self.overridden | {field}, reset=self.reset - {field})


class Setting(NamedTuple):
    """One setting of an environment and where it comes from.

    Parameters
    ----------
    field : str
        The name of the field; for what is no field, the name that was given.
    value : object
        Its value.
    how : {"set", "default", "inherited", "overridden", "reset"}
        How it came to that value.
    source : str
        The name of the environment that the value was given to, up the chain of clones.
    error : str
        Why the value is refused; empty where it is not.
    """

    field: str
    value: Any
    how: How
    source: str
    error: str = ""


def settings_of(env: Environment) -> list[Setting]:
    """List every setting of an environment, its name left out, with where each comes from."""
    given = {name for name, _ in set_fields(env)}
    fields = [f.name for f in dataclasses.fields(env) if f.init and f.compare and f.name != "name"]
    return [Setting(name, getattr(env, name), *_where(env, name, name in given)) for name in fields]


def _where(env: Environment, field: str, is_set: bool) -> tuple[How, str]:
    if env._origin is None:
        return ("set" if is_set else "default"), env.name
    if field in env._origin.overridden:
        return "overridden", env.name
    if field in env._origin.reset:
        return "reset", env.name
    source = env._origin.parent
    for origin in _chain(env._origin):
        source = origin.parent
        if origin.before is not None and field in origin.before.overridden | origin.before.reset:
            return "inherited", source
    return ("inherited" if is_set else "default"), source


def _chain(origin: Origin | None) -> Iterator[Origin]:
    while origin is not None:
        yield origin
        origin = origin.before
