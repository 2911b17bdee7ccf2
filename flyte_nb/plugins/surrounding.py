"""Surrounding: an execution of a task within what its plugin puts around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flyte_nb.context.notices import Hearing, hearing
from flyte_nb.context.task_context import current_context, entered
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.template import TaskTemplate

__all__ = ["surrounded"]


@contextmanager
def surrounded(task: TaskTemplate, hears: Hearing) -> Iterator[None]:
    """Be within what is around a task, in its context already.

    Parameters
    ----------
    task : TaskTemplate
        The task.
    hears : Hearing
        Hears of the run.
    """
    if not isinstance(task, AsyncFunctionTaskTemplate) or type(task).around is AsyncFunctionTaskTemplate.around:
        yield  # nearly every task
        return
    token = hearing.set(hears)
    try:
        with task.around() as data:
            context = current_context.get()
            if context is None:
                yield
                return
            with entered(context.replace(data=data)):
                yield
    finally:
        hearing.reset(token)
