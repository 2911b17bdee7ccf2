"""Slicer: makes modules, and keeps them for as long as they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.notebook.cells import CellLog
from flyte_nb.notebook.facts import Facts
from flyte_nb.notebook.module import Module
from flyte_nb.notebook.slicing import Slice
from flyte_nb.notebook.values import pickled

__all__ = ["Slicer"]

_KEPT, _KEPT_BYTES = 32, 16 * 1024 * 1024  # modules that a slicer keeps, and the most that one may have captured


class Slicer:
    """Makes modules, and gives the same one again while nothing that it was made from has changed.

    Parameters
    ----------
    log : CellLog
        What runs.
    """

    def __init__(self, log: CellLog) -> None:
        self._log = log
        self._kept: dict[Any, tuple[Facts, Module, Mapping[str, Environment]]] = {}

    def module_for(
        self,
        namespace: Mapping[str, Any],
        names: Iterable[str] = (),
        tasks: Iterable[TaskTemplate] = (),
        environments: Iterable[Environment] = (),
        secrets: Iterable[str] = (),
        edits: Mapping[str, Environment] = MappingProxyType({}),
    ) -> Module:
        """Make a module as the function `module_for` does, or give the one made before.

        ``edits`` are the environments that drafts have changed, by name.
        """
        names, tasks, environments, secrets = list(names), list(tasks), list(environments), list(secrets)
        key = (*map(frozenset, (names, secrets)), *(t.name for t in tasks), None, *(e.name for e in environments),
               None, *((name, id(env)) for name, env in edits.items()))  # fmt: skip
        if key in self._kept:
            facts, module, _ = self._kept[key]
            if facts.hold(lambda name, value: pickled(self._log, name, value)[0]):
                return module
        cut = Slice(self._log, namespace, secrets, edits)
        module = cut.module_of(names, tasks, environments)
        self._kept.pop(key, None)
        if sum(len(value.data) for value in module.captured) <= _KEPT_BYTES:
            self._kept[key] = cut.facts, module, dict(edits)  # held, so that no other one has its id
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return module
