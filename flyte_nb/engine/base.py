"""What every engine shares: the records of a run, the events it tells, and the protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

from flyte_nb.context.scopes import get_custom_context
from flyte_nb.context.settings import remembered
from flyte_nb.engine.definition import Definition
from flyte_nb.engine.policy import Policy
from flyte_nb.engine.records import (
    AGAIN,
    Action,
    Attempt,
    Deployment,
    Deployments,
    Event,
    Handle,
    History,
    Outputs,
    Phase,
    Progress,
    Run,
    Step,
    now,
)
from flyte_nb.engine.segments import Part
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.plan.bundle import Bundle

__all__ = [
    "AGAIN",
    "Action",
    "Attempt",
    "Begins",
    "Begun",
    "Custom",
    "Deployment",
    "Deployments",
    "Emit",
    "Engine",
    "Event",
    "Handle",
    "History",
    "Outputs",
    "Phase",
    "Progress",
    "Run",
    "Settings",
    "Step",
    "Tell",
    "Work",
    "now",
]


@dataclass(frozen=True)
class Settings:
    """What holds for a whole run, beside its task and its inputs.

    Parameters
    ----------
    name : str
        The run's name; made up when empty.
    env_vars : dict
        Environment variables of all its tasks, over those of their environments.
    project, domain : str, optional
        Where the run belongs; what the process was initialized with by default.
    raw_data_path : str
        Where its tasks keep their data; beside its records when empty.
    run_start_time : str
        When it counts as started, in ISO form; the moment itself by default.
    disable_run_cache, interactive_mode : bool
        What its tasks are told.
    """

    name: str = ""
    env_vars: dict[str, str] = field(default_factory=dict, repr=False)
    project: str | None = field(default_factory=lambda: remembered().project)
    domain: str | None = field(default_factory=lambda: remembered().domain)
    raw_data_path: str = ""
    run_start_time: str = field(default_factory=lambda: now().isoformat())
    disable_run_cache: bool = False
    interactive_mode: bool = False
    #: whether the inputs are kept, to run the task with them again: "never", "on-failure" or "always"
    keep: Literal["never", "on-failure", "always"] = "never"
    #: what becomes of a request for more than the machine has: "clamp", "strict" or "ignore"
    fit: Literal["clamp", "strict", "ignore"] = "clamp"
    #: whether kept outputs are computed again
    overwrite_cache: bool = False
    #: what only a cluster's run has, by the names of the Flyte SDK's runner
    cluster: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Work:
    """What an engine is asked to run.

    Parameters
    ----------
    task : str
        The fully qualified name of the task.
    definition : Definition
        Where its process finds it.
    inputs : tuple of bytes-like
        The encoded inputs: a pickle of a dict by name, then its buffers.
    shown : str
        The inputs as a person reads them; bounded, masked.
    env_vars : dict
        Environment variables of the task's process.
    version : str
        The deployed version; empty for a run of what is declared.
    texts : bool
        Whether the inputs are texts, to be read by the types of the task.
    notebook : str
        The notebook or file it comes from, if known.
    settings : Settings
        What holds for the whole run.
    custom_context : dict
        What ``flyte.get_custom_context()`` gives in the task; the caller's by default.
    """

    task: str
    definition: Definition
    inputs: tuple[Part, ...] = field(repr=False)
    shown: str = ""
    env_vars: dict[str, str] = field(default_factory=dict, repr=False)
    version: str = ""
    texts: bool = False
    notebook: str = ""
    settings: Settings = field(default_factory=Settings)
    custom_context: dict[str, str] = field(default_factory=get_custom_context)
    #: the task and its inputs themselves, where they are in this process
    live: tuple[TaskTemplate, dict[str, Any]] | None = field(default=None, repr=False, compare=False)
    #: digest of the inputs that count for the cache; empty where outputs are not kept
    inputs_key: str = ""
    #: digest of the code that each task of the definition reads, by the task's name
    codes: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: what its settings ask of the engine
    policy: Policy = field(default_factory=Policy)
    #: whether it is what the run was made of, not a task that a task called
    root: bool = True
    #: the name of the group that the caller put it in
    group: str = ""

    def varied(self, **changes: Any) -> Work:
        """Give the same work with other values; as `dataclasses.replace`, for whoever does it a thousand times."""
        made = object.__new__(Work)
        vars(made).update({**vars(self), **changes})
        return made

    @property
    def code(self) -> str:
        """The digest of the code that the task reads; empty where nobody knows it."""
        try:
            return self.codes[self.task]
        except KeyError:
            return ""


Emit = Callable[[Event], None]
Begun = Callable[[Run], None]
#: hears how a deployment goes, in the thread that does it
Tell = Callable[[Progress], None]
#: by environment, what its deployer does with the version and the folder of the bundle
Custom = Mapping[str, Callable[[str, Path], Awaitable[Any]]]


class Begins(Protocol):
    """A run that has begun in the thread that asked for it, and takes longer than that thread shall wait."""

    async def go_on(self, tell: Emit) -> Run:
        """Carry it on to its end, on the engine's event loop, telling what happens and what has happened so far."""


class Engine(Protocol):
    """A way to run and to deploy; `serve` joins it with the apps."""

    name: str
    #: the runs that go on, by name
    running: dict[str, Run]

    async def run(self, work: Work, emit: Emit, begun: Begun | None = None) -> Run:
        """Run a task to its end, telling ``emit`` what happens; a failure is in the run's ``error``.

        ``begun`` is given the run as soon as it is recorded.
        """

    def run_at_once(self, work: Work, show: Emit) -> Run | Begins | None:
        """Run a task in the thread that asks for it where that is quicker: give its run, or what goes on with it.

        None where it is not possible, and nothing has begun.
        """

    async def deploy(
        self, bundle: Bundle, tell: Tell = lambda progress: None, custom: Custom = MappingProxyType({})
    ) -> Deployments:
        """Make the environments of a bundle callable that are not yet as they are in it.

        Those that depend on each other become current together or not at all; ``custom`` deploys those that have a
        deployer of their own before that.
        """

    async def planned(self, bundle: Bundle) -> Deployments:
        """Say what `deploy` would do, without doing it."""

    async def stop(self) -> None:
        """End what is running and give back what is held."""
