"""Cloning: what a clone of an environment would be, before it is declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from flyte_nb.environments.base import Environment, unannounced
from flyte_nb.environments.declaration import Change, same
from flyte_nb.environments.editing import check_field, default_of, editable
from flyte_nb.environments.provenance import How, Setting, settings_of
from flyte_nb.environments.task import refused_cache
from flyte_nb.errors import DeclarationError, FlyteError, UsageError, UsageTypeError, suggestion
from flyte_nb.notebook.spelling import Spelling, variable_for
from flyte_nb.notebook.tidy import laid_out_source
from flyte_nb.registry import process_registry
from flyte_nb.session import current_session
from flyte_nb.views import View
from flyte_nb.widgets import clones as views

__all__ = ["ClonePreview", "compare_clones", "preview_clone"]


class ClonePreview:
    """What a clone would be: every setting with where it comes from, and what is wrong with it.

    Nothing is declared before `apply`.

    Parameters
    ----------
    env : Environment
        What would be cloned.
    name : str
        The name of the clone.
    overrides : dict
        The values that it is given; None keeps a value, as in ``clone_with``.
    reset : tuple of str
        The fields that go back to their defaults.
    refused : mapping of str to FlyteError, optional
        Values that could not even be made, by the field.
    former : Environment, optional
        The former declaration that was given, where ``env`` is the newest of its name.
    """

    def __init__(
        self,
        env: Environment,
        name: str,
        overrides: dict[str, Any],
        reset: tuple[str, ...] = (),
        refused: Mapping[str, FlyteError] | None = None,
        former: Environment | None = None,
    ) -> None:
        #: what would be cloned
        self.source = env
        #: the former declaration of it that was given, None where it is the newest itself
        self.former = former
        #: the name of the clone
        self.name = name
        self._overrides, self._reset, self._refused = dict(overrides), reset, dict(refused or {})
        if self._overrides.get("reusable") == "keep":  # the default of clone_with
            del self._overrides["reusable"]
        #: why settings are refused, by the field; ``""`` for what concerns no single field
        with unannounced():
            self.errors: dict[str, str] = self._check_each()
        #: the clone as it would be declared, which nobody has heard of; None while something is refused
        self.clone: Environment | None = self._make()

    @property
    def overrides(self) -> dict[str, Any]:
        """The values that it is given."""
        return dict(self._overrides)

    @property
    def reset(self) -> tuple[str, ...]:
        """The fields that go back to their defaults."""
        return self._reset

    def _check_each(self) -> dict[str, str]:
        """Check the name and each value by itself."""
        found = {field: _told(error, field) for field, error in self._refused.items()}
        fields = editable(self.source)
        for field, value in {"name": self.name, **self._given()}.items():
            if field not in fields and field != "name":
                found[field] = f"no such setting; {suggestion(field, fields)}"
                continue
            try:
                check_field(type(self.source), field, value)
            except DeclarationError as error:
                found[field] = _told(error)
        for field in self._reset:
            if field not in fields:
                found[field] = f"no such setting to reset; {suggestion(field, fields)}"
        return found

    def _make(self) -> Environment | None:
        """Make the clone without declaring it; note what is refused about the settings together."""
        if self._refused:
            return None
        try:
            with unannounced():
                return self._cloned()
        except Exception as error:  # a subclass's own checks are a stranger's code
            if not self.errors:
                self.errors[_field_of(error, self.source)] = _told(error)
            return None

    def _cloned(self) -> Environment:
        reset: dict[str, Any] = {"reset": self._reset} if self._reset else {}
        return self.source.clone_with(self.name, **self._overrides, **reset)

    def _given(self) -> dict[str, Any]:
        return {field: value for field, value in self._overrides.items() if value is not None}

    @property
    def settings(self) -> list[Setting]:
        """Every setting with its value, how it came to it, where from up the chain of clones, and what is wrong."""
        if self.clone is not None:
            return settings_of(self.clone)
        cleared = {*self._reset, *(f for f, v in self._overrides.items() if f == "reusable" and v is None)}
        rows = [self._row(setting, cleared) for setting in settings_of(self.source)]
        known = {row.field for row in rows} | {"name", ""}
        name = (
            [Setting("name", self.name, "overridden", self.name, self.errors["name"])] if "name" in self.errors else []
        )
        unknown = [
            Setting(field, self._given().get(field), "overridden", self.name, error)
            for field, error in self.errors.items()
            if field not in known
        ]
        return [*name, *rows, *unknown]

    def _row(self, setting: Setting, cleared: set[str]) -> Setting:
        field, error = setting.field, self.errors.get(setting.field, "")
        if field in self._given():
            return Setting(field, self._given()[field], "overridden", self.name, error)
        if field in self._refused:
            return Setting(field, None, "overridden", self.name, error)
        if field in cleared:
            try:
                return Setting(field, default_of(self.source, field), "reset", self.name, error)
            except DeclarationError:
                return setting._replace(how="reset", source=self.name, error=error)
        how: How = "inherited" if setting.how != "default" else "default"
        return setting._replace(how=how, error=error)

    @property
    def changes(self) -> list[Change]:
        """The fields in which the clone would differ from what is cloned, its name left out."""
        return [
            Change(row.field, getattr(self.source, row.field), row.value)
            for row in self.settings
            if not row.error
            and row.field in editable(self.source)
            and not same(getattr(self.source, row.field), row.value)
        ]

    @property
    def notices(self) -> list[str]:
        """What to know before it is applied: what it replaces, what is newer, and a cache that no task can have."""
        notices = []
        if why := refused_cache(self._overrides.get("cache")):
            notices.append(f"no task of it can be declared: {why}")
        if (there := process_registry.get(self.name)) is not None:
            notices.append(f"{self.name!r} is declared already, at {there.place}{self._replaced(there)}")
        newest = process_registry.get(self.source.name)
        if self.former is not None and self.former.diff(self.source):
            at = self.source.place
            notices.append(f"{self.source.name!r} was declared again at {at}; this is of that declaration")
        if newest is not None and newest is not self.source and self.source.diff(newest):
            notices.append(
                f"{self.source.name!r} was declared again at {newest.place}; this is of the former declaration"
            )
        return notices

    def _replaced(self, there: Environment) -> str:
        """Word what applying would do with what is declared under the name: it may be this very clone."""
        if self.clone is None or type(there) is not type(self.clone) or there.diff(self.clone):
            return "; apply() replaces it"
        tasks = getattr(there, "tasks", None)
        return ", as this has it" + ("; apply() would declare it anew, without its tasks" if tasks else "")

    def apply(self) -> Environment:
        """Declare the clone, at the line that calls this.

        Returns
        -------
        Environment
            The clone; it has no tasks, as a task belongs to the environment that it was bound to.

        Raises
        ------
        DeclarationError
            When a value is not what its field accepts, as ``clone_with`` does.
        TypeError
            For a setting that the environment does not have.
        """
        for error in self._refused.values():
            raise error
        unknown = [field for field in self._overrides if field not in editable(self.source)]
        if unknown:
            raise UsageTypeError(f"preview_clone: {unknown[0]}: {self.errors.get(unknown[0], 'no such setting')}")
        return self._cloned()

    def code(self) -> str:
        """Give the statement that makes the clone, with the imports that it needs, for a new cell.

        Raises
        ------
        UsageError
            While something is refused, and for a value that cannot be written as code.
        """
        spelling = Spelling(current_session().workbook.namespace)
        call = f"{self.variable} = {self._call(spelling)}"
        notices = [f"# {notice}" for notice in spelling.notices]
        return "\n".join([*spelling.imports, *notices, laid_out_source(call)])

    @property
    def variable(self) -> str:
        """The variable that the code binds the clone to."""
        return variable_for(self.name, current_session().workbook.namespace)

    def apply_here(self) -> Environment:
        """Declare the clone as a statement of the running cell would, and bind it to its variable.

        What uses it then finds its definition. Where there is no such cell, or a value cannot be written, it is
        declared by `apply`, and bound to nothing.

        Raises
        ------
        DeclarationError
            As `apply`.
        TypeError
            As `apply`.
        """
        workbook = current_session().workbook
        spelling = Spelling(workbook.namespace)
        try:
            statement = f"{self.variable} = {self._call(spelling)}"
        except UsageError:
            return self.apply()
        name = self.variable
        if spelling.notices or not workbook.run_here("; ".join([*spelling.imports, statement])):
            return self.apply()
        made: Environment = workbook.namespace[name]
        return made

    def _call(self, spelling: Spelling) -> str:
        if self.errors:
            field, error = next(iter(self.errors.items()))
            raise UsageError(f"preview_clone: {field or self.name}: {error}; accepted: a preview without errors")
        given = {f: v for f, v in self._overrides.items() if v is not None or f == "reusable"}
        reset = [f"reset={spelling.value(tuple(self._reset))}"] if self._reset else []
        words = [spelling.value(self.name), *(f"{field}={spelling.value(value)}" for field, value in given.items())]
        return f"{self._spelled_source(spelling)}.clone_with({', '.join([*words, *reset])})"

    def _spelled_source(self, spelling: Spelling) -> str:
        variable = spelling.variable(self.source)
        if variable is None and process_registry.get(self.source.name) is not self.source:
            raise UsageError(
                f"preview_clone: {self.source.name!r} is bound to no variable and is not what is declared under that "
                f"name; accepted: an environment that code can name"
            )
        return variable or spelling.environment(self.source)

    def offer(self, replace: bool = False) -> ClonePreview:
        """Put the code into a new cell below the running one, or into that itself; a terminal prints it."""
        current_session().workbook.offer(self.code(), replace)
        return self

    def __repr__(self) -> str:
        return str(self.view())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.view()._repr_mimebundle_()

    def view(self, declared: str = "") -> View:
        """Show the preview: what differs, every setting, and where each comes from.

        Parameters
        ----------
        declared : str, optional
            Where the clone has been declared, once it has.
        """
        title = f"{type(self.source).__name__}, cloned from {self.source.name}"
        state = f"declared at {declared}" if declared else "a preview, not declared yet"
        signs = [("+", self.name, f"{title}; {state}")]
        signs += [("!", "refused", self.errors[""])] if "" in self.errors else []
        signs += [("!", notice, "") for notice in self.notices if not declared]
        return views.preview(signs, self.settings, self.changes)


def preview_clone(env: Environment, name: str, *, reset: Iterable[str] | str = (), **overrides: Any) -> ClonePreview:
    """Show what ``env.clone_with(name, …)`` would make; nothing is declared before ``.apply()``.

    Parameters
    ----------
    env : Environment
        What would be cloned: its newest declaration, where it is a former one.
    name : str
        The name of the clone.
    reset : iterable of str
        Fields that go back to their defaults.
    **overrides
        The values that the clone is given; what is wrong with one is shown in the preview, and raised by ``apply``.

    Raises
    ------
    TypeError
        When ``env`` is no environment.
    """
    if not isinstance(env, Environment):
        raise UsageTypeError(f"flyte.preview_clone: given {env!r:.80}; accepted: an environment")
    newest = process_registry.newest(env)
    source, former = (env, None) if newest is env or type(newest) is not type(env) else (newest, env)
    return ClonePreview(source, name, overrides, (reset,) if isinstance(reset, str) else tuple(reset), former=former)


def compare_clones(*clones: ClonePreview | Environment) -> View:
    """Show several clones, previews of them or other environments side by side: the settings in which they differ.

    Parameters
    ----------
    *clones : ClonePreview or Environment
        What is compared; the environments that previews are made of are shown first.

    Raises
    ------
    TypeError
        For anything else.
    """
    columns: dict[str, list[Setting]] = {}
    for one in clones:
        if not isinstance(one, ClonePreview | Environment):
            raise UsageTypeError(f"flyte.compare_clones: given {one!r:.80}; accepted: previews and environments")
        if isinstance(one, ClonePreview):
            columns.setdefault(one.source.name, settings_of(one.source))
    for one in clones:
        title = one.name if one.name not in columns else f"{one.name} ({len(columns) + 1})"
        columns[title] = one.settings if isinstance(one, ClonePreview) else settings_of(one)
    return views.comparison(columns)


def _told(error: Exception, field: str = "") -> str:
    """Word an error; of a part of the field, such as the memory of resources, with the part's name."""
    if isinstance(error, DeclarationError):
        because = f" ({error.reason})" if error.reason else ""
        part = error.field.rpartition(".")[2]
        named = f"{part}: " if field and part != field else ""
        return f"{named}given {error.given}{because}; accepted: {error.accepted}"
    return str(error) or type(error).__name__


def _field_of(error: Exception, env: Environment) -> str:
    """Give the field that an error is about; ``""`` for none."""
    named = error.field.rpartition(".")[2] if isinstance(error, DeclarationError) else ""
    return named if named in {f.name for f in dataclasses.fields(env)} else ""
