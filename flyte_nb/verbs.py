"""The verbs: run and rerun, each with a blocking form and ``await verb.aio(…)``; and export."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, Literal

from flyte_nb.engine import codec
from flyte_nb.engine.base import Emit, Event, Run, Work
from flyte_nb.engine.definition import refuse_while_loading
from flyte_nb.environments.base import Environment
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import UsageError, UsageTypeError
from flyte_nb.notebook.export import Export, check_target, write_export
from flyte_nb.portal import Portal, Relay, Verb
from flyte_nb.run_outputs import remember
from flyte_nb.session import current_session
from flyte_nb.widgets.run_view import is_watched

__all__ = [
    "begin",
    "carry_out",
    "export",
    "portal",
    "rerun",
    "run",
]


def portal() -> Portal:
    """Give the loop that verbs run on."""
    return current_session().portal


async def carry_out(relay: Relay, engine: str, work: Work) -> Run:
    """Run prepared work, show what it prints, and raise what failed it."""
    session = current_session()
    chosen, show = session.engine(engine), session.show_run()
    if engine == "inline":
        return raised(await relay.here(chosen.run(work, show), work.policy.is_async))
    run = relay.at_once(lambda: chosen.run_at_once(work, show))
    if run is None:
        run = await relay(lambda tell: chosen.run(work, tell), show)
    elif not isinstance(run, Run):
        run = await relay(run.go_on, show)
    return raised(run)


def begin(engine: str, work: Work, quietly: bool = False) -> Run:
    """Start prepared work and give its run at once, while it runs.

    What it prints is shown where the caller's own output goes, but for the time that a view of it is open.

    Parameters
    ----------
    engine : str
        The engine's name.
    work : Work
        What is run.
    quietly : bool
        Whether nothing is shown at all.

    Raises
    ------
    UsageError
        For the inline engine, which runs in the caller's own thread.
    """
    session, began = current_session(), Future[Run]()
    if engine == "inline":
        raise UsageError("the inline engine runs in this thread, which waits for it; leave out wait=False")
    show = _nothing if quietly else _unless_watched(session.show_run())
    job = session.portal.submit(session.engine(engine).run(work, show, began.set_result))
    wait([began, job.done], return_when=FIRST_COMPLETED)
    if not began.done():
        return job.done.result()  # raises what refused it
    run = began.result()
    run.handle = job
    return run


def _nothing(event: Event) -> None:
    """Show nothing."""


def _unless_watched(show: Emit) -> Emit:
    """Show what happens in a run while no view of it is open."""
    return lambda event: None if is_watched(event.run) else show(event)


async def _rerun(relay: Relay, name: str, *, engine: str = "inline") -> Run:
    """Run a task again with the inputs of an earlier run, as the task is declared now.

    Parameters
    ----------
    name : str
        A run that kept its inputs: one made with ``flyte.with_runcontext(keep="on-failure")`` or ``"always"``.
    engine : str
        ``"inline"`` runs it in this process, where a debugger can stop in it; ``"local"`` in one of its own.

    Raises
    ------
    UnknownNameError
        When there is no such run, or its task is not declared here.
    UsageError
        When the run did not keep its inputs.
    """
    session = current_session()
    known = session.store.run(name)
    parts = session.store.value(name, known.root.id, "inputs")
    if parts is None:
        raise UsageError(
            f'run {name!r} did not keep its inputs; flyte.with_runcontext(keep="on-failure").run(…) keeps those of a '
            "run that fails"
        )
    return await carry_out(relay, engine, session.work(session.registry.find_task(known.task), (), codec.decode(parts)))


def raised(run: Run) -> Run:
    """Give a run that succeeded, or raise what failed it."""
    if run.error is not None:
        run.error.run = run.name
        raise run.error
    remember(run)
    return run


async def _run(relay: Relay, task: TaskTemplate, /, *args: Any, **kwargs: Any) -> Run:
    """Run a task in a process of its own; its output appears in the cell.

    Parameters
    ----------
    task : TaskTemplate
        A task, made with ``@env.task``.
    *args, **kwargs
        Its inputs.

    Returns
    -------
    Run
        With ``outputs()``, ``logs()``, ``phase`` and the actions.

    Raises
    ------
    RuntimeUserError
        When the task failed; the original exception is its ``__cause__``.
    TaskProcessError
        When the task's process ended before the task did.
    SliceError
        When something the task reads cannot leave the kernel.
    TypeError, ValueError
        For inputs that do not fit.
    """
    refuse_while_loading("run")
    return await carry_out(relay, "local", current_session().work(task, args, kwargs))


def export(
    path: str | Path,
    *envs: Environment,
    for_: Literal["flyte_nb", "flyte"] = "flyte_nb",
    with_data: bool = False,
    marks: bool = False,
) -> Path:
    """Write the notebook's definitions as a Python module: imports at the top, then what the environments need.

    Parameters
    ----------
    path : str or Path
        The module, such as ``"pipeline.py"``. A file that is there is replaced only where an export wrote it.
    *envs : Environment
        What is exported, with all that they depend on; by default every environment that a cell declares.
    for_ : "flyte_nb" or "flyte"
        The package that the module imports; ``"flyte"`` is the Flyte SDK.
    with_data : bool
        Whether values that the notebook computed are written into a folder beside the module, for it to load.
    marks : bool
        Whether a comment above each statement tells its cell and line.

    Returns
    -------
    Path
        The file; the same notebook gives the same bytes.

    Raises
    ------
    SliceError
        For a value that the notebook computed, unless ``with_data`` is given, and for what cannot leave the kernel.
    UsageError
        For a path that is not a module's or holds something else, and where no cell declares an environment.
    """
    for env in envs:
        if not isinstance(env, Environment):
            raise UsageTypeError(f"flyte.export: given {env!r:.80}; accepted: environments, after the path")
    if for_ not in ("flyte_nb", "flyte"):
        raise UsageError(f"flyte.export(for_=): given {for_!r:.80}; accepted: 'flyte_nb', 'flyte'")
    path = Path(path)
    check_target(path)
    data = f"{path.stem}_data" if with_data else ""
    source, module = current_session().shipping.exported(envs, Export(target=for_, marks=marks, data=data))
    write_export(path, source, module)
    return path


run = Verb(_run, portal)
rerun = Verb(_rerun, portal)
