"""The control plane itself: one server for all services, its log of calls, and its faults."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import flyteidl2
import uvicorn
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from google.protobuf.json_format import MessageToDict

from plane.actions import Actions
from plane.apps import Apps
from plane.bucket import Bucket
from plane.calls import Call, Calls
from plane.data import Data
from plane.faults import Fault, Faults
from plane.projects import Clients, Clusters, Projects, Users
from plane.runs import Called, Runs
from plane.secrets import Secrets
from plane.tasks import Tasks

HOST = "127.0.0.1"
#: what is answered to whoever has no token
OPEN = "AuthMetadataService"


class Plane:
    """A control plane on this machine, between ``with`` and the end of its block.

    Parameters
    ----------
    folder : Path
        Where it keeps what is uploaded, and what runs give.
    python : str, optional
        The Python of every container; this one by default. It needs ``flyte``.
    projects : tuple of str, default: ("shop",)
        The projects that it has.
    """

    def __init__(self, folder: Path, python: str = sys.executable, projects: tuple[str, ...] = ("shop",)) -> None:
        self.calls, self._faults = Calls(), Faults()
        self._folder, self._python, self._projects = folder, python, projects
        self._token: str | None = None
        self._lacking: set[str] = set()
        self._port = 0

    def __enter__(self) -> Plane:
        self.bucket = Bucket(self._folder / "bucket", self.calls, self._faults)
        listening = _listening(0)
        self._port = listening.getsockname()[1]
        self.endpoint = f"http://{HOST}:{self._port}"
        self.tasks, self.apps, self.secrets = Tasks(), Apps(self.endpoint), Secrets()
        self.projects = Projects(self._projects)
        self._actions = Actions(self.endpoint, self._python)
        own = (self.tasks, self.apps, self.secrets, self.projects, Data(self.bucket, self._actions), Users(),
               Runs(self._actions, self.tasks, self.bucket), Called(self._actions), Clusters(self.endpoint), Clients())  # fmt: skip
        self._services = dict(_mounted(own, _Watch(self.calls, self._faults, self._is_known)))
        self._serve(listening)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._actions.close()
        self._stop()
        self.bucket.close()

    # --- what a test asks ---

    def of(self, rpc: str) -> list[Call]:
        """Give the calls of one kind, such as ``"TaskService.DeployTask"``; ``"PUT"`` is an upload."""
        return self.calls.of(rpc)

    def told(self) -> str:
        """Give the log of calls as a table of text."""
        return self.calls.told()

    def bundles(self) -> list[Path]:
        """Give the uploaded bundles, in the order of their uploads."""
        return [self.bucket.folder / call.request["path"] for call in self.of("PUT") if call.answer == "ok"]

    # --- faults ---

    def fail(self, rpc: str, code: str, message: str = "so the test wants it", *, times: int | None = None,
             skip: int = 0) -> None:  # fmt: skip
        """Answer calls with an error, such as ``"permission_denied"``; all of them, or some after some."""
        self._faults.add(Fault("fail", rpc, times, skip, code=Code(code).value, message=message))

    def slow(self, rpc: str, seconds: float, *, times: int | None = None, skip: int = 0) -> None:
        """Answer calls after some seconds."""
        self._faults.add(Fault("slow", rpc, times, skip, seconds=seconds))

    def cut(self, rpc: str, *, after: int = 0, times: int | None = None, skip: int = 0) -> None:
        """End the connection within calls: an upload after some bytes, a stream after some messages."""
        self._faults.add(Fault("cut", rpc, times, skip, after=after))

    def lack(self, service: str) -> None:
        """Know nothing of a service, as a control plane of another version."""
        self._lacking.add(service)

    def needs_token(self, token: str | None) -> None:
        """Answer only to who brings ``Authorization: Bearer TOKEN``; None asks for none."""
        self._token = token

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse every connection, within a block."""
        self._stop()
        try:
            yield
        finally:
            self._serve(_listening(self._port))

    def heal(self) -> None:
        """Switch every fault off."""
        self._faults.clear()
        self._lacking.clear()
        self._token = None

    # --- the server ---

    def _serve(self, listening: socket.socket) -> None:
        config = uvicorn.Config(
            self._answer,
            log_level="critical",
            lifespan="off",
            interface="asgi3",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def _stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _is_known(self, rpc: str, headers: Any) -> None:
        if self._token and not rpc.startswith(OPEN) and headers.get("authorization") != f"Bearer {self._token}":
            raise ConnectError(Code.UNAUTHENTICATED, "the token is missing or wrong")

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        service, _, method = scope["path"].lstrip("/").partition("/")
        short = service.rpartition(".")[2]
        if service not in self._services or short in self._lacking:
            self.calls.add(f"{short}.{method}", {}).answer = "404"
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"404 page not found"})
        else:
            await self._services[service](scope, receive, send)


def _listening(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    listening.listen()
    return listening


def _mounted(own: tuple[Any, ...], watch: _Watch) -> Iterator[tuple[str, Any]]:
    """Give an application for every service of the protocol, by its full name; those not given answer UNIMPLEMENTED."""
    given = {base: service for service in own for base in type(service).__mro__}
    for found in pkgutil.walk_packages(flyteidl2.__path__, "flyteidl2."):
        if found.name.endswith("_connect"):
            module = importlib.import_module(found.name)
            for name, kind in vars(module).items():
                if f"{name}ASGIApplication" in vars(module) and isinstance(kind, type):
                    service = given.get(kind) or type(name, (kind,), {})()
                    app = getattr(module, f"{name}ASGIApplication")(service, interceptors=[watch])
                    yield app.path.strip("/"), app


class _Watch:
    """Stands before every call: notes it, checks who asks, and lets faults strike."""

    def __init__(self, calls: Calls, faults: Faults, check: Callable[[str, Any], None]) -> None:
        self._calls, self._faults, self._check = calls, faults, check

    async def intercept_unary(self, call_next: Any, request: Any, ctx: Any) -> Any:
        call = self._noted(request, ctx)
        try:
            await self._struck(call, ctx)
            answer = await call_next(request, ctx)
        except ConnectError as error:
            call.answer = error.code.value
            raise
        call.answer = "ok"
        return answer

    async def intercept_server_stream(self, call_next: Any, request: Any, ctx: Any) -> AsyncIterator[Any]:
        call = self._noted(request, ctx)
        try:
            await self._struck(call, ctx)
            async for message in call_next(request, ctx):
                yield message
        except ConnectError as error:
            call.answer = error.code.value
            raise
        call.answer = "ok"

    def _noted(self, request: Any, ctx: Any) -> Call:
        method = ctx.method()
        rpc = f"{method.service_name.rpartition('.')[2]}.{method.name}"
        return self._calls.add(rpc, MessageToDict(request, preserving_proto_field_name=True))

    async def _struck(self, call: Call, ctx: Any) -> None:
        if fault := self._faults.striking("slow", call.rpc):
            await asyncio.sleep(fault.seconds)
        self._check(call.rpc, ctx.request_headers())
        if fault := self._faults.striking("fail", call.rpc):
            raise ConnectError(Code(fault.code), fault.message)
