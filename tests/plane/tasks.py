"""Deployed tasks, by project, domain, name and version."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.task import task_service_pb2 as messages
from flyteidl2.task.task_service_connect import TaskService


class Tasks(TaskService):
    """What was deployed, in the order of it; ``deployed`` holds the requests by (project, domain, name, version)."""

    def __init__(self) -> None:
        self.deployed: dict[tuple[str, str, str, str], Any] = {}

    async def deploy_task(self, request: Any, ctx: Any) -> Any:
        key = _key(request.task_id)
        if key in self.deployed:
            raise ConnectError(Code.ALREADY_EXISTS, f"task {request.task_id.name!r} at {request.task_id.version!r}")
        self.deployed[key] = request
        return messages.DeployTaskResponse()

    async def get_task_details(self, request: Any, ctx: Any) -> Any:
        found = self.newest(request.task_id)
        answer = messages.GetTaskDetailsResponse()
        answer.details.task_id.CopyFrom(found.task_id)
        answer.details.spec.CopyFrom(found.spec)
        answer.details.metadata.deployed_at.FromSeconds(int(time.time()))
        return answer

    async def list_tasks(self, request: Any, ctx: Any) -> Any:
        names = {value for row in request.request.filters if row.field == "name" for value in row.values}
        answer = messages.ListTasksResponse()
        for found in reversed(self.deployed.values()):
            if not names or found.task_id.name in names:
                answer.tasks.add().task_id.CopyFrom(found.task_id)
        if request.request.limit:
            del answer.tasks[request.request.limit :]
        return answer

    def newest(self, wanted: Any) -> Any:
        """Give the newest deployment of a task; one version of it where that is stated."""
        for found in self._of(wanted):
            if wanted.version in ("", found.task_id.version):
                return found
        raise ConnectError(Code.NOT_FOUND, f"task {wanted.name!r} at version {wanted.version!r} not found")

    def _of(self, wanted: Any) -> Iterator[Any]:
        for key, found in reversed(self.deployed.items()):
            if key[:3] == _key(wanted)[:3]:
                yield found


def _key(task: Any) -> tuple[str, str, str, str]:
    return task.project, task.domain, task.name, task.version
