"""Draft: the changes of an environment, applied to the registry or to its source."""

from __future__ import annotations

import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flyte_nb.declared_source import Rewritten, rewritten
from flyte_nb.drafting.changing import Given
from flyte_nb.drafting.rebasing import Rebasing
from flyte_nb.environments.base import Environment, is_heard
from flyte_nb.environments.declaration import same, set_fields
from flyte_nb.environments.editing import default_of, editable, with_values
from flyte_nb.errors import UsageError, UsageTypeError
from flyte_nb.notebook.rewriting import RESET, Edit
from flyte_nb.registry import process_registry
from flyte_nb.session import current_session
from flyte_nb.widgets import drafts as views

__all__ = ["Draft", "draft"]


class Draft(Rebasing):
    """Changes of one environment that nobody else sees until they are applied.

    Its attributes are the fields of the environment: reading one gives its value in the draft, assigning one changes
    it. A value that is refused raises its error and leaves the draft as it was.

    Parameters
    ----------
    env : Environment
        What is edited; it stays as it is.
    """

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
        before, applied = self._env, list(self._given)
        self.__dict__.update(_env=made, _made=made, _given={}, _contested={})
        process_registry.amend(made)
        self._history.revise(lambda given: _given_on(made, before, given, applied))
        self._tell()
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


def _given_on(env: Environment, before: Environment, given: Given, applied: Iterable[str]) -> Given:
    """Give the changes that make of a declaration what others made of the one before; ``applied`` differ in both."""
    wanted = {name: getattr(before, name) for name in applied}
    wanted.update((name, default_of(before, name) if value is RESET else value) for name, value in given.items())
    return {name: value for name, value in wanted.items() if not same(value, getattr(env, name))}


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
