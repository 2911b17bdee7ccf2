"""Records: a run as every engine keeps it — its actions, phases, outputs, events — and what a deployment did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from flyte_nb.errors import BaseRuntimeError
from flyte_nb.observers import Observers
from flyte_nb.pairs import pair_method
from flyte_nb.plan.files import Shipped

__all__ = [
    "AGAIN",
    "Action",
    "Attempt",
    "Deployment",
    "Deployments",
    "Event",
    "Handle",
    "History",
    "Outputs",
    "Phase",
    "Progress",
    "Run",
    "Step",
    "now",
]


class Phase(str, Enum):
    """Where an action stands; the words are Flyte's."""

    QUEUED = "queued"
    WAITING_FOR_RESOURCES = "waiting_for_resources"
    INITIALIZING = "initializing"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing follows."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.ABORTED, Phase.TIMED_OUT)


@dataclass(frozen=True)
class Attempt:
    """One attempt of an action; the first is number 0."""

    number: int
    phase: Phase = Phase.QUEUED
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""


@dataclass
class Action:
    """One execution of one task: the root of a run, or a task that a task called.

    Parameters
    ----------
    id : str
        Unique in its run.
    task : str
        The fully qualified name of the task.
    parent : str, optional
        The action whose task called it; None for the root.
    phase : Phase
        Where it stands.
    started, ended : datetime, optional
        When its first attempt started, and when its last one ended.
    error : str
        What failed it, as ``"CODE: message"``; empty otherwise.
    attempt : int
        The number of its attempt, from 0.
    queued : datetime, optional
        When it was asked for.
    notice : str
        What was clamped, is not enforced, or is waited for.
    cached : bool
        Whether its result came from the cache.
    group : str
        The group it was called in; empty outside any.
    peak_memory : int
        The most memory its process had, in bytes; 0 when nobody measured.
    """

    id: str
    task: str
    parent: str | None = None
    phase: Phase = Phase.QUEUED
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    attempt: int = 0
    queued: datetime | None = None
    notice: str = ""
    cached: bool = False
    group: str = ""
    peak_memory: int = 0

    def copy(self) -> Action:
        """Give the action as it is now."""
        made = Action.__new__(Action)
        vars(made).update(vars(self))
        return made

    @property
    def duration(self) -> timedelta | None:
        """How long it took, or has taken so far."""
        if self.started is None or (self.ended is None and self.phase.is_terminal):
            return None  # it never started, or nobody saw it end
        return max((self.ended or now()) - self.started, timedelta())  # the clock may have been set back


class Outputs(tuple[Any, ...]):
    """The outputs of a run: a tuple, also with the attributes ``o0``, ``o1`` … or the names of a NamedTuple.

    A task with one output gives a tuple of one; a task without gives ``(None,)``.
    """

    _names: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: Any, names: tuple[str, ...]) -> Outputs:
        """Wrap the value a task returned."""
        outputs = cls(value) if len(names) > 1 else cls((value,))
        outputs._names = names or ("o0",)
        return outputs

    @property
    def named_outputs(self) -> dict[str, Any]:
        """The outputs by name."""
        return dict(zip(self._names, self, strict=False))

    def __getattr__(self, name: str) -> Any:
        by_position = [f"o{i}" for i in range(len(self))]
        for names in (self._names, by_position):
            if name in names:
                return self[names.index(name)]
        raise AttributeError(f"no output {name!r}; there is {', '.join(self._names or by_position)}")


class Handle(Protocol):
    """Holds a run that may still be running."""

    def wait(self) -> None:
        """Wait until it has ended, however it ends."""

    def cancel(self) -> None:
        """Ask for its end."""


