"""Rebasing: what becomes of a draft when its environment is declared otherwise, and what both changed."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from flyte_nb.drafting.changing import Changing, Given
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import same
from flyte_nb.environments.editing import part_of
from flyte_nb.environments.merging import Contested, merged
from flyte_nb.errors import UnknownNameError
from flyte_nb.registry import process_registry

__all__ = ["Conflict", "Rebasing"]

R = TypeVar("R", bound="Rebasing")


class Conflict(NamedTuple):
    """A setting that the draft changes and that was declared otherwise since.

    Parameters
    ----------
    path : str
        The field, or the way to a part of it: ``"resources.memory"``.
    before : object
        What it was when the draft was made.
    mine : object
        What the draft makes of it.
    theirs : object
        What the newest declaration says.
    """

    path: str
    before: Any
    mine: Any
    theirs: Any


class Rebasing(Changing):
    """The part of a draft that follows what is declared.

    Parameters
    ----------
    env : Environment
        What is edited; it stays as it is.
    """

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        self.__dict__.update(_contested={})

    @property
    def stale(self) -> str:
        """Why the draft cannot be applied: the environment was declared otherwise since, or withdrawn; else empty."""
        newest = process_registry.get(self._env.name)
        if newest is None:
            return f"{self._env.name!r} is not declared any more"
        changed = [] if newest is self._env else self._env.diff(newest)
        if type(newest) is not type(self._env):
            return f"{self._env.name!r} is another kind of environment now, declared at {newest.place}"
        told = ", ".join(change.field for change in changed)
        return f"{self._env.name!r} was declared again at {newest.place}, with another {told}" if changed else ""

    @property
    def conflicts(self) -> list[Conflict]:
        """What the draft changes and the newest declaration says otherwise since: `keep` or `discard` each."""
        found = {**self._contested, **{c.path: c for c in self._merged(self._newest())[1]}}
        mine = {path: part_of(getattr(self._made, path.partition(".")[0]), path.split(".")[1:]) for path in found}
        return [
            Conflict(path, c.before, mine[path], c.theirs)
            for path, c in found.items()
            if path.partition(".")[0] in self._given and not same(mine[path], c.theirs)
        ]

    def keep(self: R, *paths: str) -> R:
        """Keep what the draft says where there are conflicts: in the given fields or parts, or in all.

        Raises
        ------
        UnknownNameError
            For what is no conflict, or when nothing of its name is declared any more.
        """
        there = [conflict.path for conflict in self.conflicts]
        if unknown := [path for path in paths if path not in there]:
            raise UnknownNameError("conflict of the draft", unknown[0], there)
        if self.stale:
            self.rebase()
        for path in paths or there:
            self._contested.pop(path, None)
        return self._tell()

    def _newest(self) -> Environment:
        newest = process_registry.newest(self._env)
        return newest if type(newest) is type(self._env) else self._env

    def _merged(self, newest: Environment) -> tuple[Given, list[Contested]]:
        """Give the changes as they are to be made on a newer declaration, and where that changed the same."""
        given, contested = dict(self._given), []
        for field in given if newest is not self._env else ():
            sides = getattr(self._env, field), getattr(self._made, field), getattr(newest, field)
            value, found = merged(field, *sides)
            contested += found
            if not same(value, sides[1]):
                given[field] = value
        return given, contested

    def rebase(self: R) -> R:
        """Make the same changes on the newest declaration of the environment.

        Where that changed other parts of the same field, both changes count; where it changed the same part, that of
        the draft does, and `conflicts` has it.

        Raises
        ------
        UnknownNameError
            When nothing of its name is declared any more.
        DeclarationError
            When the changes do not fit the newest declaration; the draft stays as it was.
        """
        newest = process_registry.find(self._env.name)
        given, contested = self._merged(newest) if type(newest) is type(self._env) else (dict(self._given), [])
        renewed = type(self)(newest)._take(given)
        kept = {path: c._replace(theirs=part_of(newest, path.split("."))) for path, c in self._contested.items()}
        kept.update((c.path, c) for c in contested)
        self.__dict__.update(_env=newest, _made=renewed._made, _given=given, _contested=kept)
        return self._tell()
