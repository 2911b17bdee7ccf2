"""Shipping: from declarations to what travels — the module of a run, a bundle, an export; and what is out of date."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from flyte_nb.cell_connectors import CellConnectors, cell_connectors
from flyte_nb.changes import tasks_of
from flyte_nb.engine.definition import Definition, definition_of, import_of
from flyte_nb.engine.policy import policy_of
from flyte_nb.engine.store import Store
from flyte_nb.environments.base import Environment
from flyte_nb.environments.connector import ConnectorEnvironment
from flyte_nb.environments.container_task import ContainerTask
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeploymentError, UsageError
from flyte_nb.notebook.export import Export, export_module
from flyte_nb.notebook.module import Module, locate
from flyte_nb.notebook.sdk import spelled_module
from flyte_nb.notebook.staleness import Stale, changed_files, changed_names
from flyte_nb.plan.bundle import Bundle, bundle_for, read_bundle
from flyte_nb.plan.diff import fields_changed
from flyte_nb.plan.files import Shipped, one_of_each
from flyte_nb.plan.graph import Graph, graph_of, order
from flyte_nb.plan.includes import included
from flyte_nb.plan.local_modules import local_modules
from flyte_nb.plan.project import DATA, Project
from flyte_nb.registry import Registry
from flyte_nb.views import told_size
from flyte_nb.workbook import Workbook

__all__ = ["Shipping"]


class _Codes(dict[str, str]):
    """Digests by task; a task that only an override lets keep its outputs has that of all that its run reads."""

    def __init__(self, whole: Callable[[], str], known: dict[str, str]) -> None:
        super().__init__(known)
        self._whole = whole

    def __missing__(self, task: str) -> str:
        code = self[task] = self._whole()
        return code


class Shipping:
    """Puts together what leaves this process.

    Parameters
    ----------
    workbook : Workbook
        The cells.
    registry : Registry
        What is declared.
    store : Store
        Where modules and bundles are written.
    """

    def __init__(self, workbook: Workbook, registry: Registry, store: Store) -> None:
        self._workbook, self._registry, self._store = workbook, registry, store
        self._sent: dict[str, Module] = {}  # of each task, what its last run had

    def definition(self, task: TaskTemplate, used: Iterable[str] = ()) -> Definition:
        """Say where a worker finds a task: for a cell's, write the module that holds it.

        Parameters
        ----------
        task : TaskTemplate
            The task.
        used : iterable of str
            Further definitions of the notebook that its inputs refer to.

        Raises
        ------
        SliceError
            When something it reads cannot leave the kernel.
        """
        if policy_of(task).connector:
            return Definition()  # it runs in this process: nothing travels
        if not self._workbook.holds(task):
            return definition_of(task)
        module = self._workbook.module(names=used, tasks=self._together(task))
        self._sent[task.name] = module
        values = tuple(f"{v.name} travels by value: {told_size(len(v.data))}, from {v.label}" for v in module.captured)
        return Definition(module.write(self._store.modules / module.digest[:16]), values=values)

    def _together(self, task: TaskTemplate) -> list[TaskTemplate]:
        """Give the tasks that share a module with one: a reusable environment's workers take any of its tasks."""
        env = task.environment
        if task.reusable is None or env is None:
            return [task]
        others = [one for one in tasks_of(env).values() if one.name != task.name and self._workbook.holds(one)]
        return [*others, task]

    def codes(self, task: TaskTemplate) -> Mapping[str, str]:
        """Give a digest of the code that each task of a run reads, as far as their outputs are kept.

        Of a cell's task that is its slice and the local modules that this imports; of another one its file and those.
        """
        tasks = (one for env in self._registry.values() for one in tasks_of(env).values())
        return _Codes(lambda: self._code(task), {one.name: self._code(one) for one in tasks if one.cache.is_enabled()})

    def _code(self, task: TaskTemplate) -> str:
        if isinstance(task, ContainerTask):  # what it runs is what it says
            return task.digest()
        if self._workbook.holds(task):
            module = self._workbook.module(tasks=[task])
        else:
            source = inspect.getsourcefile(inspect.unwrap(getattr(task, "func", type(task))))
            module = Module(Path(source).read_text() if source else "")
        files = sorted(file.digest for file in local_modules(module.source, str))
        return hashlib.sha256("".join([module.digest, *files]).encode()).hexdigest()

    def bundle(self, environments: Iterable[Environment], version: str | None = None) -> Bundle:
        """Make the bundle of some environments and of all that they depend on.

        Raises
        ------
        DeploymentError
            For a cycle, or for tasks that are not in the notebook's cells.
        """
        return self.bundle_of(self.graph(environments).order, version)

    def graph(self, environments: Iterable[Environment]) -> Graph:
        """Give the graph of some environments, their newest declarations, and of all that they depend on.

        Raises
        ------
        DeploymentError
            For a cycle, two environments of one name, or a dependency that was withdrawn.
        """
        return graph_of(environments, self._registry.newest, self._registry.__contains__)

    def bundle_of(self, ordered: list[Environment], version: str | None = None) -> Bundle:
        """Make the bundle of environments that are in order already."""
        module = self._module_of(ordered)
        return bundle_for(
            ordered,
            module,
            version,
            self._files_of(ordered, module),
            lambda task: policy_of(task).to_json(),
            self._included(ordered),
            self._variables(ordered),
            {env.name: self._served([env]).names for env in ordered if isinstance(env, ConnectorEnvironment)},
        )

    def _variables(self, environments: list[Environment]) -> dict[str, str]:
        """Give a variable that the declaration of each environment binds in the module, as far as there is one."""
        declaring = ((env.name, self._workbook.log.declaring(env.name)) for env in environments)
        bound = {name: min(s.names.binds) for name, s in declaring if s is not None and s.names.binds}
        return bound | {name: line.rpartition(" as ")[2] for name, line in self._imports(environments).items()}

    def _imports(self, environments: list[Environment]) -> dict[str, str]:
        """Give the lines that import the environments of plain modules, by name."""
        if self._workbook.shell is None:
            return {}
        return {env.name: line for env in environments if (line := import_of(env)) is not None}

    def _module_of(self, environments: list[Environment]) -> Module:
        if self._workbook.shell is None:
            return Module(_only_file(environments).read_text())
        imports = self._imports(environments)
        own = [env for env in environments if env.name not in imports]
        tasks = [task for env in environments for task in tasks_of(env).values()]
        of_cells = [t for t in tasks if t.place.in_cell or t.name.rpartition(".")[0] not in imports]
        of_cells = [t for t in of_cells if not isinstance(t, ContainerTask)]  # the statement of its environment has it
        served = self._served(own)
        module = self._workbook.module(names=served.names, tasks=of_cells, environments=own)
        lines = "".join(f"\n\n{line}\n" for line in (*imports.values(), "\n".join(served.lines)) if line)
        return replace(module, source=module.source + lines)

    def holds_connectors(self, env: Environment) -> bool:
        """Tell whether the module of an environment registers connectors of cells, for a connector server to import."""
        return bool(self._served([env]).names)

    def _served(self, environments: list[Environment]) -> CellConnectors:
        is_any = any(isinstance(env, ConnectorEnvironment) for env in environments)
        return cell_connectors(self._workbook) if is_any else CellConnectors()

    def _files_of(self, environments: list[Environment], module: Module) -> tuple[Shipped, ...]:
        """Give the files that travel with a module: what its environments include, and the local modules it imports."""
        file = self._file(environments)

        def name(line: int) -> str:
            if file is not None:
                return f"{file.name}, line {line}"
            cell = locate(module.source, line)
            return f"{cell[0]}, line {cell[1]}" if cell else "the notebook"

        files = [file for files in self._included(environments).values() for file in files]
        return one_of_each([*files, *local_modules(module.source, name, files)])

    def _file(self, environments: list[Environment]) -> Path | None:
        return None if self._workbook.shell is not None else _only_file(environments)

    def _included(self, environments: list[Environment]) -> dict[str, list[Shipped]]:
        """Give the files that each environment includes, of those that include any."""
        root = self._root(environments)
        return {env.name: list(included(env, root)) for env in environments if env.include}

    def exported(self, environments: Iterable[Environment], how: Export) -> tuple[str, Module]:
        """Write the definitions of environments, and of what they depend on, as a module that a person would commit.

        Raises
        ------
        UsageError
            Outside a notebook, and where nothing of it is declared in cells.
        SliceError
            For what cannot be exported.
        """
        if self._workbook.shell is None:
            raise UsageError("flyte.export writes the definitions of a notebook; a script is a module already")
        chosen = list(environments) or [env for env in self._registry.values() if env.place.in_cell]
        if not chosen:
            raise UsageError("nothing to export: no cell declares an environment")
        ordered = [env for env in order(chosen, self._registry.newest) if env.place.in_cell]
        bound = (task for env in ordered for task in tasks_of(env).values())
        tasks = [task for task in bound if hasattr(task, "func")]  # the others are what their environments read
        module = self._workbook.module(names=self._served(ordered).names, tasks=tasks, environments=ordered)
        local = {file.path.partition("/")[0].partition(".")[0] for file in local_modules(module.source, str)}
        file = self._workbook.location.file
        how = replace(
            how, notebook=file.name if file else "", environments=tuple(env.name for env in ordered), local=local
        )
        return export_module(module, self._workbook.log, how), module

    def for_sdk(self, environments: Iterable[Environment]) -> Project:
        """Give environments and what they depend on as a module for the Flyte SDK, with the files beside it.

        Raises
        ------
        DeploymentError
            For a cycle, and for environments of other modules than the notebook's cells or the one script.
        SliceError
            For what cannot leave the kernel, and for what the SDK does not have.
        """
        ordered = self.graph(environments).order
        if self._workbook.shell is None:
            file = _only_file(ordered)
            source = spelled_module(file.read_text(), file.name)
            return Project(file.stem, source, Module(source), self._files_of(ordered, Module(source)), tuple(ordered))
        if other := [env for env in ordered if not env.place.in_cell]:
            raise DeploymentError(
                f"environment {other[0].name!r} is declared in {other[0].place.file}, which imports flyte_nb; "
                "the Flyte SDK takes environments of this notebook's cells: declare it in a cell"
            )
        source, module = self.exported(ordered, Export(target="flyte", marks=True, data=DATA))
        location = self._workbook.location.file
        return Project(
            location.stem if location else "notebook", source, module, self._files_of(ordered, module), tuple(ordered)
        )

    def has_run(self, env: Environment) -> bool:
        """Tell whether a task of an environment has run here."""
        return not self._sent.keys().isdisjoint(tasks_of(env))

    def changed_since_run(self, env: Environment) -> list[Stale]:
        """Say what changed since the tasks of an environment last ran here.

        Raises
        ------
        SliceError
            When it cannot be run as it is now.
        """
        tasks, found = tasks_of(env), list[Stale]()
        for name in tasks.keys() & self._sent.keys():
            run = f"the last run of {name.rpartition('.')[2]}"
            found += changed_names(self._sent[name], self._workbook.module(tasks=[tasks[name]]), run)
        return found

    def includes(self, env: Environment) -> list[Shipped]:
        """Give the files that an environment includes, which need not be declared.

        Raises
        ------
        DeploymentError
            When one is not there, or lies outside the folder.
        """
        return list(included(env, self._root([env]))) if env.include else []

    def _root(self, environments: list[Environment]) -> Path:
        file = self._file(environments)
        return self._workbook.location.folder if file is None else file.parent

    def outdated(self, env: Environment) -> list[Stale]:
        """Say what changed since the tasks of an environment last ran here, and since it was deployed.

        Raises
        ------
        SliceError, DeploymentError
            When it can be neither run nor deployed as it is now.
        """
        found = self.changed_since_run(env)
        version = self._store.current().get(env.name)
        if version is None or self._workbook.shell is None:
            return found
        row = self._store.deployed(env.name)
        before, files = read_bundle(self._store.bundles / row["bundle"])
        now = self._module_of([env])
        found += [*_drafted(env, row["declaration"]), *changed_names(before, now, "the deployment")]
        mine = {file.path: file.digest for file in self._files_of([env], now)}
        return found + changed_files(files, mine, "the deployment")

    def module_file(self, env: Environment) -> str:
        """Give the file of the module that holds a cell's environment and its tasks, written where it is not there."""
        if self._workbook.shell is None:
            return env.place.file
        module = self._workbook.module(tasks=tasks_of(env).values(), environments=[env])
        return str(module.write(self._store.modules / module.digest[:16]))


def _drafted(env: Environment, before: Mapping[str, Any]) -> list[Stale]:
    """Say which settings that a draft changed differ from the deployed ones: the definitions do not show them."""
    changed = {change.field.partition(".")[0] for change in fields_changed(before, env.to_dict())}
    return [Stale(name, "", "changed by a draft", "the deployment") for name in env._unwritten if name in changed]


def _only_file(environments: list[Environment]) -> Path:
    """Give the one file that declares environments, outside a notebook.

    Raises
    ------
    DeploymentError
        When there are several.
    """
    tasks = [t for env in environments for t in tasks_of(env).values() if not isinstance(t, ContainerTask)]
    files = {task.place.file for task in tasks} or {env.place.file for env in environments}
    if len(files) != 1:
        raise DeploymentError(f"the environments are declared in {len(files)} files: {', '.join(sorted(files))}; "
                              "deploy those of one file at a time")  # fmt: skip
    return Path(files.pop())
