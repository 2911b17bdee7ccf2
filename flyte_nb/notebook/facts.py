"""Facts: what a slice looked at, so that it is made again only when something of that has changed."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

from flyte_nb.environments.declaration import Declaration
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.notebook.cells import CellLog, Configured, Statement
from flyte_nb.notebook.definitions import is_definition

__all__ = ["MISSING", "Facts", "is_builtin"]

MISSING: Any = object()
_ATOMS = (type(None), bool, int, float, complex, str, bytes)
_FIXED = (*_ATOMS, type, FunctionType, MethodType, ModuleType, Declaration, TaskTemplate)


class Facts:
    """Looks things up in a log and among live values, and remembers what it found.

    Parameters
    ----------
    log : CellLog
        What ran.
    namespace : mapping
        The live values of the kernel.
    """

    def __init__(self, log: CellLog, namespace: Mapping[str, Any]) -> None:
        self._log, self._namespace = log, namespace
        self._version = log.version
        self._names: set[str] = {"__future__"}
        self._values: dict[str, Any] = {}
        self._verdicts: dict[Statement, bool] = {}
        self._pickles: dict[str, tuple[Any, bytes]] = {}
        self._attributes: dict[type, tuple[Any, ...]] = {}

    # --- looking up ---

    def latest(self, name: str) -> Statement | None:
        """Give the latest statement that bound a name."""
        self._names.add(name)
        return self._log.latest(name)

    def importing(self, name: str) -> list[Statement]:
        """Give the imports that make a name what it is."""
        self._names.add(name)
        return self._log.importing(name)

    def declaring(self, name: str) -> Statement | None:
        """Give the statement that declared an environment or bound a task."""
        self._names.add(name)
        return self._log.declaring(name)

    def declared_by(self, statement: Statement) -> list[str]:
        """Give the environments and tasks that a statement declared."""
        self._names.update(self._log.ever_declared_by(statement))
        return self._log.declared_by(statement)

    def configuring(self, statement: Statement, name: str) -> list[Configured]:
        """Give the statements that configured what a statement bound to a name."""
        self._names.add(name)
        return self._log.configuring(statement, name)

    def value(self, name: str) -> Any:
        """Give the live value of a name, or `MISSING`."""
        return self._values.setdefault(name, self._namespace.get(name, MISSING))

    def is_known(self, name: str) -> bool:
        """Tell whether a name is bound, by a cell or some other way."""
        return self.latest(name) is not None or self.value(name) is not MISSING

    def is_definition(self, statement: Statement) -> bool:
        """Tell whether running a statement again gives what its names stand for now."""
        verdict = is_definition(statement, self._namespace)
        values = [self.value(name) for name in statement.names.binds | statement.names.reads]
        if not all(isinstance(value, _FIXED) or value is MISSING for value in values):
            self._verdicts[statement] = verdict  # what can change in place is compared again
        return verdict

    def attributes(self, cls: type) -> Mapping[str, Any]:
        """Give the attributes of a class."""
        self._attributes[cls] = _own(cls)
        return vars(cls)

    def pickled(self, name: str, value: Any, data: bytes) -> None:
        """Note how a live value was pickled."""
        if not isinstance(value, _ATOMS):
            self._pickles[name] = value, data

    # --- looking again ---

    def hold(self, pickle: Any) -> bool:
        """Tell whether looking again finds the same; ``pickle(name, value)`` gives the bytes of a live value."""
        log, namespace = self._log, self._namespace
        if self._version != log.version:
            if any(log.changed(name) > self._version for name in self._names):
                return False
            self._version = log.version
        return (
            all(namespace.get(name, MISSING) is value for name, value in self._values.items())
            and all(is_definition(statement, namespace) == verdict for statement, verdict in self._verdicts.items())
            and all(_are_the_same(_own(cls), values) for cls, values in self._attributes.items())
            and all(pickle(name, value) == data for name, (value, data) in self._pickles.items())
        )


def _own(cls: type) -> tuple[Any, ...]:
    """Give a class's attributes, without those that pickling and others keep in it."""
    return tuple(value for name, value in vars(cls).items() if not name.startswith("__"))


def _are_the_same(now: tuple[Any, ...], before: tuple[Any, ...]) -> bool:
    return len(now) == len(before) and all(map(operator.is_, now, before))


def is_builtin(name: str, live: Any) -> bool:
    """Tell whether a name that no cell bound is a builtin, or what IPython puts in its place."""
    if not hasattr(builtins, name):
        return False
    if live is MISSING:
        return True
    module = str(getattr(live, "__module__", None) or type(live).__module__)
    own = (module, type(live).__module__)
    return getattr(live, "__wrapped__", live) is getattr(builtins, name) or any(
        m.partition(".")[0] in ("IPython", "ipykernel") for m in own
    )
