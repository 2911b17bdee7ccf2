"""Changing: fields of an environment given other values in a draft, each checked; steps undone and made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import Change
from flyte_nb.environments.editing import editable, part_of, with_part, with_values
from flyte_nb.errors import UnknownNameError, UsageError, suggestion
from flyte_nb.history import History
from flyte_nb.notebook.rewriting import RESET

__all__ = ["Changing", "Given"]

Given = dict[str, Any]
D = TypeVar("D", bound="Changing")


class Changing:
    """The part of a draft that changes its fields: each change is checked, and a step that can be undone.

    Parameters
    ----------
    env : Environment
        What is edited; it stays as it is.
    """

    def __init__(self, env: Environment) -> None:
        self.__dict__.update(_env=env, _made=env, _given={}, _observers=[], _history=History())

    # --- changing ---

    def set(self: D, path: str, value: Any) -> D:
        """Change a field, or a part of one: ``set("resources.memory", "8Gi")``, ``set("env_vars.LEVEL", "debug")``.

        Parameters
        ----------
        path : str
            The field, and the way to a part of it.
        value : object
            The new value.

        Raises
        ------
        DeclarationError
            When the value is not what the field accepts; the draft stays as it was.
        UnknownNameError
            For a field that is not there, with the nearest one.
        """
        field, *parts = self._known(path)
        return self.update(**{field: with_part(self._made, field, parts, value) if parts else value})

    def reset(self: D, *paths: str) -> D:
        """Let fields, or parts of them, go back to their defaults; a variable of ``env_vars`` goes away.

        Raises
        ------
        DeclarationError
            When one has no default; the draft stays as it was.
        UnknownNameError
            For a field that is not there, with the nearest one.
        """
        given = dict(self._given)
        for path in paths:
            field, *parts = self._known(path)
            given[field] = with_part(self._made, field, parts, None, reset=True) if parts else RESET
        return self._take(given)

    def update(self: D, **values: Any) -> D:
        """Change several fields at once, so that they are checked together.

        Raises
        ------
        DeclarationError
            When a value is not what its field accepts; the draft stays as it was.
        UnknownNameError
            For a field that is not there, with the nearest one.
        """
        return self.revise("", values)

    def revise(self: D, of: str, values: Given) -> D:
        """Change fields as `update` does; revisions of the same thing, one after the other, are one step to undo.

        Parameters
        ----------
        of : str
            What is revised, such as a line that somebody types in.
        values : dict
            The values by field.

        Raises
        ------
        DeclarationError
            When a value is not what its field accepts; the draft stays as it was.
        UnknownNameError
            For a field that is not there, with the nearest one.
        """
        for name in values:
            self._known(name)
        return self._take({**self._given, **values}, of)

    def discard(self: D, *paths: str) -> D:
        """Take changes back: those of the given fields, or parts of them, or all.

        Raises
        ------
        UnknownNameError
            For a field that is not there, with the nearest one.
        """
        given = dict(self._given) if paths else {}
        for path in paths:
            field, *parts = self._known(path)
            if not parts:
                given.pop(field, None)
            elif field in given:
                declared = part_of(getattr(self._env, field), parts)
                given[field] = with_part(self._made, field, parts, declared, reset=declared is None)
        return self._take(given)

    def undo(self: D) -> D:
        """Go back a step.

        Raises
        ------
        UsageError
            When there is none.
        """
        if not self.can_undo:
            raise UsageError(f"the draft of {self._env.name!r} has nothing to undo")
        return self._take(self._history.past, step=self._history.back)

    def redo(self: D) -> D:
        """Make again what was undone last.

        Raises
        ------
        UsageError
            When nothing was, or something else was changed since.
        """
        if not self.can_redo:
            raise UsageError(f"the draft of {self._env.name!r} has nothing to redo")
        return self._take(self._history.future, step=self._history.forth)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to go back."""
        return self._history.can_go_back  # type: ignore[no-any-return]

    @property
    def can_redo(self) -> bool:
        """Whether a step was undone."""
        return self._history.can_go_forth  # type: ignore[no-any-return]

    def _known(self, path: str) -> list[str]:
        parts = path.split(".")
        if parts[0] == "name":
            raise UsageError(
                f"the name of {self._env.name!r} cannot be changed, as its tasks carry it; "
                f"accepted: a clone of another name, flyte.preview_clone(env, NAME)"
            )
        if parts[0] not in editable(self._env):
            raise UnknownNameError(f"setting of {type(self._env).__name__}", parts[0], editable(self._env))
        return parts

    def _take(self: D, given: Given, of: str = "", step: Callable[[Given], Any] | None = None) -> D:
        """Take changes in the place of those there are; nothing is otherwise when they are refused."""
        values = {name: value for name, value in given.items() if value is not RESET}
        made = with_values(self._env, values, [name for name, value in given.items() if value is RESET])
        if step is None:
            self._history.left(self._given, of)
        else:
            step(self._given)
        self.__dict__.update(_given=given, _made=made)
        return self._tell()

    def _tell(self: D) -> D:
        for observer in list(self._observers):
            observer(self)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in editable(self._env) and name != "name":
            raise UnknownNameError(f"setting of {type(self._env).__name__}", name, editable(self._env))
        self.set(name, value)

    def __getattr__(self, name: str) -> Any:
        made = self.__dict__.get("_made")
        if made is None or name.startswith("_") or name not in {*editable(made), "name"}:
            raise AttributeError(f"a draft has no attribute {name!r}; {self._nearest(name)}")
        return getattr(made, name)

    def _nearest(self, name: str) -> str:
        return suggestion(name, editable(self.__dict__["_env"])) if "_env" in self.__dict__ else ""

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *editable(self._env)})

    def observe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call ``callback`` with the draft after every change of it.

        Returns
        -------
        callable
            Ends the observation.
        """
        self._observers.append(callback)
        return lambda: self._observers.remove(callback) if callback in self._observers else None

    # --- looking ---

    @property
    def env(self) -> Environment:
        """The environment that is edited, as it is declared."""
        return self._env  # type: ignore[no-any-return]

    @property
    def proposed(self) -> Environment:
        """The environment as the draft would declare it; nobody has heard of it."""
        return self._made  # type: ignore[no-any-return]

    @property
    def changes(self) -> list[Change]:
        """The fields that would change, with their values before and after."""
        return self._env.diff(self._made)  # type: ignore[no-any-return]

    def get(self, path: str) -> Any:
        """Give the value of a field, or of a part of one, in the draft."""
        field, *parts = self._known(path)
        return part_of(getattr(self._made, field), parts)
