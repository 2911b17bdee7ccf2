"""Standing: how each environment stands — declared, deployed, out of date, served — found out when it is asked for.

What is found out is kept until a cell changes something that the environment is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from flyte_nb.changes import tasks_of
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.base import Environment
from flyte_nb.environments.connector import ConnectorEnvironment
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import FlyteError
from flyte_nb.made_of import MadeOf, made_of
from flyte_nb.session import Session
from flyte_nb.widgets.listing import Row

__all__ = ["Standing"]

_ENDS = ("stopped", "failed")


@dataclass(frozen=True)
class _Checked:
    """What was found out of one environment: what it is made of, or why it cannot be put together."""

    made: MadeOf | None
    since_run: str = ""
    refused: str = ""

    def may_have_changed(self) -> bool:
        return self.made is None or self.made.may_have_changed()


class Standing:
    """How the environments of a session stand.

    Parameters
    ----------
    session : Session
        What is declared and deployed.
    served : callable
        Gives the phase of each app that is served, by name.
    """

    def __init__(self, session: Session, served: Callable[[], Mapping[str, str]]) -> None:
        self._session, self._served = session, served
        self._checked: dict[str, _Checked] = {}
        self._fixed: dict[str, tuple[Environment, int, Row]] = {}
        self._phases: Mapping[str, str] = {}

    def rows(self) -> list[Row]:
        """Give a row for every environment, with what is known of it so far."""
        envs = list(self._session.registry.values())
        self._fixed = {env.name: self._fixed[env.name] for env in envs if env.name in self._fixed}
        return self._rows(envs)

    def _rows(self, envs: Iterable[Environment]) -> list[Row]:
        deployed, self._phases = self._session.store.current_digests(), dict(self._served())
        return [self._row(env, deployed.get(env.name), self._phases.get(env.name, "")) for env in envs]

    def check(self, names: Iterable[str]) -> dict[str, Row]:
        """Find out of some environments whether they are out of date, and give their rows by name."""
        wanted = [self._session.registry[name] for name in names if name in self._session.registry]
        with self._session.workbook.quiet():
            found = self._together(wanted)
            if found is None:
                found = {env.name: self._alone(env) for env in wanted}
        self._checked.update(found)
        return {row.name: row for row in self._rows(wanted)}

    def forget(self) -> bool:
        """Forget what may have changed; tell whether there was any, or an app stands otherwise."""
        changed = [name for name, one in self._checked.items() if one.may_have_changed()]
        for name in changed:
            del self._checked[name]
        return bool(changed) or dict(self._served()) != self._phases

    def _together(self, envs: list[Environment]) -> dict[str, _Checked] | None:
        """Look at several environments as one bundle, which is quick; None where one of them cannot be put together."""
        if not envs:
            return {}
        try:
            made = made_of(self._session, self._session.shipping.bundle_of(envs))
            return {env.name: _Checked(made[env.name], self._since_run(env)) for env in envs}
        except (FlyteError, KeyError):
            return None

    def _alone(self, env: Environment) -> _Checked:
        found = None
        try:
            found = self._together([env])
            if found is None:
                self._session.shipping.bundle_of([env])
        except FlyteError as error:
            return _Checked(None, refused=str(error).partition("\n")[0])
        return found[env.name] if found else _Checked(None, refused="it changed meanwhile")

    def _since_run(self, env: Environment) -> str:
        stale = self._session.shipping.changed_since_run(env)
        return f"{stale[0].name} {stale[0].what} since {stale[0].since}" if stale else ""

    def _row(self, env: Environment, deployed: tuple[str, str] | None, phase: str) -> Row:
        version, digest = deployed or ("", "")
        one = self._checked.get(env.name)
        state, note = _state(one, version, digest)
        if phase and state not in ("out of date", "cannot be deployed"):
            state = "failed" if phase == "failed" else "serving"
            note = "" if phase in ("active", "failed") else phase
        elif phase:
            note = ", ".join(filter(None, (note, "serving" if phase == "active" else f"app {phase}")))
        return replace(
            self._fixed_part(env),
            state=state,
            version=version,
            note=note,
            is_served=bool(phase) and phase not in _ENDS,
            is_checked=one is not None or not (version or self._session.shipping.has_run(env)),
        )

    def _fixed_part(self, env: Environment) -> Row:
        """Give what a declaration alone tells; kept while it is the same one, with as many tasks."""
        count = len(tasks_of(env))
        known = self._fixed.get(env.name)
        if known is None or known[0] is not env or known[1] != count:
            tasks = tuple(name.rpartition(".")[2] for name in tasks_of(env))
            row = Row(env.name, _kind(env), tasks, str(env.place), description=env.description or "", number=id(env))
            known = self._fixed[env.name] = env, count, row
        return known[2]


def _state(one: _Checked | None, version: str, digest: str) -> tuple[str, str]:
    """Give the word for how an environment stands beside being served, and more of it."""
    if one is not None and one.refused:
        return "cannot be deployed", one.refused
    if one is not None and version and digest and one.made is not None and one.made.digest != digest:
        return "out of date", ""
    if one is not None and one.since_run:
        return "out of date", one.since_run
    return ("deployed", "") if version else ("declared", "")


def _kind(env: Environment) -> str:
    """Give the kind of an environment in a word."""
    kinds = {"connector": ConnectorEnvironment, "app": AppEnvironment, "task": TaskEnvironment}
    own = type(env).__name__.removesuffix("Environment").lower() or "environment"
    return next((word for word, kind in kinds.items() if isinstance(env, kind)), own)
