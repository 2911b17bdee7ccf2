"""The control plane as tests hold it: its parts, its log of calls, its faults."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from connectrpc.code import Code

from plane.actions import Actions
from plane.apps import AppLogs, Apps
from plane.bucket import Bucket
from plane.calls import Call, Calls
from plane.certificate import certificate
from plane.clients import TOKENS, Clients, Users
from plane.containers import surroundings
from plane.data import Data
from plane.faults import Fault, Faults
from plane.processes import Warm, anew
from plane.projects import Clusters, Projects
from plane.runs import Called, Runs
from plane.server import HOST, Server
from plane.services import Gate, Wire, mounted, wire
from plane.tasks import Tasks
from plane.vault import Secrets

CONFIG = """
admin:
  endpoint: {endpoint}
  {trust}
task:
  project: {project}
  domain: development
"""


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
    encrypted : bool, default: False
        Whether connections are encrypted; the SDK shows no token on others. ``certificate`` is the file of who vouches
        for it.
    warm : bool, default: True
        Whether the containers of tasks are forks of a process that has imported what the SDK imports of others, which
        is quicker; the SDK and the modules of tasks are imported anew in each, either way.
    """

    def __init__(
        self,
        folder: Path,
        python: str = sys.executable,
        projects: tuple[str, ...] = ("shop",),
        encrypted: bool = False,
        warm: bool = True,
    ) -> None:
        self.calls, self._faults = Calls(), Faults()
        files = certificate(folder / "certificate", HOST) if encrypted else None
        self.certificate = files and files[0]
        self._server = Server(self._answer, files)
        self.endpoint = self._server.endpoint
        self.bucket = Bucket(folder / "bucket", self.calls, self._faults)
        around = surroundings(folder / "warm") | {"FSSPEC_FILE_AUTO_MKDIR": "true"}  # which is read by an import
        self._warm = Warm(python, around)
        self.actions = Actions(self.endpoint, python, self._warm.start if warm else anew)
        self.tasks, self.apps, self.secrets = Tasks(), Apps(self.endpoint, folder / "apps", python), Secrets()
        self.projects, self.clients = Projects(projects), Clients(self.endpoint)
        self._lacking: set[str] = set()
        data, runs = Data(self.bucket, self.actions), Runs(self.actions, self.tasks, self.bucket)
        services = (self.tasks, self.apps, self.secrets, self.projects, self.clients, data, runs)
        others = (Called(self.actions), Clusters(self.endpoint), Users(), AppLogs(self.apps))
        self._services = dict(mounted((*services, *others), Gate(self.calls, self._faults, self.clients)))

    def __enter__(self) -> Plane:
        self.bucket.start()
        self._server.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.do(self.actions.close())
        self._server.do(self.apps.close())
        self._server.do(self._warm.close())
        self._server.close()
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

    def log(self, run: str) -> str:
        """Give what the containers of a run have printed."""
        logs = (action.container.log for action in self.actions.of(run) if action.container is not None)
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    def settings(self, home: Path) -> dict[str, str]:
        """Give the environment variables with which the SDK, and what stands on it, finds this control plane.

        Parameters
        ----------
        home : Path
            The home of its user, where a configuration file is written: the SDK remembers uploads there.
        """
        home.mkdir(parents=True, exist_ok=True)
        file = home / "config.yaml"
        trust = f"caCertFilePath: {self.certificate}" if self.certificate else "insecure: true"
        file.write_text(CONFIG.format(endpoint=self.endpoint, project=self.projects.names[0], trust=trust))
        found = {"HOME": str(home), "FLYTECTL_CONFIG": str(file), "DO_NOT_TRACK": "1"}  # no reports to its makers
        return found | ({"SSL_CERT_FILE": str(self.certificate)} if self.certificate else {})

    # --- faults, which a test switches on ---

    def fail(
        self, rpc: str, code: str, message: str = "so the test wants it", *, times: int | None = None, skip: int = 0
    ) -> None:
        """Answer calls with an error, such as ``"permission_denied"``; all of them, or some after some."""
        self._faults.add(Fault("fail", rpc, times, skip, code=Code(code).value, message=message))

    def slow(self, rpc: str, seconds: float, *, times: int | None = None, skip: int = 0) -> None:
        """Answer calls after some seconds."""
        self._faults.add(Fault("slow", rpc, times, skip, seconds=seconds))

    def cut(self, rpc: str, *, after: int = 0, times: int | None = None, skip: int = 0) -> None:
        """End the connection within calls: a stream after some messages, an upload after some bytes (see `Fault`)."""
        self._faults.add(Fault("cut", rpc, times, skip, after=after))

    def lack(self, service: str) -> None:
        """Know nothing of a service, such as ``"RunService"``, as a control plane of another version."""
        self._lacking.add(service)

    def needs_token(self, token: str | None, client: tuple[str, str] | None = None) -> None:
        """Answer only to who brings ``Authorization: Bearer TOKEN``, which a client with a secret may ask for."""
        self.clients.token, self.clients.client = token, client or self.clients.client

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse every connection, within a block; what runs goes on."""
        self._server.go()
        try:
            yield
        finally:
            self._server.come_back()

    def heal(self) -> None:
        """Switch every fault off."""
        self._faults.clear()
        self._lacking.clear()
        self.clients.token = None
        self.apps.seconds, self.apps.serve = 0, False
        self.apps.failing.clear()

    # --- the way of a call ---

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        service, _, method = scope["path"].lstrip("/").partition("/")
        short = service.rpartition(".")[2]
        if scope["path"] == TOKENS:
            call = self.calls.add("POST", {"path": TOKENS})
            status, body = self.clients.issue({name.decode(): value.decode() for name, value in scope["headers"]})
            call.answer = "ok" if status == 200 else str(status)
            await _send(send, status, body)
        elif service not in self._services or short in self._lacking:
            self.calls.add(f"{short}.{method}", {}).answer = "404"
            await _send(send, 404, b"404 page not found")
        else:
            await _served(self._services[service], scope, receive, send)


async def _send(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json" if body[:1] == b"{" else b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _served(application: Any, scope: Any, receive: Any, send: Any) -> None:
    """Serve a call; one whose connection is cut begins an answer that never ends."""
    connection, has_begun = Wire(), False
    wire.set(connection)

    async def passed(message: Any) -> None:
        nonlocal has_begun
        if not connection.is_cut:
            has_begun = True
            await send(message)

    with suppress(ConnectionAbortedError):
        await application(scope, receive, passed)
    if connection.is_cut and not has_begun:
        headers = [(b"content-type", b"application/proto"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"cut", "more_body": True})
