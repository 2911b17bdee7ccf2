"""Process: a worker that serves an app, as its engine sees it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any, ClassVar

from flyte_nb.engine.local.apps.waiting import LAST_SERVER, LAST_SHUTDOWN
from flyte_nb.engine.local.replica import Replica

__all__ = ["AppProcess"]

MARGIN = 0.2  # seconds beyond its limits, in which it ends itself


class AppProcess(Replica):
    """A replica's process: beside what every worker does, it serves an app and tells how that goes."""

    grace: ClassVar[float] = LAST_SERVER + LAST_SHUTDOWN + MARGIN
    #: hears what it tells of the app
    told: Callable[[dict[str, Any]], None] = staticmethod(lambda head: None)

    def serve(self, head: dict[str, Any]) -> None:
        """Have it serve an app."""
        self._send({"op": "serve", **head})

    def ask_to_stop(self, limits: dict[str, float]) -> None:
        """Ask it to stop serving and call its shutdown hook; ``limits`` has the seconds for both."""
        if self._transport is not None and not self._transport.is_closing():
            self._send({"op": "stop", **limits})
        else:
            self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.pid and not self.process.ended.done():
            os.kill(self.pid, number)

    async def wait(self, seconds: float) -> bool:
        """Wait for its end; tell whether it has ended."""
        if not self.process.ended.done():
            await asyncio.wait((self.process.ended,), timeout=max(seconds, 0))
        return self.process.ended.done()

    def _take(self, head: dict[str, Any], parts: list[Any]) -> None:
        if head["op"] == "app":
            self.streams.drain()
            self.told(head)
            return
        super()._take(head, parts)
