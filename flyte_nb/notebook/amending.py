"""Amending: the statement that declared an environment, with what drafts have changed since; modules hold that one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import same, set_fields
from flyte_nb.errors import SliceError, UsageError
from flyte_nb.notebook.cells import Cell, Statement, statements
from flyte_nb.notebook.rewriting import RESET, Edit, edited, locate
from flyte_nb.notebook.spelling import Spelling

__all__ = ["amended"]


class _Whole(Spelling):
    """Refuses to write what looks like a secret: the process that loads a module has no variable to read it from."""

    def item(self, key: Any, value: Any) -> str:
        before = len(self.notices)
        text = super().item(key, value)
        if len(self.notices) > before:
            raise SliceError(
                f"the variable {key!r} that a draft has set looks like a secret, and no module may hold one; "
                f"declare it: secrets=[flyte.Secret({key!r})]"
            )
        return text


def amended(
    statement: Statement, env: Environment, names: Mapping[str, Any], edited_envs: Mapping[str, Environment]
) -> tuple[Statement, list[str], str]:
    """Give the statement that declares an environment as it is now, the imports that it needs, and what to say of it.

    Parameters
    ----------
    statement : Statement
        What declared it.
    env : Environment
        The newest declaration, which drafts have changed.
    names : mapping
        The names of the notebook.
    edited_envs : mapping of str to Environment
        All that drafts have changed, by name: a clone that was made before keeps what it inherited.

    Returns
    -------
    tuple of Statement, list of str, str
        Where the statement cannot be rewritten, such as one in a loop, it is given as it is, and the notice says so.

    Raises
    ------
    SliceError
        For a value that looks like a secret.
    """
    is_set = dict(set_fields(env))
    edits = [
        Edit(field, before, getattr(env, field), getattr(env, field) if field in is_set else RESET)
        for field, before in _differing(env, edited_envs).items()
    ]
    if not edits:
        return statement, [], ""
    spelling, told = _Whole(names), ", ".join(edit.field for edit in edits)
    try:
        editor, is_clone = locate(statement.source, env.place.line - statement.line + 1, env, names)
        text = edited(editor, env, edits, is_clone, spelling)
    except UsageError as error:
        return statement, [], (
            f"{env.name!r} travels as its source says, without the edit of {told}: {error}; "
            "write it into the source: flyte.draft(env).code()"
        )  # fmt: skip
    found = next(statements(Cell(text, 0)))
    made = replace(statement, source=found.source, node=found.node, names=found.names)
    told = ", ".join(env.unwritten)
    return made, spelling.imports, told and (
        f"{env.name!r} travels as a draft has changed it ({told}), which its source does not say; "
        "write it there: flyte.draft(env).offer()"
    )  # fmt: skip


def _differing(env: Environment, edited_envs: Mapping[str, Environment]) -> dict[str, Any]:
    """Give the fields in which an environment differs from what its source gives, each with the value that it gives."""
    source = edited_envs.get(env.origin.parent) if env.origin is not None else None
    if env.origin is None or source is None or type(source) is not type(env):
        return env.unwritten
    inherited = source.unwritten.keys() - env.origin.overridden - env.origin.reset
    given = {field: getattr(source, field) for field in sorted(inherited)}
    return {**{f: v for f, v in given.items() if not same(v, getattr(env, f))}, **env.unwritten}
