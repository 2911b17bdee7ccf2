"""Portal: one background event loop, and two ways to wait for what runs on it — blocking, or awaiting.

A verb is written once, as an async function whose first parameter is a `Relay`. What happens on the loop is shown by
the caller itself, in its own thread or task, so that output lands in the cell that asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from flyte_nb import tracebacks

__all__ = ["Portal", "Relay", "Verb"]

P = ParamSpec("P")
R = TypeVar("R")
Show = Callable[[Any], None]
_END = object()
PAUSE = 0.004  # seconds that the first of a few items waits for the others
TICK = 1.0  # seconds without news, after which whoever shows them can say how long it takes
PATIENCE = 5.0  # seconds for cancelled work to clean up after itself


class Job(Generic[R]):
    """Work on a loop: anyone may cancel it, and it is done only when it has cleaned up after itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, R]) -> None:
        self._loop = loop
        self.done: Future[R] = Future()
        loop.call_soon_threadsafe(self._start, work)

    def cancel(self) -> None:
        """Cancel the work, which then ends in its own time."""
        self._loop.call_soon_threadsafe(lambda: self._task.cancel())

    def wait(self) -> None:
        """Block until it is done, however it ends."""
        wait([self.done])

    def _start(self, work: Coroutine[Any, Any, R]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[R]) -> None:
        if self.done.cancelled():  # whoever waited has gone away
            return
        if task.cancelled():
            self.done.set_exception(asyncio.CancelledError())
        elif error := task.exception():
            self.done.set_exception(error)
        else:
            self.done.set_result(task.result())


class Portal:
    """An event loop in a daemon thread, started when it is first used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def is_here(self) -> bool:
        """Tell whether the caller is on the loop's own thread, which cannot wait for it."""
        return self._thread is threading.current_thread()

    def submit(self, work: Coroutine[Any, Any, R]) -> Job[R]:
        """Run a coroutine on the loop."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="flyte-nb", daemon=True)
                self._thread.start()
        return Job(self._loop, work)

    def close(self) -> None:
        """End the loop, which has nothing left to do; the next work gets another one."""
        with self._lock:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(PATIENCE)
            loop.close()


class Relay(Protocol):
    """Waits for work on the loop and shows what it tells meanwhile."""

    async def __call__(self, work: Callable[[Show], Coroutine[Any, Any, R]], show: Show) -> R:
        """Run ``work`` on the loop, call ``show`` here with what it tells, and give its result.

        ``show`` gets None when a second has passed without news: however quiet work is, one can say how long it takes.
        """

    def at_once(self, work: Callable[[], R]) -> R | None:
        """Do something short here and now, where the caller waits anyway; None where he must not be held up."""

    async def here(self, work: Coroutine[Any, Any, R], suspends: bool) -> R:
        """Run work in the caller's own thread, for a debugger to stop in; ``suspends`` says that it needs a loop."""


class Batches:
    """Hands over what work on the loop tells, a few at a time: each on its own would wake the caller's thread.

    Parameters
    ----------
    give : callable
        Takes a list of items.
    """

    def __init__(self, give: Callable[[list[Any]], None]) -> None:
        self._give = give
        self._items: list[Any] = []

    def tell(self, item: Any) -> None:
        """Take an item, on the loop's thread."""
        if not self._items:
            asyncio.get_running_loop().call_later(PAUSE, self.flush)
        self._items.append(item)

    def flush(self, *_: object) -> None:
        """Hand over what there is."""
        if self._items:
            items, self._items = self._items, []
            self._give(items)


