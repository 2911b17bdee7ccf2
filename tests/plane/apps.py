"""Apps: declared, started after a while, stopped, watched. No process serves them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.app import app_definition_pb2 as definition
from flyteidl2.app import app_payload_pb2 as messages
from flyteidl2.app.app_service_connect import AppService

DEPLOYING, ACTIVE, FAILED, STOPPED = (
    getattr(definition.Status, f"DEPLOYMENT_STATUS_{name}") for name in ("DEPLOYING", "ACTIVE", "FAILED", "STOPPED")
)


class Apps(AppService):
    """The apps by name.

    ``seconds`` is how long one takes to start, and ``failing`` names those that do not.
    """

    def __init__(self, endpoint: str) -> None:
        self.known: dict[str, Any] = {}
        self.seconds = 0.0
        self.failing: set[str] = set()
        self._endpoint = endpoint
        self._work: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def create(self, request: Any, ctx: Any) -> Any:
        if request.app.metadata.id.name in self.known:
            raise ConnectError(Code.ALREADY_EXISTS, f"app {request.app.metadata.id.name!r}")
        return messages.CreateResponse(app=self._take(request.app, 1))

    async def update(self, request: Any, ctx: Any) -> Any:
        before = self._get(request.app.metadata.id)
        return messages.UpdateResponse(app=self._take(request.app, before.metadata.revision + 1))

    async def get(self, request: Any, ctx: Any) -> Any:
        return messages.GetResponse(app=self._get(request.app_id))

    async def list(self, request: Any, ctx: Any) -> Any:
        return messages.ListResponse(apps=self.known.values())

    async def delete(self, request: Any, ctx: Any) -> Any:
        del self.known[self._get(request.app_id).metadata.id.name]
        return messages.DeleteResponse()

    async def watch(self, request: Any, ctx: Any) -> AsyncIterator[Any]:
        name, told = self._get(request.app_id).metadata.id.name, b""
        while name in self.known:
            changed, app = self._changed, self.known[name]
            if told != (told := app.SerializeToString(deterministic=True)):
                answer = messages.WatchResponse()
                answer.update_event.updated_app.CopyFrom(app)
                yield answer
            await changed.wait()

    def _get(self, wanted: Any) -> Any:
        if wanted.name not in self.known:
            raise ConnectError(Code.NOT_FOUND, f"app {wanted.name!r} not found")
        return self.known[wanted.name]

    def _take(self, app: Any, revision: int) -> Any:
        name = app.metadata.id.name
        app.metadata.revision = revision
        app.status.ingress.public_url = f"{self._endpoint}/apps/{name}"
        self.known[name] = app
        if app.spec.desired_state == definition.Spec.DESIRED_STATE_STOPPED:
            self._become(app, STOPPED)
        else:
            self._become(app, DEPLOYING)
            work = asyncio.create_task(self._start(app))
            self._work.add(work)
            work.add_done_callback(self._work.discard)
        return app

    async def _start(self, app: Any) -> None:
        await asyncio.sleep(self.seconds)
        self._become(app, FAILED if app.metadata.id.name in self.failing else ACTIVE)

    def _become(self, app: Any, status: int) -> None:
        told = app.status.conditions.add(deployment_status=status, revision=app.metadata.revision)
        told.message = "the container ended with 1" if status == FAILED else ""
        self._changed.set()
        self._changed = asyncio.Event()
