"""Trace: marks a function of a task as a step of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flyte_nb.errors import UsageTypeError

__all__ = ["trace"]

Function = TypeVar("Function", bound=Callable[..., Any])


def trace(func: Function) -> Function:
    """Mark a function as a step of the tasks that call it: a sync or an async one, or a generator of either kind.

    For now a local run does not record the step: a traced function is the function itself, inside a task and outside,
    and may call tasks.

    Raises
    ------
    TypeError
        For something that cannot be called.
    """
    if not callable(func):
        raise UsageTypeError(f"flyte.trace: given {func!r:.80}; accepted: a function; write @flyte.trace without ()")
    return func
