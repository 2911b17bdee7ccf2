"""Time, as tasks ask for it."""

import asyncio
import time
from datetime import datetime, timezone

import flyte_nb as flyte


def test_the_time_is_this_machines() -> None:
    before = time.time()
    assert before <= flyte.durable.time() <= time.time()
    assert before <= asyncio.run(flyte.durable.time.aio()) <= time.time()
    assert flyte.durable.now().tzinfo is timezone.utc
    assert asyncio.run(flyte.durable.now.aio()) <= datetime.now(timezone.utc)


def test_it_sleeps_blocking_or_not() -> None:
    start = time.monotonic()
    flyte.durable.sleep(0.01)

    async def both() -> None:
        await asyncio.gather(flyte.durable.sleep.aio(0.01), flyte.durable.sleep.aio(0.01))

    asyncio.run(both())
    assert time.monotonic() - start >= 0.02
