"""Waiting for a while: limits that a sleeping laptop does not use up, cancels that count."""

from __future__ import annotations

import asyncio

import pytest
from flyte_nb.engine.local.apps.waiting import Patience, heard, within


def test_patience_counts_a_second_at_most_since_it_was_last_asked() -> None:
    times = iter([0.0, 0.5, 3_600.0, 3_601.0, 3_600.0, 3_601.5])
    patience = Patience(3.2, lambda: next(times))
    assert [patience.is_over() for _ in range(5)] == [False, False, False, False, True]


def test_work_within_its_time_and_beyond() -> None:
    async def main() -> None:
        assert await within(asyncio.sleep(0, "done"), 1) == "done"
        with pytest.raises(asyncio.TimeoutError):
            await within(asyncio.sleep(60), 0.01)
        with pytest.raises(ZeroDivisionError):
            await within(_raises(), 1)

    asyncio.run(main())


async def _raises() -> None:
    raise ZeroDivisionError


def test_a_cancel_that_comes_with_the_event_counts() -> None:
    async def main() -> None:
        event, rounds = asyncio.Event(), 0

        async def loop() -> None:
            nonlocal rounds
            while True:
                await heard(event, 10)
                event.clear()
                rounds += 1

        task = asyncio.create_task(loop())
        await asyncio.sleep(0.01)
        event.set()
        task.cancel()
        await asyncio.wait((task,), timeout=1)
        assert task.cancelled()

    asyncio.run(main())


def test_an_event_that_does_not_come() -> None:
    assert asyncio.run(heard(asyncio.Event(), 0.01)) is False
