"""Watching a run in a cluster: its actions and what they print, until its root has ended.

The root is a stream, which is taken up again when it breaks; the tasks that it calls are asked for now and then; what
each action prints is a stream of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from flyte_nb.engine.base import Phase
from flyte_nb.engine.cluster import failures, sdk
from flyte_nb.engine.cluster.connection import Connection
from flyte_nb.engine.cluster.printing import Printed
from flyte_nb.engine.cluster.reading import action_of, attempts_of
from flyte_nb.engine.cluster.recording import Recording
from flyte_nb.errors import UnionRpcError

__all__ = ["Watching"]

OFTEN, SELDOM = 0.5, 3.0  # seconds between two looks at the tasks that tasks call: at first, and after a while
AGAIN = 0.2  # seconds before a stream that broke is taken up again, at first
LINGER = 1.0  # seconds without a line after which a run that has ended is taken to have printed all
MOST_TAILS = 32  # actions whose output is followed at a time
PAGE = 1000
_PASSING = (failures.UNREACHABLE, failures.SLOW, failures.BROKEN)


class Watching:
    """Follows one run.

    Parameters
    ----------
    connection : Connection
        The cluster.
    recording : Recording
        Takes what happens.
    root : message
        The identifier of the root action.
    place : callable
        Gives a text with its lines told in cells.
    file : Path, optional
        The module of its tasks here.
    """

    def __init__(
        self, connection: Connection, recording: Recording, root: Any, place: Callable[[str], str], file: Path | None
    ) -> None:
        self._connection, self._recording, self._root, self._place = connection, recording, root, place
        self._file = file
        #: the frames of the task that failed last, told in cells and lines; empty where none did
        self.traceback = ""
        #: the name of the exception's class that it raised
        self.exception = ""
        self._tails: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(MOST_TAILS)
        self._ended = set[str]()
        self._heard = 0.0
        self._known: dict[str, int] = {}  # lines of each action that an earlier watch has taken

    async def follow(self) -> Any:
        """Follow the run to its end, and give the details of its root.

        Raises
        ------
        UnionRpcError
            When it was lost from sight; it may go on.
        """
        looking = asyncio.create_task(self._look_now_and_then())
        try:
            details = await self._to_its_end()
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            with contextlib.suppress(UnionRpcError):
                await self._look()
            await self._rest_of_output()
        finally:
            jobs = [looking, *self._tails.values()]
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        self._put(details)
        return details

    # --- the root ---

    async def _to_its_end(self) -> Any:
        lost, pause = 0.0, AGAIN
        while True:
            try:
                async for details in self._connection.stream(self._asked("watching"), _watched, self._root):
                    lost, pause = 0.0, AGAIN
                    if action_of(details).phase.is_terminal:
                        return details
                    self._put(details)
            except UnionRpcError as error:
                lost = lost or self._now()
                if error.code not in _PASSING or self._now() - lost > self._connection.patience:
                    raise self._lost(error) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, SELDOM)

    def _put(self, details: Any) -> None:
        action = action_of(details, self._place, self._recording.run.task)
        failed = [one for one in attempts_of(details) if one.number < action.attempt]
        self._recording.put(action, failed)
        self._tail(details.id, max(1, details.status.attempts), action.phase)

    def _lost(self, error: UnionRpcError) -> UnionRpcError:
        name = self._recording.run.name
        return UnionRpcError(
            error.code,
            f"lost sight of run {name!r}, which may go on in the cluster; %flyte watch {name} looks for it. {error}",
        )

    # --- the tasks that it calls ---

    async def _look_now_and_then(self) -> None:
        pause = OFTEN
        while True:
            await asyncio.sleep(pause)
            pause = min(1.3 * pause, SELDOM)
            try:
                await self._look()
            except UnionRpcError as error:
                if error.code not in _PASSING:
                    return

    async def _look(self) -> None:
        for told in await self._connection.call(self._asked("asking for the actions of"), _listed, self._root.run):
            if told.id.name == self._root.name or told.id.name in self._ended:
                continue
            action = action_of(told, self._place)
            if action.phase.is_terminal:
                self._ended.add(action.id)
            if action.phase in (Phase.FAILED, Phase.TIMED_OUT, Phase.ABORTED):
                told = await self._connection.call(self._asked("asking for an action of"), _details, told.id)
                self._put(told)
                continue
            self._recording.put(action, [])
            self._tail(told.id, max(1, told.status.attempts), action.phase)

    # --- what they print ---

    def _tail(self, action: Any, attempt: int, phase: Phase) -> None:
        key = action.name, attempt
        if phase.is_terminal:
            self._ended.add(action.name)
        if key not in self._tails and phase not in (Phase.QUEUED, Phase.WAITING_FOR_RESOURCES):
            self._tails[key] = asyncio.create_task(self._follow_output(action, attempt))

    async def _follow_output(self, action: Any, attempt: int) -> None:
        told, pause, printed = 0, AGAIN, Printed(self._file)
        async with self._room:
            while True:
                has_ended = action.name in self._ended
                with contextlib.suppress(UnionRpcError):  # there may be nothing yet, or no more
                    seen = 0
                    async for line in self._connection.stream(self._asked("reading what"), _printed, action, attempt):
                        seen += 1
                        if seen > told:  # a stream that is taken up again begins at the beginning
                            told, self._heard, pause = seen, self._now(), AGAIN
                            if shown := printed.take(line):
                                self._take(action.name, shown)
                if printed.exception:
                    self.traceback, self.exception = printed.traceback, printed.exception
                if has_ended:
                    return
                await asyncio.sleep(pause)
                pause = min(2 * pause, SELDOM)

    def _take(self, action: str, line: str) -> None:
        if action not in self._known:
            self._known[action] = self._recording.lines_of(action)
        if self._known[action]:
            self._known[action] -= 1
        else:
            self._recording.take(action, line)

    async def _rest_of_output(self) -> None:
        """Wait for what is still printed, as long as something comes."""
        self._heard = self._now()
        while (left := [job for job in self._tails.values() if not job.done()]) and self._now() - self._heard < LINGER:
            await asyncio.wait(left, timeout=0.1)

    def _asked(self, what: str) -> str:
        return f"{what} run {self._recording.run.name!r}"

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


# --- what runs on the SDK's own loop ---


async def _watched(root: Any) -> AsyncIterator[Any]:
    from flyteidl2.workflow import run_service_pb2

    request = run_service_pb2.WatchActionDetailsRequest(action_id=root)
    async for answer in _client().run_service.watch_action_details(request):
        yield answer.details


async def _details(action: Any) -> Any:
    from flyteidl2.workflow import run_service_pb2

    request = run_service_pb2.GetActionDetailsRequest(action_id=action)
    return (await _client().run_service.get_action_details(request)).details


async def _listed(run: Any) -> list[Any]:
    from flyteidl2.common import list_pb2
    from flyteidl2.workflow import run_service_pb2

    found, token = list[Any](), ""
    while True:
        request = run_service_pb2.ListActionsRequest(request=list_pb2.ListRequest(limit=PAGE, token=token), run_id=run)
        answer = await _client().run_service.list_actions(request)
        found += answer.actions
        token = answer.token
        if not token:
            return found


async def _printed(action: Any, attempt: int) -> AsyncIterator[str]:
    from flyteidl2.dataproxy import dataproxy_service_pb2
    from flyteidl2.logs.dataplane import payload_pb2

    request = dataproxy_service_pb2.TailLogsRequest(action_id=action, attempt=attempt)
    async for answer in _client().dataproxy_service.tail_logs(request):
        for log in answer.logs:
            for line in log.lines:
                if line.originator != payload_pb2.LogLineOriginator.SYSTEM:
                    yield line.message.rstrip("\n") + "\n"


def _client() -> Any:
    return sdk.find("flyte._initialize.get_client")()
