"""Where the names of a line come from: one table for arguments, by what help calls them, and one for options.

A verb completes without further code where its parser uses these words.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from flyte_nb.changes import tasks_of
from flyte_nb.comparing import CURRENT
from flyte_nb.completion import values
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.editing import editable
from flyte_nb.environments.secrets import secrets_from_request
from flyte_nb.errors import FlyteError
from flyte_nb.session import ENGINES, Session

__all__ = ["Asked", "candidates"]

_RUNS = 50  # runs that are offered, the newest first
_FILES = 200


@dataclass(frozen=True)
class Asked:
    """What a source is asked for.

    Parameters
    ----------
    session : Session
        The session.
    typed : str
        What stands of the word.
    given : dict of str to list of str
        What the line says already, by the names of options and arguments.
    verbs : iterable of str
        The verbs there are.
    """

    session: Session
    typed: str
    given: dict[str, list[str]]
    verbs: Iterable[str] = ()

    def first(self, *names: str) -> str:
        """Give the first word that the line says for one of some arguments; empty without."""
        return next((words[0] for name in names if (words := self.given.get(name))), "")


def candidates(action: argparse.Action, asked: Asked) -> Iterator[str]:
    """Give what may stand for an argument, or for the value of an option."""
    source = next((OPTIONS[option] for option in action.option_strings if option in OPTIONS), None)
    if source is None and action.choices is not None:
        yield from map(str, action.choices)
        return
    word = "DEPLOYED" if action.dest == "deployed" else str(action.metavar or action.dest.upper())
    source = source or WORDS.get(word)
    taken = set(asked.given.get(action.dest, ()))
    try:
        yield from (text for text in (source(asked) if source is not None else ()) if text not in taken)
    except FlyteError:  # a store that cannot be read: the verb will say so
        return


def _environments(asked: Asked) -> Iterator[str]:
    """Give the environments declared here."""
    yield from asked.session.registry


def _compared(asked: Asked) -> Iterator[str]:
    """Give the environments declared here; after ``NAME@``, the versions it is deployed at."""
    name, at, _ = asked.typed.partition("@")
    if at:
        versions = _versions_of(asked.session, name)
        yield from (f"{name}@{version}" for version in ([CURRENT, *versions] if versions else ()))
    else:
        yield from _environments(asked)


def _deployed(asked: Asked) -> Iterator[str]:
    """Give the environments that are deployed."""
    yield from asked.session.store.current()


def _versions(asked: Asked) -> Iterator[str]:
    """Give the versions at which the environment of the line is deployed."""
    yield from _versions_of(asked.session, asked.first("name", "names", "deployed", "environment"))


def _versions_of(session: Session, name: str) -> list[str]:
    return [one.version for one in session.store.history(name)] if name in session.store.current() else []


def _full_names(asked: Asked) -> Iterator[str]:
    """Give the tasks declared here, with the names of their environments."""
    yield from (name for env in asked.session.registry.values() for name in tasks_of(env))


def _tasks(asked: Asked) -> Iterator[str]:
    """Give the tasks declared here; then the names of functions that are clear without their environments'."""
    tasks = list(_full_names(asked))
    short = [name.rpartition(".")[2] for name in tasks]
    yield from tasks
    yield from (name for name in short if short.count(name) == 1)


def _inputs(asked: Asked) -> Iterator[str]:
    """Give the inputs of the line's task that it does not say yet; after ``NAME=``, what the type accepts."""
    task = asked.session.registry.find_task(asked.first("task"))
    kinds = task.interface.get_input_types()
    name, equals, _ = asked.typed.partition("=")
    if equals:
        yield from (f"{name}={text}" for text in _texts(kinds.get(name)))
        return
    said = {word.partition("=")[0] for word in asked.given.get("inputs", ())}
    yield from (f"{name}=" for name in kinds if name not in said)


def _texts(kind: object) -> list[str]:
    if kind is bool:
        return ["true", "false"]
    return [str(one.value) for one in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def _fields(asked: Asked) -> Iterator[str]:
    """Give the settings of the line's environment that have a default."""
    yield from editable(asked.session.registry.find(asked.first("source")))


def _runs(asked: Asked) -> Iterator[str]:
    """Give the latest runs."""
    yield from (run.name for run in asked.session.store.runs(last=_RUNS))


def _actions(asked: Asked) -> Iterator[str]:
    """Give the actions of the line's run."""
    yield from (action.id for action in asked.session.store.run(asked.first("run", "name")).actions)


def _secrets(asked: Asked) -> Iterator[str]:
    """Give the keys that are set in this session or that an environment asks for; never a value."""
    known = {key for key, _ in asked.session.secrets.names()}
    asked_for = {secret.key for env in asked.session.registry.values() for secret in secrets_from_request(env.secrets)}
    yield from sorted(known | asked_for)


def _paths(asked: Asked) -> Iterator[str]:
    """Give files and folders; a folder ends with a slash."""
    folder, name = os.path.split(asked.typed)
    try:
        found = sorted(Path(folder or ".").expanduser().iterdir())
    except OSError:
        return
    shown = [path for path in found if name.startswith(".") or not path.name.startswith(".")]
    for path in shown[:_FILES]:
        yield os.path.join(folder, path.name) + ("/" if path.is_dir() else "")


def _apps(asked: Asked) -> Iterator[str]:
    """Give the apps that are declared."""
    yield from (env.name for env in asked.session.registry.values() if isinstance(env, AppEnvironment))


def _engines(asked: Asked) -> Iterator[str]:
    """Give the engines."""
    yield from ENGINES


Source = Callable[[Asked], Iterable[str]]

#: arguments and the values of options, by what help calls them
WORDS: dict[str, Source] = {
    **dict.fromkeys(("NAME", "ENV", "ENVIRONMENT", "SRC"), _environments),
    **dict.fromkeys(("A", "B"), _compared),
    "DEPLOYED": _deployed,
    "TASK": _tasks,
    "ENV.TASK": _full_names,
    "FIELD": _fields,
    "RUN": _runs,
    "APP": _apps,
    "RUN|APP": lambda asked: [*_runs(asked), *_apps(asked)],
    "KEY": _secrets,
    "PATH": _paths,
    "NAME=VALUE": _inputs,
    **dict.fromkeys(("V", "VERSION"), _versions),
    "VERB": lambda asked: asked.verbs,
}
#: values of options, by their names
OPTIONS: dict[str, Source] = {
    "--cpu": lambda asked: values.cores(asked.typed),
    "--memory": lambda asked: values.amounts(asked.typed),
    "--disk": lambda asked: values.amounts(asked.typed),
    "--shm": lambda asked: values.amounts(asked.typed),
    "--gpu": lambda asked: values.accelerators(asked.typed),
    "--cache": lambda asked: values.CACHES,
    "--replicas": lambda asked: values.replicas(asked.typed),
    "--engine": _engines,
    "--secret": _secrets,
    "--depends-on": _environments,
    "--include": _paths,
    "--action": _actions,
    "--env": lambda asked: (),
    "--name": lambda asked: (),
}
