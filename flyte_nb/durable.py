"""Time for tasks that may be replayed in a cluster; a run on this machine is not, so it is the time of this machine."""

from __future__ import annotations

import time as clock
from datetime import datetime, timezone

from flyte_nb.pairs import Pair

__all__ = ["now", "sleep", "time"]


@Pair
def now() -> datetime:
    """Give the present time, aware of its zone."""
    return datetime.now(timezone.utc)


@Pair
def time() -> float:
    """Give the present time in seconds since 1970."""
    return clock.time()


class _Sleep:
    """Wait some seconds: ``sleep(1.5)``, or ``await sleep.aio(1.5)`` where others go on meanwhile."""

    def __call__(self, seconds: float) -> None:
        clock.sleep(seconds)

    async def aio(self, seconds: float) -> None:
        """Wait, and let others go on."""
        from asyncio import sleep as pause

        await pause(seconds)


sleep = _Sleep()
