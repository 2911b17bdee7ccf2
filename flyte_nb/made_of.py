"""MadeOf: what environments are made of, remembered, to tell at little cost whether something of it has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.notebook.reading import ENVIRONMENT
from flyte_nb.plan.bundle import Bundle
from flyte_nb.session import Session

__all__ = ["MadeOf", "made_of"]


class MadeOf:
    """What an environment was made of at one moment.

    Parameters
    ----------
    session : Session
        Its registry and its cells.
    env : Environment
        The environment.
    row : mapping
        Its row in a bundle.
    captured : iterable of str
        The names that the bundle holds by value: those may change without a cell that binds them.
    """

    def __init__(self, session: Session, env: Environment, row: Mapping[str, Any], captured: Iterable[str]) -> None:
        self._session, self._env = session, env
        #: the digest of all that it is
        self.digest: str = row["digest"]
        reads = {**row["reads"], **{name: "" for task in row["tasks"].values() for name in task["reads"]}}
        self._names = {name.removeprefix(ENVIRONMENT) for name in reads} | {env.name, *row["tasks"]}
        unseen = "…" in reads or bool(row["files"]) or any(name in reads for name in captured)
        self._is_unsure = unseen or not env.place.in_cell
        self._version = session.workbook.log.version

    def may_have_changed(self) -> bool:
        """Tell whether it has to be looked at again: a cell bound a name of it, or it has files or values."""
        if self._is_unsure or self._session.registry.get(self._env.name) is not self._env:
            return True
        log = self._session.workbook.log
        if log.version == self._version:
            return False
        return any(log.changed(name) > self._version for name in self._names)


def made_of(session: Session, bundle: Bundle) -> dict[str, MadeOf]:
    """Remember what each environment of a bundle is made of, by name."""
    captured = {value.name for value in bundle.module.captured}
    return {
        row["environment"]: MadeOf(session, session.registry[row["environment"]], row, captured)
        for row in bundle.environments
        if row["environment"] in session.registry
    }
