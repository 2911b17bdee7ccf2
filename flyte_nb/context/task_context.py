"""TaskContext: what the code of a running task can ask about itself."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flyte_nb.context.records import ActionID, CodeBundle, GroupData, RawDataPath

__all__ = ["NullContext", "TaskContext", "ctx", "current_context", "entered"]


def _number(variable: str, absent: int | None = None) -> int | None:
    """Read a whole number from the environment."""
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else absent


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """Where the running code is: its action and run, its data, what it was told.

    ``ctx()["key"]`` reads ``data``; a missing key gives None.

    Parameters
    ----------
    action : ActionID
        The action that runs: a task, or a step of one.
    version : str
        The version of the code.
    raw_data_path : RawDataPath
        Where files of the run are kept.
    input_path, output_path, run_base_dir : str, optional
        Folders of the action and of the run.
    report : Report, optional
        What ``flyte.report`` writes to.
    group_data : GroupData, optional
        The group that actions started now belong to.
    custom_context : dict of str to str
        What ``flyte.custom_context`` and ``with_runcontext`` gave.
    data : dict
        What plugins prepared.
    mode : {"local", "remote", "hybrid"}
        Where the run is.
    task_action : ActionID
        The action of the whole task; ``action`` itself by default.
    """

    action: ActionID
    version: str = ""
    raw_data_path: RawDataPath = field(default_factory=lambda: RawDataPath(""))
    input_path: str | None = None
    output_path: str | None = None
    run_base_dir: str | None = None
    report: Any = None
    group_data: GroupData | None = None
    checkpoint: Any = None
    code_bundle: CodeBundle | None = None
    custom_context: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    mode: str = "local"
    run_start_time: datetime | None = None
    disable_run_cache: bool = False
    interactive_mode: bool = False
    task_action: ActionID | None = None

    def __post_init__(self) -> None:
        if self.task_action is None:
            object.__setattr__(self, "task_action", self.action)

    def __getitem__(self, key: str) -> Any:
        return self.data.get(key)

    def replace(self, **changes: Any) -> TaskContext:
        """Give the context with other values; ``data`` is merged, and ``task_action`` stays when ``action`` changes."""
        if "data" in changes:
            changes["data"] = {**self.data, **(changes["data"] or {})}
        unknown = changes.keys() - vars(self).keys()
        if unknown:
            raise TypeError(f"replace() got an unexpected keyword argument {min(unknown)!r}")
        made = object.__new__(type(self))  # a step or a call each makes one: no need to check what was checked
        vars(made).update({**vars(self), **changes})
        if made.task_action is None:
            vars(made)["task_action"] = made.action
        return made

    def is_in_cluster(self) -> bool:
        """Tell whether the code runs in a cluster."""
        return self.mode == "remote"

    @property
    def attempt_number(self) -> int:
        """The attempt at the task, from 0."""
        return _number("FLYTE_ATTEMPT_NUMBER", 0) or 0

    # What torchrun and its kin tell each process of a distributed job; None outside one.

    @property
    def rank(self) -> int | None:
        """The number of this process in the job."""
        return _number("RANK")

    @property
    def local_rank(self) -> int | None:
        """The number of this process on its node."""
        return _number("LOCAL_RANK")

    @property
    def world_size(self) -> int | None:
        """How many processes the job has."""
        return _number("WORLD_SIZE")

    @property
    def local_world_size(self) -> int | None:
        """How many processes the node has."""
        return _number("LOCAL_WORLD_SIZE")

    @property
    def node_rank(self) -> int | None:
        """The number of this node in the job."""
        return _number("NODE_RANK", _number("GROUP_RANK"))

    @property
    def nnodes(self) -> int | None:
        """How many nodes the job has."""
        return _number("NNODES", _number("GROUP_WORLD_SIZE"))

    @property
    def master_addr(self) -> str | None:
        """The address of the job's first node."""
        return os.environ.get("MASTER_ADDR")

    @property
    def master_port(self) -> int | None:
        """The port of the job's first node."""
        return _number("MASTER_PORT")

    @property
    def restart_attempt(self) -> int | None:
        """How often the processes of the job were started again."""
        return _number("TORCHELASTIC_RESTART_COUNT")


class NullContext:
    """The context outside a task: false, with every attribute of a `TaskContext`, all None."""

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> None:
        if name.startswith("_") or name not in _NAMES:
            raise AttributeError(f"a task's context has no attribute {name!r}; it has {', '.join(sorted(_NAMES))}")

    def __getitem__(self, key: str) -> None:
        return None

    def __repr__(self) -> str:
        return "<no task is running>"

    def is_in_cluster(self) -> bool:
        """Tell whether the code runs in a cluster."""
        return False


_NAMES = {f.name for f in dataclasses.fields(TaskContext)} | {
    name for name, value in vars(TaskContext).items() if isinstance(value, property)
}

_NULL = NullContext()

#: set by whoever runs a task, around it
current_context: ContextVar[TaskContext | None] = ContextVar("current_context", default=None)


def ctx() -> TaskContext | NullContext:
    """Give the context of the running task; outside one a false object whose attributes are None."""
    return current_context.get() or _NULL


@contextmanager
def entered(context: TaskContext) -> Iterator[TaskContext]:
    """Be in a task's context."""
    token = current_context.set(context)
    try:
        yield context
    finally:
        current_context.reset(token)


def context_from(told: Mapping[str, Any], report: Any = None) -> TaskContext:
    """Make the context of a task from what an engine told its process.

    Parameters
    ----------
    told : mapping
        JSON data: ``run``, ``action``, ``version``, ``folder``, ``custom_context`` and the settings of the run.
    report : Report, optional
        What the task's report is written to.
    """
    folder, start = told.get("folder") or "", told.get("run_start_time")
    return TaskContext(
        action=ActionID(name=told["action"], run_name=told["run"], project=told["project"], domain=told["domain"]),
        version=told["version"],
        raw_data_path=RawDataPath(told["raw_data_path"] or folder),
        output_path=f"{folder}/{told['action']}",
        run_base_dir=folder,
        report=report,
        custom_context=dict(told["custom_context"]),
        run_start_time=datetime.fromisoformat(start) if start else None,
        disable_run_cache=told["disable_run_cache"],
        interactive_mode=told["interactive_mode"],
    )