class Blocking:
    """The relay of a plain call: it blocks the caller's thread and never suspends."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    async def __call__(self, work: Callable[[Show], Coroutine[Any, Any, R]], show: Show) -> R:
        told: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        batches = Batches(told.put)
        job = self._portal.submit(work(batches.tell))
        job.done.add_done_callback(batches.flush)
        job.done.add_done_callback(lambda _: told.put([_END]))
        try:
            while (items := _next(told)) != [_END]:
                for item in items:
                    show(item)
        except BaseException as error:  # an interrupt of the cell ends what the cell started
            job.cancel()
            wait([job.done], PATIENCE)
            if isinstance(error, KeyboardInterrupt):
                _show_rest(told, show)
                _shorten(error)
            raise
        return job.done.result()

    def at_once(self, work: Callable[[], R]) -> R | None:
        try:
            return work()
        except KeyboardInterrupt as error:
            _shorten(error)
            raise

    async def here(self, work: Coroutine[Any, Any, R], suspends: bool) -> R:
        if not suspends:
            return await work  # never suspends, and so neither does this
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work)
        with ThreadPoolExecutor(1, "flyte-nb-inline") as thread:  # a notebook's own loop runs in this thread
            return thread.submit(copy_context().run, asyncio.run, work).result()


def _next(told: queue.SimpleQueue[list[Any]]) -> list[Any]:
    """Give what is told next, or None in its place when a while has passed."""
    try:
        return told.get(timeout=TICK)
    except queue.Empty:
        return [None]


def _show_rest(told: queue.SimpleQueue[list[Any]], show: Show) -> None:
    """Show how cancelled work ended, so that nothing of it still says that it runs."""
    with contextlib.suppress(queue.Empty):
        while (items := told.get(timeout=1)) != [_END]:
            for item in items:
                show(item)


def _shorten(error: KeyboardInterrupt) -> None:
    """Have IPython tell an interrupt in the user's own lines, and what became of what was interrupted."""
    error.args = error.args or ("what was running has been cancelled",)
    vars(error)["_render_traceback_"] = functools.partial(tracebacks.short, error)


class Awaiting:
    """The relay of an awaited call: it suspends the caller's task and leaves its loop free."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    async def __call__(self, work: Callable[[Show], Coroutine[Any, Any, R]], show: Show) -> R:
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[list[Any]] = asyncio.Queue()

        def give(items: list[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the caller's loop was closed under it
                loop.call_soon_threadsafe(told.put_nowait, items)

        batches = Batches(give)
        job = self._portal.submit(work(batches.tell))
        job.done.add_done_callback(batches.flush)
        job.done.add_done_callback(lambda _: give([_END]))
        try:
            while (items := await _anext(told)) != [_END]:
                for item in items:
                    show(item)
        except BaseException:
            job.cancel()
            ended = asyncio.wrap_future(job.done)
            ended.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody else asks how it ended
            await asyncio.wait((ended,), timeout=PATIENCE)
            raise
        return job.done.result()

    def at_once(self, work: Callable[[], R]) -> None:
        return None

    async def here(self, work: Coroutine[Any, Any, R], suspends: bool) -> R:
        return await work


async def _anext(told: asyncio.Queue[list[Any]]) -> list[Any]:
    """Give what is told next, or None in its place when a while has passed."""
    if not told.empty():
        return told.get_nowait()
    getting = asyncio.ensure_future(told.get())
    try:
        await asyncio.wait((getting,), timeout=TICK)
    finally:
        if not getting.done():
            getting.cancel()
    return getting.result() if getting.done() and not getting.cancelled() else [None]


class Verb(Generic[P, R]):
    """A verb with two forms: ``verb(...)`` blocks, ``await verb.aio(...)`` does not.

    Parameters
    ----------
    function : async callable
        Takes a `Relay` first, which is all that it awaits.
    portal : callable
        Gives the portal to run on.
    """

    def __init__(self, function: Callable[Concatenate[Relay, P], Awaitable[R]], portal: Callable[[], Portal]) -> None:
        self._function, self._portal = function, portal
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        coroutine: Any = self._function(Blocking(self._portal()), *args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        coroutine.close()
        raise RuntimeError(f"{self} awaited something else than its relay")

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the same without blocking the caller's event loop."""
        return await self._function(Awaiting(self._portal()), *args, **kwargs)
