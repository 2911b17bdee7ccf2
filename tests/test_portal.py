"""Two ways to wait for one verb, and what an interrupt does."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from flyte_nb.portal import Portal, Relay, Verb

portal = Portal()


class Work:
    """Tells three things, then gives its answer; remembers what became of it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.thread: threading.Thread | None = None
        self.log: list[str] = []

    async def __call__(self, tell: Callable[[Any], None]) -> int:
        self.thread = threading.current_thread()
        for n in range(3):
            tell(n)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            await asyncio.sleep(0.2)
            self.log.append("cleaned up")
            raise
        return 42


class Seen(list[Any]):
    """What was shown, and in which threads."""

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()

    def show(self, item: Any) -> None:
        self.threads.add(threading.current_thread())
        self.append(item)


async def _answer(relay: Relay, work: Callable[..., Any], show: Callable[[Any], None]) -> Any:
    """Give the answer."""
    return await relay(work, show)


async def _sleeps(relay: Relay) -> None:
    await asyncio.sleep(0)


answer = Verb(_answer, lambda: portal)


async def broken(tell: Callable[[Any], None]) -> int:
    tell("before")
    raise LookupError("on the loop")


def test_blocking_shows_in_the_callers_thread() -> None:
    work, seen = Work(), Seen()
    assert answer(work, seen.show) == 42
    assert seen == [0, 1, 2]
    assert seen.threads == {threading.current_thread()} != {work.thread}


def test_blocking_works_inside_a_running_loop() -> None:
    async def cell() -> int:
        return answer(Work(), Seen().show)

    assert asyncio.run(cell()) == 42


def test_awaiting_leaves_the_loop_free() -> None:
    work, seen, ticks = Work(0.2), Seen(), []

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0.01)

    async def cell() -> int:
        ticking = asyncio.create_task(tick())
        got = await answer.aio(work, seen.show)
        ticking.cancel()
        return got

    assert asyncio.run(cell()) == 42
    assert seen == [0, 1, 2]
    assert seen.threads == {threading.current_thread()}
    assert len(ticks) > 5


def test_gathered() -> None:
    async def cell() -> list[int]:
        return await asyncio.gather(*(answer.aio(Work(0.1), Seen().show) for _ in range(5)))

    assert asyncio.run(cell()) == [42] * 5


@pytest.mark.parametrize("wait", [answer, lambda *a: asyncio.run(answer.aio(*a))])
def test_error_on_the_loop_is_the_callers(wait: Callable[..., Any]) -> None:
    seen = Seen()
    with pytest.raises(LookupError, match="on the loop"):
        wait(broken, seen.show)
    assert seen == ["before"]


def test_error_while_showing_ends_the_work() -> None:
    work = Work(60)

    def show(item: Any) -> None:
        raise OSError("no screen")

    with pytest.raises(OSError, match="no screen"):
        answer(work, show)
    assert work.log == ["cancelled", "cleaned up"]


def test_interrupt_ends_the_work_before_it_returns() -> None:
    work = Work(20)

    def interrupt() -> None:
        while work.thread is None:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt, match="cancelled") as caught:
        answer(work, Seen().show)
    assert work.log == ["cancelled", "cleaned up"]
    *trace, last = caught.value._render_traceback_()  # type: ignore[attr-defined]  # what IPython asks for
    assert "portal.py" not in "".join(trace).replace("test_portal.py", "")
    assert last == "KeyboardInterrupt: what was running has been cancelled"


def test_how_interrupted_work_ended_is_shown() -> None:
    shown: list[str] = []

    async def work(tell: Callable[[Any], None]) -> int:
        tell("running")
        try:
            await asyncio.sleep(20)
        finally:
            tell("ended")
        return 0

    def show(item: str) -> None:
        shown.append(item)
        if item == "running":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(work, show)
    assert shown == ["running", "ended"]


def test_cancelling_ends_the_work_before_it_returns() -> None:
    work = Work(60)

    async def cell() -> None:
        await asyncio.wait_for(answer.aio(work, Seen().show), 0.1)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(cell())
    assert work.log == ["cancelled", "cleaned up"]


def test_cancelled_at_once() -> None:
    work = Work(60)

    def show(item: Any) -> None:
        raise AssertionError("nothing is told")

    async def cell() -> None:
        task = asyncio.create_task(answer.aio(work, show))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cell(), 4))


def test_verb_keeps_its_description() -> None:
    assert answer.__doc__ == "Give the answer."


def test_verb_that_awaits_something_else_is_refused_when_blocking() -> None:
    with pytest.raises(RuntimeError, match="awaited something else than its relay"):
        Verb(_sleeps, lambda: portal)()