@dataclass(repr=False)
class Run:
    """A run as every engine records it.

    Parameters
    ----------
    name : str
        Unique in its store.
    task : str
        The task at its root.
    actions : list of Action
        The root first, then the tasks that tasks called, in the order of their start.
    error : BaseRuntimeError or None
        What failed it.
    """

    name: str
    task: str
    engine: str = "local"
    inputs: str = ""
    version: str = ""
    actions: list[Action] = field(default_factory=list)
    error: BaseRuntimeError | None = None
    log: Path | None = field(default=None, repr=False)
    result: Outputs | None = field(default=None, repr=False)
    #: where it is seen, for one in a cluster
    address: str = field(default="", repr=False)
    #: waits for the run and cancels it, while it may still be running
    handle: Handle | None = field(default=None, repr=False, compare=False)
    #: hear of its events while it runs in this process
    observers: Observers[Event] = field(default_factory=Observers, init=False, repr=False, compare=False)

    @property
    def root(self) -> Action:
        """The action of the run's own task."""
        return self.actions[0]

    @property
    def phase(self) -> Phase:
        """Where the run stands."""
        return self.root.phase

    def __repr__(self) -> str:
        took = self.root.duration
        return f"<Run {self.name} of {self.task}: {self.phase.value}" + (
            f", {took.total_seconds():.2f} s>" if took else ">"
        )

    @property
    def url(self) -> str:
        """Where it is seen: the folder of what its tasks keep, on this machine, or its page in a cluster."""
        return self.address or (str(self.log.parent.parent / "data" / self.name) if self.log is not None else "")

    def done(self) -> bool:
        """Tell whether the run has ended."""
        return self.phase.is_terminal

    def observe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have what happens in it told, while it runs in this process.

        Parameters
        ----------
        callback : callable
            Takes an `Event`, in the thread that carries the run out, which it must not hold up. The last one comes
            when the run's ``error`` or outputs are there.

        Returns
        -------
        callable
            Ends that.
        """
        return self.observers.add(callback)

    @pair_method
    def wait(self) -> Run:
        """Give the run once it has ended; a blocking ``flyte.run`` has waited already."""
        if self.handle is not None:
            self.handle.wait()
        return self

    @pair_method
    def cancel(self) -> Run:
        """End the run and all that it has started; nothing happens to one that has ended."""
        if self.handle is not None and not self.done():
            self.handle.cancel()
            self.handle.wait()
        return self

    @pair_method
    def outputs(self) -> Outputs:
        """Give what the task returned, once it has; ``await run.outputs.aio()`` does the same.

        Raises
        ------
        BaseRuntimeError
            What failed the run.
        """
        self.wait()
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise BaseRuntimeError(
                "NoOutputs", "user", f"run {self.name} has no outputs here: it is {self.phase.value}"
            )
        return self.result

    @pair_method
    def logs(self) -> str:
        """Give everything that the run printed."""
        if self.log is None or not self.log.exists():
            return ""
        return self.log.read_bytes().decode("utf-8", "replace")  # text mode would turn \r into \n


@dataclass(frozen=True)
class Event:
    """Something that happened in a run, told while it happens.

    Parameters
    ----------
    run : str
        The run.
    action : Action
        A copy of the action as it is now.
    stream : str
        ``"stdout"`` or ``"stderr"`` for output; empty for a change of phase.
    text : str
        The output.
    """

    run: str
    action: Action
    stream: str = ""
    text: str = ""


class Step(str, Enum):
    """Where a deployment stands."""

    UNCHANGED = "unchanged"
    BUNDLING = "bundling"
    WAITING = "waiting"
    DEPLOYING = "deploying"
    RECORDING = "recording"
    DEPLOYED = "deployed"
    FAILED = "failed"


@dataclass(frozen=True)
class Progress:
    """Something that happened in a deployment, told while it happens.

    Parameters
    ----------
    environment : str
        The environment; empty for what concerns all of them.
    step : Step
        Where it stands.
    note : str
        What is done, or waited for, in a few words.
    """

    environment: str
    step: Step
    note: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.environment, self.step.value, self.note)))


#: the note of a version that is known from before, and current again
AGAIN = "back again"


@dataclass(frozen=True)
class Deployment:
    """One environment at one version.

    Parameters
    ----------
    environment, version : str
        Which.
    created : datetime
        When it was first deployed.
    tasks : tuple of str
        The names of its tasks.
    unchanged : bool
        Whether a deployment found it as it was.
    current : bool
        Whether it is what a call without a version gets.
    until : datetime, optional
        When it ceased to be current, for one that was.
    digest : str
        Of all that the environment is, in hex; empty for one that an older flyte_nb deployed.
    note : str
        What else there is to know.
    result : object
        What the deployer of a custom environment gave.
    """

    environment: str
    version: str
    created: datetime
    tasks: tuple[str, ...] = ()
    unchanged: bool = False
    current: bool = True
    until: datetime | None = None
    digest: str = ""
    note: str = ""
    result: Any = field(default=None, repr=False, compare=False)
    place: str = ""  # where: empty for this machine, else a cluster's address with the project and the domain


class Deployments(list[Deployment]):
    """What one deployment did: dependencies first; with the ``files`` and ``values`` beside the module."""

    files: tuple[Shipped, ...] = ()
    #: the values that the notebook computed: name, cell and line, bytes
    values: tuple[tuple[str, str, int], ...] = ()
    #: what to know of the definitions: an edit that the source does not say, a constant that looks like a secret
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        told = (f"{d.environment}@{d.version}{' (unchanged)' if d.unchanged else ''}" for d in self)
        return f"<Deployments {', '.join(told)}>"


class History(list[Deployment]):
    """Versions of environments, the newest first."""

    def __repr__(self) -> str:
        told = (f"{d.environment}@{d.version}{' (current)' if d.current else ''}" for d in self)
        return f"<History {', '.join(told)}>"


def now() -> datetime:
    """Give the present time, aware of its zone."""
    return datetime.now(timezone.utc)
