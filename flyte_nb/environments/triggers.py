"""Triggers: what starts a task without anybody asking — a schedule, a rate or a new artifact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from flyte_nb.environments.base import Description, Variables
from flyte_nb.environments.cron_syntax import check_expression, check_zone
from flyte_nb.environments.declaration import Check, Declaration, refuse, refuse_type
from flyte_nb.environments.notifications import NamedRule, Notification
from flyte_nb.environments.texts import Text
from flyte_nb.errors import suggestion

__all__ = [
    "Cron",
    "FixedRate",
    "OnArtifact",
    "Trigger",
    "TriggerTime",
    "TriggeredArtifact",
    "TriggeredPartition",
    "match_inputs",
    "triggers_from_request",
]


class _Marker:
    """A value that stands for one known only when the trigger fires; there is one object of each, pickled or not."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name


#: as an input of a scheduled trigger: the time at which it was due
TriggerTime = _Marker("TriggerTime")
#: as an input of an `OnArtifact` trigger: the artifact itself
TriggeredArtifact = _Marker("TriggeredArtifact")


@dataclass(frozen=True, repr=False)
class TriggeredPartition(Declaration):
    """As an input of an `OnArtifact` trigger: the value of one partition key of the artifact.

    Parameters
    ----------
    key : str
        The partition key.
    """

    key: Text


@dataclass(frozen=True, repr=False)
class Cron(Declaration):
    """A schedule as a cron expression.

    Parameters
    ----------
    expression : str
        Minute, hour, day of month, month and day of week; or ``@hourly``, ``@daily``, ``@weekly``, ``@monthly``
        or ``@yearly``.
    timezone : str
        An IANA time zone.
    """

    expression: Annotated[
        str,
        Check(check_expression, "minute, hour, day of month, month, day of week, such as '30 9 * * mon-fri'"),
    ]
    timezone: Annotated[str, Check(check_zone, "an IANA time zone, such as 'Europe/Zurich'")] = "UTC"

    @property
    def timezone_expression(self) -> str:
        """The expression with its time zone, as the platform's scheduler reads it."""
        return f"CRON_TZ={self.timezone} {self.expression}"


def _interval(value: int) -> int:
    if value < 1:
        raise ValueError("it is less than a minute")
    return value


@dataclass(frozen=True, repr=False)
class FixedRate(Declaration):
    """A schedule as an interval.

    Parameters
    ----------
    interval_minutes : int
        Minutes between two executions; at least 1.
    start_time : datetime, optional
        When the first interval begins; when the trigger is activated, without it.
    """

    interval_minutes: Annotated[int, Check(_interval, "whole minutes, at least 1", schema={"minimum": 1})]
    start_time: datetime | None = None


@dataclass(frozen=True, repr=False, init=False)
class OnArtifact(Declaration):
    """A new version of an artifact.

    Parameters
    ----------
    name : str
        The artifact's name.
    version : str, optional
        Only this version.
    partitions : dict of str to str, optional
        Only artifacts with these values of partition keys.
    **partition : str
        The same as keywords, which win.
    """

    name: Text
    version: str | None = None
    partitions: dict[str, str] | None = field(default=None, hash=False)

    def __init__(
        self,
        /,
        name: str,
        version: str | None = None,
        partitions: Mapping[str, str] | None = None,
        **partition: str,
    ) -> None:
        if partitions is None or isinstance(partitions, Mapping):
            partitions = {**(partitions or {}), **partition} or None
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "version", version)
        object.__setattr__(self, "partitions", partitions)
        self.__post_init__()


_Labels = Mapping[str, str] | None


