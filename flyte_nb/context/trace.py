"""Trace: marks a function of a task as a step of its own."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast

from flyte_nb.context.task_context import entered
from flyte_nb.environments.calling import InStep, Runner, Step, current_runner
from flyte_nb.errors import UsageError, UsageTypeError

__all__ = ["trace"]

_END = object()
Function = TypeVar("Function", bound=Callable[..., Any])


def trace(func: Function) -> Function:
    """Mark a function as a step of the tasks that call it: a sync or an async one, or a generator of either kind.

    Inside a task each call is an action of its own: ``flyte.ctx().action`` names it, the run shows how long it took,
    and what it raises is recorded and goes on. Outside a task it is a plain call.

    Parameters
    ----------
    func : callable
        The function; its name and signature stay.

    Raises
    ------
    TypeError
        For something that cannot be called.
    ValueError
        When a function with ``*args`` or ``**kwargs`` is called inside a task.
    TraceDoesNotAllowNestedTasksError
        When it calls a task; its plain function, ``task.forward(…)``, may be called.
    """
    if not callable(func):
        raise UsageTypeError(f"flyte.trace: given {func!r:.80}; accepted: a function; write @flyte.trace without ()")
    if inspect.isasyncgenfunction(func):
        wrapper = _async_generator(func)
    elif inspect.iscoroutinefunction(func):
        wrapper = _coroutine(func)
    elif inspect.isgeneratorfunction(func):
        wrapper = _generator(func)
    else:
        wrapper = _plain(func)
    return cast(Function, functools.wraps(func)(wrapper))


def _plain(func: Callable[..., Any]) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Any:
        with _recorded(func) as inside, inside():
            return func(*args, **kwargs)

    return traced


def _coroutine(func: Callable[..., Any]) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> Any:
        with _recorded(func) as inside, inside():
            return await func(*args, **kwargs)

    return traced


def _generator(func: Callable[..., Any]) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with _recorded(func) as inside, contextlib.closing(func(*args, **kwargs)) as values:
            while True:
                with inside():  # between two values the caller's own code runs, outside the step
                    value = next(values, _END)
                if value is _END:
                    return
                yield value

    return traced


def _async_generator(func: Callable[..., Any]) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with _recorded(func) as inside:
            async with contextlib.aclosing(func(*args, **kwargs)) as values:
                while True:
                    with inside():
                        value = await anext(values, _END)
                    if value is _END:
                        return
                    yield value

    return traced


@contextmanager
def _recorded(func: Callable[..., Any]) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """Record a step of the running task and give what enters it; outside a task there is nothing to record."""
    runner = current_runner.get()
    if runner is None:
        yield contextlib.nullcontext
        return
    kinds = {parameter.kind for parameter in inspect.signature(func).parameters.values()}
    if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        raise UsageError(
            f"flyte.trace: {func.__name__} takes *args or **kwargs; accepted inside a task: parameters by name"
        )
    step = runner.step(func.__name__)
    try:
        yield lambda: _inside(step, runner)
    except BaseException as error:
        step.end(error)
        raise
    step.end(None)


@contextmanager
def _inside(step: Step, runner: Runner) -> Iterator[None]:
    token = current_runner.set(InStep(runner))
    try:
        with entered(step.context):
            yield
    finally:
        current_runner.reset(token)
