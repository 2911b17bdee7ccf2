"""Groups and custom context: what a ``with`` block tells the tasks that are called in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from flyte_nb.context.records import GroupData
from flyte_nb.context.task_context import current_context, entered
from flyte_nb.errors import UsageTypeError

__all__ = ["custom_context", "get_custom_context", "group"]

#: what a block outside any task tells the runs started in it
_outside: ContextVar[dict[str, str] | None] = ContextVar("custom_context", default=None)


@contextmanager
def group(name: str) -> Iterator[None]:
    """Group the actions that a task starts in the block.

    Inside a task ``flyte.ctx().group_data`` names the innermost group. Outside a task there is nothing to group: a
    warning says so.

    Parameters
    ----------
    name : str
        What is shown for the group.

    Raises
    ------
    TypeError
        When the name is not a str.
    """
    if not isinstance(name, str):
        raise UsageTypeError(f"flyte.group: given {name!r:.80}; accepted: a name as a str")
    context = current_context.get()
    if context is None:
        logging.getLogger("flyte").warning("flyte.group(%r) outside a task: there are no actions to group", name)
        yield
        return
    with entered(context.replace(group_data=GroupData(name))):
        yield


@contextmanager
def custom_context(**context: str) -> Iterator[None]:
    """Tell the tasks called in the block something, by name; their own children hear it too.

    It adds to what was told before and ends with the block. Outside a task it is told to the runs started in the block.

    Parameters
    ----------
    **context : str
        What is told. A task reads it with ``flyte.get_custom_context()``.

    Raises
    ------
    TypeError
        For a value that is not a str.
    """
    for name, value in context.items():
        if not isinstance(value, str):
            raise UsageTypeError(f"flyte.custom_context: {name} is given {value!r:.80}; accepted: a str")
    merged = {**get_custom_context(), **context}
    running = current_context.get()
    if running is not None:
        with entered(running.replace(custom_context=merged)):
            yield
        return
    token = _outside.set(merged)
    try:
        yield
    finally:
        _outside.reset(token)


def get_custom_context() -> dict[str, str]:
    """Give what the enclosing ``flyte.custom_context`` blocks and the run told, as a copy; empty when nothing."""
    running = current_context.get()
    return dict(running.custom_context if running is not None else _outside.get() or {})
