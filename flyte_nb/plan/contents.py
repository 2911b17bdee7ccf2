"""Contents: what each environment of a bundle consists of — the names that it reads, its files — and a digest of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.notebook.module import Module
from flyte_nb.notebook.reading import ENVIRONMENT, definitions, imported, reads_of
from flyte_nb.plan.files import Shipped
from flyte_nb.plan.local_modules import local_modules

__all__ = ["Contents"]


class Contents:
    """Tells the environments of one bundle apart: what the code of each reads, and which files it needs.

    Parameters
    ----------
    module : Module
        The definitions of all of them.
    files : iterable of Shipped
        What lies beside the module, for all of them.
    included : mapping of str to sequence of Shipped
        For each environment, those of the files that it includes.
    variables : mapping of str to str
        For environments whose declaration does not tell their name, a variable that it binds.
    used : mapping of str to sequence of str
        For environments that use definitions which they do not name, those: a server of connectors, its connectors.
    """

    def __init__(
        self,
        module: Module,
        files: Iterable[Shipped] = (),
        included: Mapping[str, Sequence[Shipped]] = MappingProxyType({}),
        variables: Mapping[str, str] = MappingProxyType({}),
        used: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._found, self._used = definitions(module), used
        self._included, self._variables = included, variables
        self._local = {PurePosixPath(file.path).parts[0].partition(".")[0] for file in files}
        self._members: dict[str, list[str]] = {}
        for key, one in self._found.items():
            for owner in one.owners:
                self._members.setdefault(owner, []).append(key)
        self._whole: dict[frozenset[str], dict[str, str]] = {}
        self._beside: dict[Any, dict[str, str]] = {}

    def task_reads(self, env: Environment, task: str) -> dict[str, str]:
        """Give the digests of what a task reads, by name; its own environment's declaration is told elsewhere."""
        own, roots = self._own(env), self._of_task(task)
        if roots:
            return reads_of(self._found, roots, frozenset(own))
        return reads_of(self._found, own) if own else self._everything(frozenset())

    def reads(self, env: Environment, tasks: Iterable[str]) -> dict[str, str]:
        """Give the digests of what an environment reads beside its tasks: what it is made of, hooks and servers.

        Environments that it depends on are told by name in its declaration; what they are is not a part of it.
        """
        own = self._own(env)
        if not own:
            return self._everything(frozenset(tasks))
        parts = [key for one in own for key in self._found[one].reads if not key.startswith(ENVIRONMENT)]
        parts += self._used_by(env)
        without = frozenset([*own, *tasks])
        found = reads_of(self._found, [*parts, *self._members_of(own)], without)
        return {**{key: self._found[key].digest for key in own}, **found}

    def _used_by(self, env: Environment) -> list[str]:
        return [key for key in self._used.get(env.name, ()) if key in self._found]

    def _own(self, env: Environment) -> list[str]:
        """Give the key of an environment's declaration; none where it cannot be told from others."""
        keys = (ENVIRONMENT + env.name, self._variables.get(env.name, ""))
        return [key for key in keys if key in self._found][:1]

    def _of_task(self, task: str) -> list[str]:
        return [key for key in (task, task.rpartition(".")[2]) if key in self._found][:1]

    def _members_of(self, own: Iterable[str]) -> list[str]:
        return [member for key in own for member in self._members.get(key, ())]

    def _everything(self, without: frozenset[str]) -> dict[str, str]:
        """Give the digests of all names: what cannot be told apart changes with any of them."""
        if without not in self._whole:
            self._whole[without] = reads_of(self._found, self._found, without)
        return self._whole[without]

    def files(self, env: Environment, tasks: Iterable[str]) -> dict[str, str]:
        """Give the files that an environment needs, with their digests: those it includes and those it imports."""
        included = self._included.get(env.name, ())
        names = frozenset(self._imported(env, tasks)) if self._local else frozenset()
        key = names, tuple(included)
        if key not in self._beside:
            source = "".join(f"import {name}\n" for name in sorted(names))
            files = [*included, *local_modules(source, str, included)]
            self._beside[key] = dict(sorted((file.path, file.digest) for file in files))
        return self._beside[key]

    def _imported(self, env: Environment, tasks: Iterable[str]) -> Iterator[str]:
        """Give the dotted names of the local modules that an environment and its tasks import."""
        own = self._own(env)
        roots = [
            *own,
            *self._used_by(env),
            *self._members_of(own),
            *(key for task in tasks for key in self._of_task(task)),
        ]
        names = imported(self._found, roots if own else self._found)
        return (name for name in names if name.partition(".")[0] in self._local)

    @staticmethod
    def digest(row: Mapping[str, Any]) -> str:
        """Give the SHA-256, in hex, of all that an environment is: the same whatever else is in the bundle."""
        parts = [row["declaration"], row["tasks"], row["reads"], row["files"]]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
