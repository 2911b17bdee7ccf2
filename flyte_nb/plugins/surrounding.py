"""Surrounding: an execution of a task within what its plugin puts around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flyte_nb.context.notices import listener
from flyte_nb.context.task_context import current_context, entered
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.template import TaskTemplate

__all__ = ["surrounded"]


@contextmanager
def surrounded(task: TaskTemplate, hears: Callable[[str], None]) -> Iterator[None]:
    """Be within what is around a task, in its context already.

    Parameters
    ----------
    task : TaskTemplate
        The task.
    hears : callable
        Takes the notices of the run.
    """
    if not isinstance(task, AsyncFunctionTaskTemplate) or type(task).around is AsyncFunctionTaskTemplate.around:
        yield  # nearly every task
        return
    token = listener.set(hears)
    try:
        with task.around() as data:
            context = current_context.get()
            if context is None:
                yield
                return
            with entered(context.replace(data=data)):
                yield
    finally:
        listener.reset(token)
