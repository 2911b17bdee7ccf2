"""Deployed: a task as it was deployed, callable from any process that shares the store."""

from __future__ import annotations

import ast
from functools import cached_property
from pathlib import Path
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.base import Run, Work
from flyte_nb.engine.definition import SCRIPT, Definition
from flyte_nb.engine.fingerprint import fingerprint
from flyte_nb.engine.policy import Policy
from flyte_nb.engine.store import Store, hold
from flyte_nb.environments.declaration import mask_inputs
from flyte_nb.environments.interface import EMPTY, NativeInterface
from flyte_nb.errors import UnknownNameError
from flyte_nb.notebook.module import FILE
from flyte_nb.plan.bundle import names_of_tasks
from flyte_nb.plan.files import includes_files
from flyte_nb.plan.seal import insist_whole
from flyte_nb.portal import Relay, Verb
from flyte_nb.session import current_session
from flyte_nb.verbs import carry_out, portal

__all__ = ["Deployed", "call_deployed", "deployed"]


class _Shown(str):
    """The text of a default value, shown as it stands."""

    __repr__ = str.__str__


class Deployed:
    """A deployed task, callable from any process that shares the store.

    Parameters
    ----------
    name : str
        ``<environment>.<task>``.
    row : dict
        What the store knows of its environment.
    """

    #: what runs it unless something else is asked for
    engine = "local"
    #: where it is: empty for this machine
    place = ""

    def __init__(self, name: str, row: dict[str, Any], store: Store) -> None:
        self._describe(name, row)
        self._env_vars = dict(row["declaration"].get("env_vars") or {})
        self._policy = Policy.from_json(row["tasks"][name].get("policy", ""))
        self._home, self._seal = store.bundles / row["bundle"], str(row["seal"])
        hold(self._home)

    def _describe(self, name: str, row: dict[str, Any]) -> None:
        self.name, self.version = name, str(row["version"])
        self.interface: str = row["tasks"][name]["interface"]
        self.description: str = row["tasks"][name]["description"]
        self.inputs: list[dict[str, str]] = row["tasks"][name]["inputs"]
        self._outputs: dict[str, str] = row["tasks"][name]["outputs"]
        #: what it returns, in words
        self.returns = self.interface.rpartition(" -> ")[2] if self._outputs else "None"

    @cached_property
    def _definition(self) -> Definition:
        return Definition(self._home / FILE, SCRIPT, folder=self._home, inside=includes_files(self._home))

    @cached_property
    def _codes(self) -> dict[str, str]:
        return dict.fromkeys(names_of_tasks(self._home), f"bundle {self._home.name}")

    def __repr__(self) -> str:
        return f"<deployed {self.name}{self.interface} at {self.version}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the deployed task in a process of its own and give what it returned."""
        outputs = call_deployed(self.work(args, kwargs), self.engine).outputs()
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    async def aio(self, *args: Any, **kwargs: Any) -> Any:
        """Do the same without blocking the caller's event loop."""
        outputs = (await call_deployed.aio(self.work(args, kwargs), self.engine)).outputs()
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Bind arguments to the task's inputs.

        Raises
        ------
        ValueError
            For missing, unknown or doubly given inputs.
        """
        inputs = {i["name"]: (i["type"], _Shown(i["default"]) if "default" in i else EMPTY) for i in self.inputs}
        return NativeInterface(inputs, self._outputs).complete(*args, **kwargs)

    def work(self, args: tuple[Any, ...], kwargs: dict[str, Any], texts: bool = False) -> Work:
        """Prepare a run; ``texts`` says that the inputs are to be read from text by the task's own types.

        Raises
        ------
        DeploymentError
            When the bundle was edited since it was deployed, or is gone.
        """
        insist_whole(self._home, self._seal)
        inputs = self.bind(args, kwargs)
        parts, _ = codec.encode(inputs, _definitions(self._definition.path))
        caching = self._policy.caching
        return Work(
            self.name,
            self._definition,
            parts,
            mask_inputs(inputs),
            self._env_vars,
            self.version,
            texts,
            policy=self._policy,
            inputs_key=fingerprint(inputs, caching.ignored) if caching.behavior != "disable" else "",
            codes=self._codes,
        )


class Placed(Deployed):
    """A task that was deployed to a cluster from here, callable there.

    Parameters
    ----------
    name : str
        ``<environment>.<task>``.
    row : dict
        What the store knows of its environment there.
    """

    engine = "cluster"

    def __init__(self, name: str, row: dict[str, Any]) -> None:
        self._describe(name, row)
        #: the cluster, with the project and the domain
        self.place = str(row["place"])

    def __repr__(self) -> str:
        return f"<deployed {self.name}{self.interface} at {self.version}, {self.place}>"

    def work(self, args: tuple[Any, ...], kwargs: dict[str, Any], texts: bool = False) -> Work:
        """Prepare a run there."""
        inputs = {name: value for name, value in self.bind(args, kwargs).items() if not isinstance(value, _Shown)}
        parts, _ = codec.encode(inputs)
        return Work(self.name, Definition(), parts, mask_inputs(inputs), {}, self.version, texts)


def _definitions(path: Path | None) -> set[str]:
    """Name the classes and functions at the top of a bundle's module: inputs refer to those, not to their own."""
    assert path is not None
    try:
        body = ast.parse(path.read_bytes()).body
    except OSError:  # the worker says that the bundle is gone
        return set()
    return {s.name for s in body if isinstance(s, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}


async def _call_deployed(relay: Relay, work: Work, engine: str = "local") -> Run:
    """Run the work of a deployed task."""
    return await carry_out(relay, engine, work)


def deployed(name: str, version: str | None = None) -> Deployed:
    """Give a deployed task: one of this machine's store, else one that was deployed to a cluster from here.

    Parameters
    ----------
    name : str
        ``<environment>.<task>``.
    version : str, optional
        The current one by default.

    Raises
    ------
    UnknownNameError
        When no such environment, version or task is deployed; the nearest names are suggested.
    """
    store = current_session().store
    environment, _, _ = name.rpartition(".")
    row = store.placed_row(environment, version)
    if environment not in store.current() and row is not None and name in row["tasks"]:
        return Placed(name, row)
    if environment not in store.current():
        owners = {task: env for env in store.current() for task in store.deployed(env)["tasks"]}
        if name not in owners:
            raise UnknownNameError("deployed task", name, owners)
        environment = owners[name]  # a task of ``TaskEnvironment.from_task`` keeps its own name
    row = store.deployed(environment, version)
    if name not in row["tasks"]:
        raise UnknownNameError("deployed task", name, row["tasks"])
    return Deployed(name, row, store)


call_deployed = Verb(_call_deployed, portal)
