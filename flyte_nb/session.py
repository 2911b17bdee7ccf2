"""Session: one object per process that joins the registry, the notebook, the store and the engines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from flyte_nb.changes import Changes, tasks_of
from flyte_nb.engine import codec
from flyte_nb.engine.base import Engine, Work
from flyte_nb.engine.definition import MAIN, SCRIPT, Definition, definition_of, import_of
from flyte_nb.engine.local.engine import LocalEngine
from flyte_nb.engine.store import Store, home_for
from flyte_nb.environments import place
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import Declaration, mask_inputs
from flyte_nb.environments.interface import check_value
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeploymentError, UnknownNameError, UsageError, UsageTypeError
from flyte_nb.notebook.cells import CellLog
from flyte_nb.notebook.export import Export, export_module
from flyte_nb.notebook.location import Location, find_location, stated_location
from flyte_nb.notebook.module import Module, locate
from flyte_nb.notebook.shell import Running, Watch
from flyte_nb.notebook.slicing import module_for
from flyte_nb.notebook.staleness import Stale, changed_files, changed_names
from flyte_nb.plan.bundle import Bundle, bundle_for, read_bundle
from flyte_nb.plan.files import Shipped, one_of_each
from flyte_nb.plan.graph import order
from flyte_nb.plan.includes import included
from flyte_nb.plan.local_modules import local_modules
from flyte_nb.portal import Portal
from flyte_nb.registry import Registry, Source, process_registry

__all__ = ["Session", "current_registry", "current_session"]


class Session:
    """What one process knows: what is declared, which cells ran, where records go, how tasks run.

    Parameters
    ----------
    shell : InteractiveShell, optional
        The shell whose cells are watched; None outside IPython.
    folder : Path, optional
        Where the work is done; the store is found from it.
    """

    def __init__(self, shell: Any = None, folder: Path | None = None) -> None:
        self.registry: Registry = process_registry
        self.log = CellLog()
        self.portal = Portal()
        self.store = Store(home_for(folder or Path.cwd()))
        self.engines: dict[str, Engine] = {"local": LocalEngine(self.store)}
        #: shows what a cell changed; the magics set it
        self.show_changes: Callable[[Changes, Running], None] = lambda changes, running: None
        self._shell = shell
        self._folder = Path.cwd()
        self._stated: Location | None = None
        self._running: Running | None = None
        self._sent: dict[str, Module] = {}  # of each task, what its last run had
        self._watch = Watch(shell, self) if shell is not None else None
        if self._watch is not None:
            self._catch_up(self._watch)
            self._watch.start()
            place.notebook_folder = lambda: str(self.location.folder)

    @property
    def namespace(self) -> dict[str, Any]:
        """The live values of the kernel, or of the main module."""
        return self._shell.user_ns if self._shell is not None else vars(sys.modules[MAIN])

    @property
    def location(self) -> Location:
        """Where the notebook is: what relative paths in its cells mean."""
        return self._stated or find_location(self.namespace, os.environ, self._folder)

    def state_location(self, path: Path) -> Location:
        """Take a person's word for where the notebook is: the path of its file, or of its folder.

        Raises
        ------
        UnknownNameError
            When there is no such file or folder.
        """
        self._stated = stated_location(path)
        return self._stated

    def engine(self, name: str) -> Engine:
        """Give an engine by name.

        Raises
        ------
        UnknownNameError
            With the names there are.
        """
        if name not in self.engines:
            raise UnknownNameError("engine", name, self.engines)
        return self.engines[name]

    def close(self) -> None:
        """Stop the engines and listen to no more cells."""
        if self._watch is not None:
            self._watch.stop()
        for engine in self.engines.values():
            self.portal.submit(engine.stop()).done.result(timeout=10)

    # --- cells ---

    def begin(self, running: Running) -> None:
        """Start the transaction of a cell."""
        self._running = running
        self.registry.begin(Source(running.key, running.cell.label, is_cell=True))

    def end(self, running: Running, failed_at: int | None) -> None:
        """End the transaction of a cell: keep what it did when it succeeded, else leave the registry as it was."""
        self._running = None
        if failed_at is not None:
            self.registry.rollback()
            self._record(running, failed_at)
            return
        changes = self.registry.commit()
        self._record(running, None)
        self.show_changes(changes, running)

    def _module(self, **wanted: Any) -> Module:
        """Make the module of what is wanted; the statements of the running cell that are through count."""
        line = None if self._running is None else _line_in(self._running.cell.file)
        if self._running is not None and line is not None:
            self._record(self._running, line)
        return module_for(self.log, self.namespace, **wanted)

    def _record(self, running: Running, until: int | None) -> None:
        self.log.record(
            running.cell,
            until,
            configurable=self._is_declared,
            declared=_declared_in(self.registry, running.cell.file),
        )

    def _is_declared(self, name: str) -> bool:
        return isinstance(self.namespace.get(name), Declaration)

    def _catch_up(self, watch: Watch) -> None:
        """Take in the cells that ran before anyone watched; what bound no live name is taken to have failed."""
        for cell in watch.past():
            self.log.record(
                cell,
                only=lambda s: all(name in self.namespace for name in s.names.binds),
                configurable=self._is_declared,
                declared=_declared_in(self.registry, cell.file),
            )

    # --- what a verb needs ---

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
        if not self._is_of_cells(task):
            return definition_of(task)
        module = self._module(names=used, tasks=[task])
        self._sent[task.name] = module
        return Definition(module.write(self.store.modules / module.digest[:16]))

    def _is_of_cells(self, task: TaskTemplate) -> bool:
        is_local = "<locals>" in getattr(task, "func", type(task)).__qualname__
        return self._shell is not None and task.__module__ == MAIN and not is_local

    def _defined(self, task: TaskTemplate) -> Container[str]:
        """Give the names of this process's main module that the task's process will have, too."""
        if self._is_of_cells(task):
            return self.log
        return self.namespace if definition_of(task).path is not None else ()

    def work(self, task: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Work:
        """Prepare a run: bind and check the inputs, encode them, and find the task's definition.

        Raises
        ------
        TypeError
            For something that is not a task, and for an input of the wrong type.
        ValueError
            For missing, unknown or doubly given inputs.
        """
        if not isinstance(task, TaskTemplate):
            raise UsageTypeError(f"flyte.run: given {task!r:.80}; accepted: a task, made with @env.task")
        inputs = task.interface.complete(*args, **kwargs)
        kinds = task.interface.get_input_types()
        inputs = {n: check_value(f"input {n!r}", value, kinds[n], task.name) for n, value in inputs.items()}
        parts, used = codec.encode(inputs, self._defined(task))
        return Work(
            task=task.name,
            definition=self.definition(task, used),
            inputs=parts,
            shown=mask_inputs(inputs),
            env_vars=dict(task.env_vars or {}),
        )

    def bundle(self, environments: Iterable[Environment], version: str | None = None) -> Bundle:
        """Make the bundle of some environments and of all that they depend on.

        Raises
        ------
        DeploymentError
            For a cycle, or for tasks that are not in the notebook's cells.
        """
        ordered = order(environments, self.registry.newest)
        module = self._module_of(ordered)
        return bundle_for(ordered, module, version, self._files_of(ordered, module))

    def _module_of(self, environments: list[Environment]) -> Module:
        if self._shell is None:
            return Module(_only_file(environments).read_text())
        imports = {env.name: line for env in environments if (line := import_of(env)) is not None}
        own = [env for env in environments if env.name not in imports]
        tasks = [task for env in environments for task in tasks_of(env).values()]
        of_cells = [t for t in tasks if t.place.in_cell or t.name.rpartition(".")[0] not in imports]
        module = self._module(tasks=of_cells, environments=own)
        lines = "".join(f"\n\n{line}\n" for line in imports.values())
        return replace(module, source=module.source + lines)

    def _files_of(self, environments: list[Environment], module: Module) -> tuple[Shipped, ...]:
        """Give the files that travel with a module: what its environments include, and the local modules it imports."""
        file = None if self._shell is not None else _only_file(environments)
        root = self.location.folder if file is None else file.parent

        def name(line: int) -> str:
            if file is not None:
                return f"{file.name}, line {line}"
            cell = locate(module.source, line)
            return f"{cell[0]}, line {cell[1]}" if cell else "the notebook"

        files = [file for env in environments for file in included(env, root)]
        return one_of_each([*files, *local_modules(module.source, name, files)])

    def exported(self, environments: Iterable[Environment], how: Export) -> tuple[str, Module]:
        """Write the definitions of environments, and of what they depend on, as a module that a person would commit.

        Raises
        ------
        UsageError
            Outside a notebook, and where nothing of it is declared in cells.
        SliceError
            For what cannot be exported.
        """
        if self._shell is None:
            raise UsageError("flyte.export writes the definitions of a notebook; a script is a module already")
        chosen = list(environments) or [env for env in self.registry.values() if env.place.in_cell]
        if not chosen:
            raise UsageError("nothing to export: no cell declares an environment")
        ordered = [env for env in order(chosen, self.registry.newest) if env.place.in_cell]
        tasks = [task for env in ordered for task in tasks_of(env).values()]
        module = self._module(tasks=tasks, environments=ordered)
        local = {file.path.partition("/")[0].partition(".")[0] for file in local_modules(module.source, str)}
        file = self.location.file
        how = replace(
            how, notebook=file.name if file else "", environments=tuple(env.name for env in ordered), local=local
        )
        return export_module(module, self.log, how), module

    def outdated(self, env: Environment) -> list[Stale]:
        """Say what changed since the tasks of an environment last ran here, and since it was deployed.

        Raises
        ------
        SliceError, DeploymentError
            When it can be neither run nor deployed as it is now.
        """
        tasks, found = tasks_of(env), list[Stale]()
        for name in tasks.keys() & self._sent.keys():
            run = f"the last run of {name.rpartition('.')[2]}"
            found += changed_names(self._sent[name], self._module(tasks=[tasks[name]]), run)
        version = self.store.current().get(env.name)
        if version is None or self._shell is None:
            return found
        before, files = read_bundle(self.store.bundles / self.store.deployed(env.name)["bundle"])
        now = self._module_of([env])
        found += changed_names(before, now, "the deployment")
        mine = {file.path: file.digest for file in self._files_of([env], now)}
        return found + changed_files(files, mine, "the deployment")

    def module_file(self, env: Environment) -> str:
        """Give the file of the module that holds a cell's environment and its tasks, written where it is not there."""
        if self._shell is None:
            return env.place.file
        module = self._module(tasks=tasks_of(env).values(), environments=[env])
        return str(module.write(self.store.modules / module.digest[:16]))


