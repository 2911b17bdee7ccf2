"""Map: one task over many inputs, as children of the running task or as plain calls."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Sized
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import Any

from flyte_nb.context.records import GroupData
from flyte_nb.context.task_context import current_context
from flyte_nb.environments.calling import current_runner
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import UsageError, UsageTypeError

__all__ = ["Progress", "map", "progress"]

#: takes how many elements are done, how many of them failed, and whether the map has ended
Show = Callable[[int, int, bool], None]


@dataclass
class Progress:
    """Who shows how far a map outside a task has come; nobody by default, the magics in a notebook.

    Parameters
    ----------
    shown : callable, optional
        Gets the name of a task and the number of elements, None where it is not known; gives what is told of them.
    """

    shown: Callable[[str, int | None], Show] | None = None


progress = Progress()
#: whether an element of another map is being computed, which is shown already
_inside: ContextVar[bool] = ContextVar("inside", default=False)


@dataclass(frozen=True)
class Mapped:
    """A task, the inputs that are the same for every element, and the rows of those that are not."""

    task: TaskTemplate
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    rows: Iterable[tuple[Any, ...]]
    #: how many rows there are, where that is known before
    total: int | None = None

    def call(self, row: tuple[Any, ...]) -> Any:
        """Call the task for one element."""
        return self.task(*self.args, *row, **self.kwargs)

    async def acall(self, row: tuple[Any, ...]) -> Any:
        """Call the task for one element and await its value."""
        return await self.task.aio(*self.args, *row, **self.kwargs)


def checked(target: Any, iterables: tuple[Iterable[Any], ...]) -> Mapped:
    """Check what is mapped over what.

    Raises
    ------
    UsageTypeError
        For something that is not a task, and for a partial that does not leave exactly the mapped input open.
    UsageError
        For iterables of different lengths.
    """
    is_partial = isinstance(target, functools.partial)
    task = target.func if is_partial else target
    if not isinstance(task, TaskTemplate):
        raise _wrong_type(f"flyte.map: given {target!r:.80}; accepted: a task, or a functools.partial of one")
    args, kwargs = (target.args, target.keywords) if is_partial else ((), {})
    if is_partial:
        _check_partial(task, args, kwargs, len(iterables))
    sizes = {len(i) for i in iterables if isinstance(i, Sized)}
    if len(sizes) > 1:
        told = f"flyte.map: given iterables of {sorted(sizes)} items; accepted: as many in each"
        raise UsageError(told) if current_runner.get() is None else ValueError(told)
    return Mapped(task, args, kwargs, zip(*iterables, strict=True), next(iter(sizes), None))


def _wrong_type(told: str) -> TypeError:
    """Give a short error; inside a task Python's own, whose name is the code of the run's error, as in the SDK."""
    return UsageTypeError(told) if current_runner.get() is None else TypeError(told)


def _check_partial(task: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any], iterables: int) -> None:
    names = list(task.interface.inputs)
    by_position, mapped = names[: len(args)], names[len(args) :][:1]
    twice = [name for name in by_position if name in kwargs]
    unknown = [name for name in kwargs if name not in names]
    taken = [name for name in mapped if name in kwargs]
    missing = [n for n in task.interface.required_inputs() if n not in {*by_position, *kwargs, *mapped}]
    reasons = [
        (len(args) > len(names), f"it binds {len(args)} by position"),
        (bool(twice), f"{', '.join(twice)} is bound by position and by name"),
        (bool(unknown), f"there is no input {', '.join(unknown)}"),
        (not mapped, "it leaves none open"),
        (bool(taken), f"{', '.join(taken)} comes next, and is bound by name"),
        (bool(missing), f"{', '.join(missing)} would have no value"),
        (iterables > 1, f"it is mapped over {iterables} iterables"),
    ]
    for applies, reason in reasons:
        if applies:
            raise _wrong_type(
                f"flyte.map: given a partial of {task.name}{task.interface}; accepted: one that leaves "
                f"exactly one input open, the next by position ({reason})"
            )


def _grouped(task: TaskTemplate, group_name: str | None) -> Context:
    """Give a copy of this context in which a task's children belong to the map's group."""
    context = copy_context()
    context.run(_inside.set, True)
    running = current_context.get()
    if running is not None:
        named = running.replace(group_data=GroupData(f"{task.name}_{group_name or 'map'}"))
        context.run(current_context.set, named)
    return context


async def _in_order(mapped: Mapped, limit: int, context: Context) -> AsyncGenerator[Awaitable[Any], None]:
    """Start the calls, at most ``limit`` at a time where it is positive, and give them in the order of the rows."""
    started: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue()
    free = asyncio.Semaphore(limit) if limit > 0 else None
    calls: set[asyncio.Task[Any]] = set()

    def ended(call: asyncio.Task[Any]) -> None:
        calls.discard(call)
        if not call.cancelled():
            call.exception()  # nobody may ever ask for it, and asyncio complains about that
        if free is not None:
            free.release()

    async def start() -> None:
        try:
            for row in mapped.rows:
                if free is not None:
                    await free.acquire()
                call = asyncio.create_task(mapped.acall(row))
                calls.add(call)
                call.add_done_callback(ended)
                started.put_nowait(call)
        finally:
            started.put_nowait(None)

    starting = context.run(asyncio.create_task, start())
    try:
        while (call := await started.get()) is not None:
            yield call
        await starting  # raises what ended it early, such as iterables of different lengths
    finally:
        for task in (starting, *calls):
            task.cancel()
        await asyncio.gather(starting, *calls, return_exceptions=True)


async def _values(mapped: Mapped, context: Context, limit: int, return_exceptions: bool) -> AsyncGenerator[Any, None]:
    async with contextlib.aclosing(_in_order(mapped, limit, context)) as calls:
        async for call in calls:
            try:
                value = await call
            except Exception as error:  # the user's own code
                if not return_exceptions:
                    raise
                value = error
            yield value


@contextlib.contextmanager
def _progress(mapped: Mapped) -> Iterator[Callable[[Any], None]]:
    """Tell how far a map has come that no run tells of; gives what takes each of its values."""
    if progress.shown is None or _inside.get() or current_runner.get() is not None:
        yield lambda value: None
        return
    done = failed = 0
    show = progress.shown(mapped.task.name, mapped.total)

    def count(value: Any) -> None:
        nonlocal done, failed
        done, failed = done + 1, failed + isinstance(value, Exception)
        show(done, failed, False)

    try:
        yield count
    finally:
        show(done, failed, True)


def _plain(mapped: Mapped, return_exceptions: bool) -> Generator[Any, None, None]:
    """Call a sync task outside any task, one element after the other, in this thread."""
    for row in mapped.rows:
        inside = _inside.set(True)
        try:
            value = mapped.call(row)
        except Exception as error:  # the user's own code
            if not return_exceptions:
                raise
            value = error
        finally:
            _inside.reset(inside)
        yield value


def _blocking(values: AsyncGenerator[Any, None]) -> Generator[Any, None, None]:
    """Go through an async iterator from any thread, on a loop of its own."""
    try:
        while True:
            future = asyncio.run_coroutine_threadsafe(_next(values), _loop())
            try:
                value = future.result()
            except BaseException:  # an interrupt, too
                future.cancel()
                raise
            if value is _END:
                return
            yield value
    finally:
        asyncio.run_coroutine_threadsafe(_closed(values), _loop()).result()


_END = object()


async def _next(values: AsyncGenerator[Any, None]) -> Any:
    return await anext(values, _END)


async def _closed(values: AsyncGenerator[Any, None]) -> None:
    await values.aclose()


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """Give the loop, in a thread of its own, that blocking maps run on; started with the first of them."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="flyte-nb-map", daemon=True).start()
    return loop


