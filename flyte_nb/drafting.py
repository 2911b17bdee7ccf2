"""Drafting: changes of an environment, gathered and checked, then applied to the registry or to its source."""

from __future__ import annotations

import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flyte_nb.declared_source import Rewritten, rewritten
from flyte_nb.environments.base import Environment, is_heard
from flyte_nb.environments.declaration import Change, set_fields
from flyte_nb.environments.editing import editable, part_of, with_part, with_values
from flyte_nb.errors import UnknownNameError, UsageError, UsageTypeError, suggestion
from flyte_nb.notebook.rewriting import RESET, Edit
from flyte_nb.registry import process_registry
from flyte_nb.session import current_session
from flyte_nb.widgets import drafts as views

__all__ = ["Draft", "draft"]

Observer = Callable[["Draft"], None]


class Draft:
    """Changes of one environment that nobody else sees until they are applied.

    Its attributes are the fields of the environment: reading one gives its value in the draft, assigning one changes
    it. A value that is refused raises its error and leaves the draft as it was.

    Parameters
    ----------
    env : Environment
        What is edited; it stays as it is.
    """

    def __init__(self, env: Environment) -> None:
        self.__dict__.update(_env=env, _made=env, _given={}, _observers=[])

    # --- changing ---

    def set(self, path: str, value: Any) -> Draft:
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

    def reset(self, *paths: str) -> Draft:
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

    def update(self, **values: Any) -> Draft:
        """Change several fields at once, so that they are checked together.

        Raises
        ------
        DeclarationError
            When a value is not what its field accepts; the draft stays as it was.
        UnknownNameError
            For a field that is not there, with the nearest one.
        """
        for name in values:
            self._known(name)
        return self._take({**self._given, **values})

    def discard(self, *fields: str) -> Draft:
        """Take changes back: those of the given fields, or all of them."""
        return self._take({n: v for n, v in self._given.items() if fields and n not in fields})

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

    def _take(self, given: dict[str, Any]) -> Draft:
        values = {name: value for name, value in given.items() if value is not RESET}
        made = with_values(self._env, values, [name for name, value in given.items() if value is RESET])
        self.__dict__.update(_given=given, _made=made)
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

    def observe(self, callback: Observer) -> Callable[[], None]:
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

    def rebase(self) -> Draft:
        """Make the same changes on the newest declaration of the environment.

        Raises
        ------
        UnknownNameError
            When nothing of its name is declared any more.
        DeclarationError
            When the changes do not fit the newest declaration; the draft stays as it was.
        """
        newest = process_registry.find(self._env.name)
        renewed = Draft(newest)._take(dict(self._given))
        self.__dict__.update(_env=newest, _made=renewed._made)
        return self._take(dict(self._given))

    # --- using ---

    def apply(self) -> Environment:
        """Declare the environment anew, in the place of the former declaration; its tasks come along.

        The source stays as it is: `code` gives what to write there, also afterwards.

        Returns
        -------
        Environment
            What is declared now. The draft goes on from there, without changes.

        Raises
        ------
        UsageError
            When the environment was declared otherwise since, or withdrawn; see `rebase`.
        """
        if not is_heard():  # in the process of a task, whose module holds this statement: its tasks know only this one
            self._env.__dict__.update({name: getattr(self._made, name) for name in editable(self._env)})
            return self._env  # type: ignore[no-any-return]
        if self.stale:
            then = "accepted: draft.rebase() to make the changes on the newest declaration"
            if self._env.name not in process_registry:
                then = "declare it again first, then draft.rebase()"
            raise UsageError(f"draft: {self.stale}; {then}")
        newest = process_registry[self._env.name]
        made = with_values(newest, self._values(), self._resets())
        process_registry.amend(made)
        self.__dict__.update(_env=made, _given={})
        self._take({})
        return made

    def _values(self) -> dict[str, Any]:
        return {name: value for name, value in self._given.items() if value is not RESET}

    def _resets(self) -> list[str]:
        return [name for name, value in self._given.items() if value is RESET]

    def code(self) -> Rewritten:
        """Give the source of the declaration with the changes made in it, all else kept as it is written.

        Returns
        -------
        Rewritten
            The text of the cell or the file; ``str()`` of it is the source. Where the declaration cannot be rewritten,
            such as one in a loop, it holds the reason and the code to add in a new cell.

        Raises
        ------
        UsageError
            When there is no change, or a value cannot be written as code.
        """
        edits = [
            Edit(name, value, getattr(self._made, name), self._given.get(name, self._given_before(name)))
            for name, value in self._made._unwritten.items()
        ]
        if not edits:
            raise UsageError(f"the draft of {self._env.name!r} has no changes, so there is no code to give")
        return rewritten(self._env, self._made, edits, current_session().workbook)

    def _given_before(self, field: str) -> Any:
        """Give what an earlier draft gave to a field."""
        value, is_set = getattr(self._made, field), dict(set_fields(self._made))
        return value if field in is_set else RESET

    def offer(self, replace: bool = False) -> views.View:
        """Put the code into a new cell below the running one; a terminal prints it.

        Parameters
        ----------
        replace : bool
            Whether to write it into the running cell itself, in the place of what stands there.

        Returns
        -------
        View
            What was offered: the lines that differ, and what to know of them.
        """
        code = self.code()
        current_session().workbook.offer(code.source, replace)
        return views.code(code)

    def write(self) -> Path:
        """Write the changes into the Python file that declares the environment.

        Raises
        ------
        UsageError
            When it is declared in a cell, or cannot be rewritten.
        """
        code = self.code()
        if code.path is None:
            raise UsageError(f"draft.write: {code.reason or f'it is declared in {code.where}, which is no file'}; "
                             "accepted: draft.offer(), which puts the code into a new cell")  # fmt: skip
        with tokenize.open(code.path) as file:
            encoding = file.encoding
        beside = code.path.with_name(f".{code.path.name}.draft")
        with open(beside, "w", encoding=encoding, newline="") as file:
            file.write(code.source)
        beside.chmod(code.path.stat().st_mode)
        beside.replace(code.path)
        return code.path

    def __repr__(self) -> str:
        return str(self._view())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self._view()._repr_mimebundle_()

    def _view(self) -> views.View:
        return views.draft(self._env, self.changes, self.stale)


def draft(env: Environment) -> Draft:
    """Start a draft of an environment: changes are gathered and checked, and applied when you say so.

    Parameters
    ----------
    env : Environment
        What is edited: the newest declaration of its name. It stays as it is.

    Raises
    ------
    TypeError
        For what is no environment.
    """
    if not isinstance(env, Environment):
        raise UsageTypeError(f"flyte.draft: given {env!r:.80}; accepted: an environment")
    newest = process_registry.newest(env)
    return Draft(newest if type(newest) is type(env) else env)
