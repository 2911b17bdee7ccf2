"""The verbs: run, deploy, deployed — each with a blocking form and ``await verb.aio(…)``."""

from __future__ import annotations

import ast
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, Literal

from flyte_nb.engine import codec
from flyte_nb.engine.base import Deployment, Deployments, Run, Work, now
from flyte_nb.engine.definition import SCRIPT, Definition, refuse_while_loading
from flyte_nb.engine.fingerprint import fingerprint
from flyte_nb.engine.policy import Policy
from flyte_nb.engine.store import Store
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import mask_inputs
from flyte_nb.environments.interface import EMPTY, NativeInterface
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeploymentError, UnknownNameError, UsageError, UsageTypeError
from flyte_nb.notebook.export import Export, check_target, write_export
from flyte_nb.notebook.module import FILE
from flyte_nb.plan.bundle import Bundle, names_of_tasks
from flyte_nb.plan.files import includes_files
from flyte_nb.portal import Portal, Relay, Verb
from flyte_nb.run_outputs import remember
from flyte_nb.session import current_session, print_output

__all__ = [
    "Deployed",
    "begin",
    "call_deployed",
    "carry_out",
    "deploy",
    "deployed",
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


def begin(engine: str, work: Work) -> Run:
    """Start prepared work and give its run at once, while it runs.

    Raises
    ------
    UsageError
        For the inline engine, which runs in the caller's own thread.
    """
    session, began = current_session(), Future[Run]()
    if engine == "inline":
        raise UsageError("the inline engine runs in this thread, which waits for it; leave out wait=False")
    job = session.portal.submit(session.engine(engine).run(work, session.show_run(), began.set_result))
    wait([began, job.done], return_when=FIRST_COMPLETED)
    if not began.done():
        return job.done.result()  # raises what refused it
    run = began.result()
    run.handle = job
    return run


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


async def _deploy(
    relay: Relay, *envs: Environment, dry_run: bool = False, version: str | None = None, engine: str = "local"
) -> Deployments:
    """Deploy environments and all that they depend on, as one bundle under one version.

    Parameters
    ----------
    *envs : Environment
        What is deployed; their newest declarations.
    dry_run : bool
        Only say what would be deployed.
    version : str, optional
        A name for the version; from the content by default.
    engine : str
        Where to: ``"local"`` is the store on this machine.

    Returns
    -------
    Deployments
        Dependencies first. The same content has the same version and is ``unchanged``.

    Raises
    ------
    DeploymentError
        When nothing was deployed; the last version is untouched.
    SliceError
        When something a task reads cannot leave the kernel.
    """
    refuse_while_loading("deploy")
    session = current_session()
    for env in envs:
        if not isinstance(env, Environment):
            raise UsageTypeError(f"flyte.deploy: given {env!r:.80}; accepted: environments")
    if not envs:
        raise DeploymentError("nothing to deploy: name one environment or more")
    bundle = session.shipping.bundle(envs, version)
    if dry_run:
        return planned(bundle, session.store.current())
    chosen = session.engine(engine)
    made = await relay(lambda tell: chosen.deploy(bundle), print_output)
    return _with_contents(made, bundle)


def _with_contents(made: Deployments, bundle: Bundle) -> Deployments:
    """Say what travels beside the module."""
    made.files = bundle.files
    made.values = tuple((value.name, value.label, len(value.data)) for value in bundle.module.captured)
    return made


def planned(bundle: Bundle, current: dict[str, str]) -> Deployments:
    """Say what deploying a bundle would give."""
    made = Deployments(
        Deployment(
            row["environment"],
            bundle.version,
            now(),
            tuple(row["tasks"]),
            current.get(row["environment"]) == bundle.version,
        )
        for row in bundle.environments
    )
    return _with_contents(made, bundle)


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

    def __init__(self, name: str, row: dict[str, Any], store: Store) -> None:
        self.name, self.version = name, str(row["version"])
        self.interface: str = row["tasks"][name]["interface"]
        self.description: str = row["tasks"][name]["description"]
        self.inputs: list[dict[str, str]] = row["tasks"][name]["inputs"]
        self._outputs: dict[str, str] = row["tasks"][name]["outputs"]
        self._env_vars = dict(row["declaration"].get("env_vars") or {})
        self._policy = Policy.from_json(row["tasks"][name].get("policy", ""))
        home = store.bundles / row["bundle"]
        self._codes = dict.fromkeys(names_of_tasks(home), f"bundle {home.name}")
        self._definition = Definition(home / FILE, SCRIPT, folder=home, inside=includes_files(home))

    def __repr__(self) -> str:
        return f"<deployed {self.name}{self.interface} at {self.version}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the deployed task in a process of its own and give what it returned."""
        outputs = call_deployed(self.work(args, kwargs)).outputs()
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    async def aio(self, *args: Any, **kwargs: Any) -> Any:
        """Do the same without blocking the caller's event loop."""
        outputs = (await call_deployed.aio(self.work(args, kwargs))).outputs()
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
        """Prepare a run; ``texts`` says that the inputs are to be read from text by the task's own types."""
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


def _definitions(path: Path | None) -> set[str]:
    """Name the classes and functions at the top of a bundle's module: inputs refer to those, not to their own."""
    assert path is not None
    try:
        body = ast.parse(path.read_bytes()).body
    except OSError:  # the worker says that the bundle is gone
        return set()
    return {s.name for s in body if isinstance(s, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}


async def _call_deployed(relay: Relay, work: Work) -> Run:
    """Run the work of a deployed task."""
    return await carry_out(relay, "local", work)


def deployed(name: str, version: str | None = None) -> Deployed:
    """Give a deployed task.

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
    if environment not in store.current():
        known = [task for env in store.current() for task in store.deployed(env)["tasks"]]
        raise UnknownNameError("deployed task", name, known)
    row = store.deployed(environment, version)
    if name not in row["tasks"]:
        raise UnknownNameError("deployed task", name, row["tasks"])
    return Deployed(name, row, store)


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
deploy = Verb(_deploy, portal)
call_deployed = Verb(_call_deployed, portal)
rerun = Verb(_rerun, portal)
