"""Run outputs: those of this process's runs that can be parameters of apps: texts, numbers, files, folders."""

from __future__ import annotations

from typing import Any

from flyte_nb.engine.base import Run
from flyte_nb.engine.store import Store
from flyte_nb.environments.delayed_values import RunOutput, io_kind
from flyte_nb.errors import UsageError

__all__ = ["find_output", "remember"]

_MOST = 256
_LONGEST = 10_000  # characters of a text that is kept
#: by the run's name its task and its outputs, the newest last
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
    """Give the output of a run, or of the newest run of a task.

    Parameters
    ----------
    store : Store
        Knows the runs of other processes, whose outputs are not here.
    asked : RunOutput
        Which.

    Raises
    ------
    UsageError
        When it is not known here; the message says what to do.
    """
    found = next(
        (
            outputs
            for name, (task, outputs) in reversed(_kept.items())
            if asked.task_name == task or asked.run_name == name
        ),
        None,
    )
    what = f"run {asked.run_name!r}" if asked.run_name else f"a run of task {asked.task_name!r}"
    if found is None:
        if asked.run_name:
            store.run(asked.run_name)  # raises where there is none
        raise UsageError(f"the outputs of {what} are not known in this process; run the task here first, or give the "
                         "parameter the value itself")  # fmt: skip
    value: Any = found
    for step in asked.getter:
        try:
            value = value[step]
        except (LookupError, TypeError):
            raise UsageError(f"getter: given {asked.getter!r}; {what} has no {step!r} in {value!r:.100}") from None
    return value