def _notifications(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _concurrency(value: int | None) -> int | None:
    if value is not None and (value < 0 or value == 1):
        raise ValueError("at 1, a task that calls another would wait for ever" if value == 1 else "it is negative")
    return value


def _shortcut(word: str, expression: str, sentence: str) -> classmethod[Any, ..., Trigger]:
    """Make a constructor for a common schedule."""

    def make(
        cls: type[Trigger],
        trigger_time_input_key: str | None = None,
        *,
        name: str = word,
        description: str = sentence,
        auto_activate: bool = True,
        inputs: dict[str, Any] | None = None,
        env_vars: dict[str, str] | None = None,
        interruptible: bool | None = None,
        overwrite_cache: bool = False,
        queue: str | None = None,
        max_action_concurrency: int | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        notifications: Any = None,
        custom_context: Mapping[str, str] | None = None,
    ) -> Trigger:
        if inputs is None or isinstance(inputs, dict):
            time = {} if trigger_time_input_key is None else {trigger_time_input_key: TriggerTime}
            inputs = {**time, **(inputs or {})}
        return cls(
            name, Cron(expression), description, auto_activate, inputs, env_vars, interruptible,
            overwrite_cache, queue, max_action_concurrency, labels, annotations, notifications, custom_context,
        )  # fmt: skip

    make.__name__, make.__qualname__ = word, f"Trigger.{word}"
    make.__doc__ = f"""{sentence}, in UTC.

        Parameters
        ----------
        trigger_time_input_key : str, optional
            The input that receives the time at which it was due.
        name, description, auto_activate, inputs, ...
            As for `Trigger`; a given input wins over ``trigger_time_input_key``.
        """
    return classmethod(make)


@dataclass(frozen=True, repr=False)
class Trigger(Declaration):
    """Starts a task when a schedule, a rate or an artifact says so.

    Parameters
    ----------
    name : str
        Its name, one among the triggers of a task.
    automation : Cron, FixedRate or OnArtifact, optional
        What starts it; nothing but a person without it.
    description : str
        Cut at 255 characters.
    auto_activate : bool
        Whether it is active as soon as it is deployed.
    inputs : dict, optional
        Inputs of the task: values, `TriggerTime`, `TriggeredArtifact` or a `TriggeredPartition`.
    env_vars : dict of str to str, optional
        Environment variables of the run.
    interruptible : bool, optional
        Whether the run may be on machines that can be taken away; the task's own setting without it.
    overwrite_cache : bool
        Whether kept outputs are computed again.
    queue : str, optional
        Where the run waits.
    max_action_concurrency : int, optional
        How many actions of the run go on at a time; at least 2, or 0 for the platform's default.
    labels, annotations : dict of str to str, optional
        Of the run.
    notifications : Notification, tuple of these, or NamedRule, optional
        Whom to tell when the run ends.
    custom_context : dict of str to str, optional
        What the run's tasks find in their context.
    """

    name: Text
    automation: Cron | FixedRate | OnArtifact | None = None
    description: Description = ""
    auto_activate: bool = True
    inputs: dict[str, Any] | None = field(default=None, hash=False)
    env_vars: Variables = field(default=None, hash=False)
    interruptible: bool | None = None
    overwrite_cache: bool = False
    queue: str | None = None
    max_action_concurrency: Annotated[
        int | None, Check(_concurrency, "at least 2, or 0 for the platform's default")
    ] = None
    labels: _Labels = field(default=None, hash=False)
    annotations: _Labels = field(default=None, hash=False)
    notifications: Annotated[
        Notification | NamedRule | tuple[Notification | NamedRule, ...] | None,
        Check(_notifications, "a Notification, a tuple of Notifications or a NamedRule", before=True),
    ] = None
    custom_context: _Labels = field(default=None, hash=False)

    minutely = _shortcut("minutely", "* * * * *", "Every minute")
    hourly = _shortcut("hourly", "0 * * * *", "Every hour, on the hour")
    daily = _shortcut("daily", "0 0 * * *", "Every day at midnight")
    weekly = _shortcut("weekly", "0 0 * * 0", "Every Sunday at midnight")
    monthly = _shortcut("monthly", "0 0 1 * *", "Every first day of a month at midnight")

    def __post_init__(self) -> None:
        super().__post_init__()
        given = list((self.inputs or {}).values())
        scheduled = isinstance(self.automation, Cron | FixedRate)
        artifact = isinstance(self.automation, OnArtifact)
        if not scheduled and any(value is TriggerTime for value in given):
            raise self._refuse_input("TriggerTime", "a Cron or FixedRate automation with it")
        artifacts = sum(value is TriggeredArtifact for value in given)
        if artifacts and not artifact:
            raise self._refuse_input("TriggeredArtifact", "an OnArtifact automation with it")
        if artifacts > 1:
            raise self._refuse_input("TriggeredArtifact", "it for one input", f"{artifacts} inputs have it")
        if not artifact and any(isinstance(value, TriggeredPartition) for value in given):
            raise self._refuse_input("TriggeredPartition", "an OnArtifact automation with it")

    def _refuse_input(self, marker: str, accepted: str, reason: str = "") -> Exception:
        return refuse(self, "inputs", self.inputs, accepted, reason or f"{marker} with {self.automation!r}")


def match_inputs(trigger: Trigger, known: Iterable[str]) -> None:
    """Check that every input of a trigger is one of its task's.

    Parameters
    ----------
    trigger : Trigger
        The trigger.
    known : iterable of str
        The names of the task's inputs.

    Raises
    ------
    DeclarationValueError
        For the first that is not, with the nearest names there are.
    """
    known = list(known)
    for name in trigger.inputs or {}:
        if name not in known:
            raise refuse(trigger, "inputs", name, "names of the task's inputs", suggestion(name, known))


def triggers_from_request(request: Trigger | tuple[Trigger, ...] | list[Trigger]) -> tuple[Trigger, ...]:
    """Give what a ``triggers=`` argument asks for as a tuple; the Triggers stay the same objects.

    Raises
    ------
    DeclarationTypeError
        When something in it is not a Trigger; None is not.
    """
    items = tuple(request) if isinstance(request, tuple | list) else (request,)
    for item in items:
        if not isinstance(item, Trigger):
            raise refuse_type(Trigger, "triggers", item, "a Trigger, or a tuple or list of Triggers")
    return items
