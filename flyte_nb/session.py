"""Session: one object per process that joins the registry, the notebook, the store and the engines."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flyte_nb.changes import Changes
from flyte_nb.engine import codec
from flyte_nb.engine.base import Engine, Event, Progress, Run, Step, Work
from flyte_nb.engine.definition import MAIN, SCRIPT
from flyte_nb.engine.fingerprint import fingerprint
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.engine.policy import policy_of
from flyte_nb.engine.store import Store, home_for
from flyte_nb.environments.declaration import mask_inputs
from flyte_nb.environments.interface import check_value
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import UnknownNameError, UsageTypeError
from flyte_nb.notebook.module import tidy
from flyte_nb.notebook.shell import Running, Watch
from flyte_nb.portal import Portal
from flyte_nb.registry import Registry, Source, process_registry
from flyte_nb.shipping import Shipping
from flyte_nb.workbook import Workbook

__all__ = ["ENGINES", "Session", "current_registry", "current_session"]

ENGINES = ("local", "inline", "cluster")


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
        self.portal = Portal()
        self.store = Store(home_for(folder or Path.cwd()))
        self.workbook = Workbook(shell, self.registry)
        self.shipping = Shipping(self.workbook, self.registry, self.store)
        #: where the values of secrets come from
        self.secrets = Secrets(self.store.home.parent)
        self.workbook.secret_values = self.secrets.set_values
        #: whether warm workers are started up to the minimum that their environment states
        self.fills_pools = True
        self._engines: dict[str, Engine] = {}
        self._making = threading.Lock()
        #: shows what a cell changed; the magics set it
        self.show_changes: Callable[[Changes, Running], None] = lambda changes, running: None
        #: gives what shows the events of one run, and None where nothing has happened for a while; the magics set it
        self.show_run: Callable[[], Callable[[Event | None], None]] = lambda: print_output
        #: gives what shows how one deployment goes; the magics set it
        self.show_progress: Callable[[], Callable[[Progress | None], None]] = lambda: tell_waits
        #: called when a cell has succeeded and what it declares counts
        self.after_cell: list[Callable[[], None]] = []
        #: called when something was deployed or went back, in whatever thread did it
        self.after_deployment: list[Callable[[], None]] = []
        self._watch = Watch(shell, self) if shell is not None else None
        if self._watch is not None:
            self.workbook.catch_up(self._watch)
            self._watch.start()
            tidy(self.store.modules)

    def engine(self, name: str) -> Engine:
        """Give an engine by name.

        Raises
        ------
        UnknownNameError
            With the names there are.
        """
        if name not in ENGINES:
            raise UnknownNameError("engine", name, ENGINES)
        with self._making:
            if name not in self._engines:
                self._engines[name] = self._made(name)
            return self._engines[name]

    def find_run(self, name: str) -> Run:
        """Give a run by its name: itself where it goes on in this process, else its record.

        Raises
        ------
        UnknownNameError
            With the nearest names.
        """
        for engine in list(self._engines.values()):
            if name in engine.running:
                return engine.running[name]
        found = self.store.run(name)
        return self._taken_up(found) if found.address and not found.done() else found

    def _taken_up(self, run: Run) -> Run:
        """Follow a run in a cluster that an earlier process started."""
        engine: Any = self.engine("cluster")
        run.handle = self.portal.submit(engine.take_up(run))
        engine.running[run.name] = run
        return run

    def is_running(self, run: Run) -> bool:
        """Tell whether a run goes on in this process."""
        return any(engine.running.get(run.name) is run for engine in list(self._engines.values()))

    def _made(self, name: str) -> Engine:
        """Make an engine when it is first asked for: loading one takes longer than all that comes before a run."""
        if name == "inline":
            from flyte_nb.engine.inline import InlineEngine

            return InlineEngine(self.store)
        if name == "cluster":
            from flyte_nb.engine.cluster.engine import ClusterEngine

            return ClusterEngine(self.store, self.registry, self.shipping.for_sdk)
        from flyte_nb.engine.local.engine import LocalEngine

        return LocalEngine(self.store, self.secrets, self.fills_pools)

    def close(self) -> None:
        """Stop the engines and listen to no more cells."""
        if self._watch is not None:
            self._watch.stop()
        for engine in self._engines.values():
            self.portal.submit(engine.stop()).done.result(timeout=10)
        self.store.close()

    def tell_deployment(self) -> None:
        """Tell whoever asks that other versions are current now."""
        for hear in list(self.after_deployment):
            hear()

    # --- cells ---

    def begin(self, running: Running) -> None:
        """Start the transaction of a cell."""
        self.workbook.running = running
        self.registry.begin(Source(running.key, running.cell.label, is_cell=True))

    def end(self, running: Running, failed_at: int | None) -> None:
        """End the transaction of a cell: keep what it did when it succeeded, else leave the registry as it was."""
        self.workbook.running = None
        if failed_at is not None:
            self.registry.rollback()
            self.workbook.record(running, failed_at)
            self.workbook.log.undo(running.cell)
            return
        changes = self.registry.commit()
        self.workbook.record(running, None)
        self.show_changes(changes, running)
        for hear in list(self.after_cell):
            hear()

    # --- what a verb needs ---

    def work(self, task: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Work:
        """Prepare a run: bind and check the inputs, encode them, and find the task's definition.

        Raises
        ------
        TypeError
            For something that is not a task, and for an input of the wrong type.
        ValueError
            For missing, unknown or doubly given inputs.
        InlineIOMaxBytesBreached
            For inputs with more bytes inline than the task may have.
        """
        if not isinstance(task, TaskTemplate):
            raise UsageTypeError(f"flyte.run: given {task!r:.80}; accepted: a task, made with @env.task")
        inputs = task.interface.complete(*args, **kwargs)
        kinds = task.interface.get_input_types()
        inputs = {n: check_value(f"input {n!r}", value, kinds[n], task.name) for n, value in inputs.items()}
        policy = policy_of(task)
        parts, used = codec.encode(inputs, self.workbook.defined(task))
        codec.insist_inline(inputs, parts, task.max_inline_io_bytes, "inputs", task.name)
        return Work(
            task=task.name,
            definition=self.shipping.definition(task, used),
            inputs=parts,
            shown=mask_inputs(inputs),
            env_vars=dict(task.env_vars or {}),
            policy=policy,
            live=(task, inputs),
            inputs_key=fingerprint(inputs, policy.caching.ignored) if policy.caching.behavior != "disable" else "",
            codes=self.shipping.codes(task),
            notebook=str(self.workbook.location.file or "") if self.workbook.shell is not None else "",
        )


def print_output(event: Event | None) -> None:
    """Show what a run prints, where the caller's own output goes."""
    if event is not None and event.text:
        stream = sys.stderr if event.stream == "stderr" else sys.stdout
        stream.write(event.text)
        stream.flush()


def tell_waits(progress: Progress | None) -> None:
    """Say what a deployment waits for; None is a second without news."""
    if progress is not None and progress.step is Step.WAITING:
        print(f"flyte: {progress}", file=sys.stderr, flush=True)


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