class Map:
    """``flyte.map``: call it, or iterate over ``flyte.map.aio(…)`` with ``async for``."""

    def __call__(
        self,
        func: Any,
        *iterables: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> Iterator[Any]:
        """Call a task for each row of some iterables, lazily, and give the values in the order of the rows.

        Parameters
        ----------
        func : task or functools.partial of one
            A partial leaves exactly one input open: the next by position.
        *iterables : iterable
            One for each input by position, with as many items in each.
        group_name : str, optional
            What the children are grouped under, after the task's name; ``"map"`` by default.
        concurrency : int
            The most children at a time; 0 is no limit. Outside a task, the calls of a sync task follow one another.
        return_exceptions : bool
            Give an exception in the place of the value of an element that failed; else raise it there.

        Raises
        ------
        TypeError
            For something that is not a task, and for a partial that does not fit; when the first value is asked for.
        ValueError
            For iterables of different lengths.
        """
        if not iterables:
            return
        mapped = checked(func, iterables)
        if current_runner.get() is None and mapped.task._call_as_synchronous:
            values = _plain(mapped, return_exceptions)
        else:
            context = _grouped(mapped.task, group_name)
            values = _blocking(_values(mapped, context, concurrency, return_exceptions))
        with contextlib.closing(values), _progress(mapped) as count:
            for value in values:
                count(value)
                yield value

    async def aio(
        self,
        func: Any,
        *iterables: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> AsyncIterator[Any]:
        """Do the same for ``async for``, without blocking the caller's event loop."""
        if not iterables:
            return
        mapped = checked(func, iterables)
        context = _grouped(mapped.task, group_name)
        async with contextlib.aclosing(_values(mapped, context, concurrency, return_exceptions)) as values:
            with _progress(mapped) as count:
                async for value in values:
                    count(value)
                    yield value


map = Map()
