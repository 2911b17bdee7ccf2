"""Run outputs: what runs gave as parameters of apps: those of this process, and those that kept theirs in the store."""

from __future__ import annotations

import json
from typing import Any

from flyte_nb.engine import codec
from flyte_nb.engine.base import Outputs, Phase, Run
from flyte_nb.engine.store import Store
from flyte_nb.environments.delayed_values import RunOutput, io_kind
from flyte_nb.errors import UsageError

__all__ = ["find_output", "remember"]

_MOST = 256
_LONGEST = 10_000  # characters of a text that is kept
#: those of this process: by the run's name its task and its outputs, the newest last
_kept: dict[str, tuple[str, tuple[Any, ...]]] = {}


def remember(run: Run) -> None:
    """Keep the outputs of a run that succeeded, where they are small."""
    if run.result is None or not all(map(_is_small, run.result)):
        return
    _kept.pop(run.name, None)
    _kept[run.name] = run.task, tuple(run.result)
    if len(_kept) > _MOST:
        del _kept[next(iter(_kept))]


def _is_small(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST
    if isinstance(value, dict | list | tuple):
        items = [*value.values()] if isinstance(value, dict) else value
        return len(items) <= 100 and all(map(_is_small, items))
    return isinstance(value, bool | int | float) or io_kind(type(value)) is not None


def find_output(store: Store, asked: RunOutput) -> Any:
    """Give the output of a run, or of the newest run of a task: one of this process, else one that is kept.

    Parameters
    ----------
    store : Store
        Knows the runs of other processes.
    asked : RunOutput
        Which.

    Raises
    ------
    UnknownNameError
        When there is no such run.
    UsageError
        When its outputs are not known here, or have no such part; the message says what to do.
    """
    what = f"run {asked.run_name!r}" if asked.run_name else f"a run of task {asked.task_name!r}"
    value = _remembered(asked)
    if value is None:
        value = _kept_in(store, asked, what)
    for step in asked.getter:
        try:
            value = value[step]
        except (LookupError, TypeError):
            raise UsageError(f"getter: given {asked.getter!r}; {what} has no {step!r} in {value!r:.100}") from None
    return value


def _remembered(asked: RunOutput) -> Any:
    """Give the outputs of a run of this process."""
    newest_first = reversed(_kept.items())
    return next((o for name, (task, o) in newest_first if asked.task_name == task or asked.run_name == name), None)


def _kept_in(store: Store, asked: RunOutput, what: str) -> Any:
    """Give the outputs of a run that are kept in the store."""
    task = asked.task_name
    if asked.run_name is not None:
        run = store.run(asked.run_name)  # raises where there is none
        if run.phase is not Phase.SUCCEEDED:
            raise UsageError(f"{what} has no outputs: it is {run.phase.value}")
        task = run.task
    parts = store.kept_outputs(str(task), asked.run_name)
    if parts is None:
        raise UsageError(f"the outputs of {what} are not kept; run the task in this process, or with "
                         'flyte.with_runcontext(keep="always"), or give the parameter the value itself')  # fmt: skip
    names, *values = parts
    try:
        return Outputs.of(codec.decode(values), tuple(json.loads(names)))
    except Exception as error:  # a class that this process does not have, or one whose __setstate__ raises
        raise UsageError(f"the outputs of {what} cannot be read here: {error}; return plain data") from None