def _line_in(file: str) -> int | None:
    """Give the line that the code of a running cell has reached; None where another thread or task asks."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (frame.f_code.co_filename != file or frame.f_code.co_name != "<module>"):
        frame = frame.f_back
    return None if frame is None else frame.f_lineno


def _only_file(environments: list[Environment]) -> Path:
    """Give the one file that declares environments, outside a notebook.

    Raises
    ------
    DeploymentError
        When there are several.
    """
    tasks = [task for env in environments for task in tasks_of(env).values()]
    files = {task.place.file for task in tasks} or {env.place.file for env in environments}
    if len(files) != 1:
        raise DeploymentError(f"the environments are declared in {len(files)} files: {', '.join(sorted(files))}; "
                              "deploy those of one file at a time")  # fmt: skip
    return Path(files.pop())


def _declared_in(registry: Registry, file: str) -> list[tuple[str, int]]:
    """List the environments and tasks that a cell's file declared, with their lines."""
    environments = [(env.name, env.place) for env in registry.values()]
    tasks = [(task.name, task.place) for env in registry.values() for task in tasks_of(env).values()]
    return [(name, place.line) for name, place in [*environments, *tasks] if place.file == file]


_session: Session | None = None


def current_session(shell: Any = None) -> Session:
    """Give the session of this process, made when it is first asked for; in a kernel it watches the cells."""
    global _session
    if _session is None:
        _session = Session(shell or _find_shell())
        sys.modules.setdefault(SCRIPT, sys.modules[MAIN])  # what a script's or a bundle's worker returns refers to it
    return _session


def _find_shell() -> Any:
    """Give IPython's shell where one runs, without importing IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def current_registry() -> Registry:
    """Give the environments alive in this process: a mapping by name, with ``observe(callback)``."""
    return process_registry
