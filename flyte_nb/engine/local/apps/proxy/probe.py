"""Probe: a replica that does not answer for a while is asked whether it is there at all.

A process that is stopped still accepts connections, and one that only takes its time for one request answers others.
So it is asked something cheap, on a connection of its own: whatever it says, it lives; until then others come first.
"""

from __future__ import annotations

import asyncio
import contextlib

from flyte_nb.engine.local.apps.proxy.balance import Replica

__all__ = ["Probes"]

QUIET = 2.0  # seconds without a word, while a request waits for its answer, after which a replica is asked
ANSWER = 1.0  # seconds to answer, before others are preferred
PAUSE = 5.0  # seconds between two questions
LONGEST = 30.0  # seconds after which it is asked anew
QUESTION = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nUser-Agent: flyte-nb-gateway\r\nConnection: close\r\n\r\n"


class Probes:
    """Asks the replicas of one app."""

    def __init__(self) -> None:
        self._asking: dict[Replica, asyncio.Task[None]] = {}

    def look(self, replica: Replica, now: float) -> None:
        """Ask a replica, if there is reason to."""
        due = replica.stuck or (replica.unanswered > 0 and now - replica.heard > QUIET)
        if due and replica not in self._asking:
            self._asking[replica] = asyncio.create_task(self._ask(replica))

    async def _ask(self, replica: Replica) -> None:
        try:
            if await self._answers(replica):
                replica.hear()
                await asyncio.sleep(PAUSE)
        finally:
            del self._asking[replica]

    async def _answers(self, replica: Replica) -> bool:
        writer = None
        try:
            opening = asyncio.open_connection(replica.backend.host, replica.backend.port)
            reader, writer = await asyncio.wait_for(opening, ANSWER)
            writer.write(QUESTION)
            answer = asyncio.ensure_future(reader.read(1))
            done, _ = await asyncio.wait((answer,), timeout=ANSWER)
            if not done:
                replica.stuck = True
            return bool(await asyncio.wait_for(answer, LONGEST))
        except (OSError, asyncio.TimeoutError):
            replica.stuck = True
            await asyncio.sleep(ANSWER)
            return False
        finally:
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.close()
