"""Apps: declared, started, watched, stopped; a container serves them where a test asks for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.app import app_definition_pb2 as definition
from flyteidl2.app import app_logs_payload_pb2 as logs
from flyteidl2.app import app_payload_pb2 as messages
from flyteidl2.app.app_logs_service_connect import AppLogsService
from flyteidl2.app.app_service_connect import AppService

from plane.containers import OFTEN, Container, followed
from plane.server import HOST

DEPLOYING, ACTIVE, FAILED, STOPPED = (
    getattr(definition.Status, f"DEPLOYMENT_STATUS_{name}") for name in ("DEPLOYING", "ACTIVE", "FAILED", "STOPPED")
)


class Apps(AppService):
    """The apps by name.

    ``seconds`` is how long one takes to start, ``failing`` names those that do not, and ``serve`` tells whether a
    container serves each, at the port that it declares; otherwise none does.

    Parameters
    ----------
    endpoint : str
        The address of the control plane.
    folder : Path
        Where containers work.
    python : str
        The Python of every image.
    """

    def __init__(self, endpoint: str, folder: Path, python: str) -> None:
        self.known: dict[str, Any] = {}
        self.containers: dict[str, Container] = {}
        self.seconds, self.serve = 0.0, False
        self.failing: set[str] = set()
        self._endpoint, self._folder, self._python = endpoint, folder, python
        self._starting, self._running = set[asyncio.Task[None]](), set[asyncio.Task[int]]()
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
        name = self._get(request.app_id).metadata.id.name
        self._end(name)
        del self.known[name]
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
        port = app.spec.container.ports[0].container_port if app.spec.container.ports else 0
        app.status.ingress.public_url = f"http://{HOST}:{port}" if self.serve else f"{self._endpoint}/apps/{name}"
        self._end(name)
        self.known[name] = app
        if app.spec.desired_state == definition.Spec.DESIRED_STATE_STOPPED:
            self._become(app, STOPPED)
        else:
            self._become(app, DEPLOYING)
            work = asyncio.create_task(self._start(app))
            self._starting.add(work)
            work.add_done_callback(self._starting.discard)
        return app

    async def _start(self, app: Any) -> None:
        name = app.metadata.id.name
        await asyncio.sleep(self.seconds)
        has_failed = name in self.failing or (self.serve and not await self._contained(app))
        if self.known.get(name) is app:  # no newer one has come meanwhile
            self._become(app, FAILED if has_failed else ACTIVE)

    async def _contained(self, app: Any) -> bool:
        """Start the container of an app, and tell whether it answers before it ends."""
        given, place = app.spec.container, app.metadata.id
        env_vars = {row.key: row.value for row in given.env} | {
            "_U_EP_OVERRIDE": self._endpoint,
            "FLYTE_INTERNAL_EXECUTION_PROJECT": place.project,
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": place.domain,
        }
        folder = self._folder / f"{place.name}-{app.metadata.revision}"
        container = Container(folder, [*given.command, *given.args], env_vars, self._python)
        self.containers[place.name] = container
        running = asyncio.create_task(container.run())
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        while not running.done():
            with contextlib.suppress(OSError):
                (await asyncio.open_connection(HOST, given.ports[0].container_port))[1].close()
                return True
            await asyncio.sleep(OFTEN)
        return False

    def _end(self, name: str) -> None:
        if name in self.containers:
            self.containers.pop(name).kill()

    async def close(self) -> None:
        """End what starts or serves."""
        for work in self._starting:
            work.cancel()
        for name in list(self.containers):
            self._end(name)
        await asyncio.gather(*self._starting, *self._running, return_exceptions=True)

    def _become(self, app: Any, status: int) -> None:
        told = app.status.conditions.add(deployment_status=status, revision=app.metadata.revision)
        told.message = "the container ended with 1" if status == FAILED else ""
        self._changed.set()
        self._changed = asyncio.Event()


class AppLogs(AppLogsService):
    """What the containers of apps print."""

    def __init__(self, apps: Apps) -> None:
        self._apps = apps

    async def tail_logs(self, request: Any, ctx: Any) -> AsyncIterator[Any]:
        container = self._apps.containers.get(request.app_id.name)
        if container is None:
            raise ConnectError(Code.NOT_FOUND, f"app {request.app_id.name!r} has no log")
        async for lines in followed(container.log, lambda: container.has_ended):
            answer = logs.TailLogsResponse()
            answer.batches.logs.add(lines=lines).replica_id.name = "r1"
            yield answer
