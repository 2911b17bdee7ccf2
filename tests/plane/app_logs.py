"""What the replicas of apps print, as a test says that they did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.app import app_logs_payload_pb2 as messages
from flyteidl2.app.app_logs_service_connect import AppLogsService


class AppLogs(AppLogsService):
    """The lines of each replica, by the app's name and the replica's."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, list[str]]] = {}

    async def tail_logs(self, request: Any, ctx: Any) -> AsyncIterator[Any]:
        if request.app_id.name not in self.lines:
            raise ConnectError(Code.NOT_FOUND, f"app {request.app_id.name!r} has no log yet")
        for replica, lines in self.lines[request.app_id.name].items():
            answer = messages.TailLogsResponse()
            batch = answer.batches.logs.add(lines=lines)
            batch.replica_id.name = replica
            yield answer
