"""Gateway: the engine's end of the process that an app's requests come through."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import psutil

from flyte_nb.engine.local.apps.links import front_of
from flyte_nb.engine.local.apps.spec import Spec
from flyte_nb.engine.local.apps.traffic import Backend, GatewayConfig, Load
from flyte_nb.errors import RuntimeSystemError

__all__ = ["Gateway", "terms"]

START = "import sys; sys.path[:] = sys.argv[2:]; from flyte_nb.engine.local.apps.proxy.process import main; main()"
_MISSING = "serving an app needs the package httptools: pip install 'flyte_nb[apps]'"
Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]
TICKET = "flyte_ticket"
PATIENCE = 30.0  # seconds for the process to listen
GRACE = 2.0  # seconds for it to end
LONGEST_LINE = 1 << 20


class Gateway:
    """The address of one app: requests wait, are counted and go to the replicas, in a process of their own.

    Made by `start`. The process has a session of its own and ends with this one, however that ends.
    """

    def __init__(
        self, config: GatewayConfig, process: subprocess.Popen[bytes], link: Link, told: Callable[[Load], None]
    ) -> None:
        self._config, self._process, self._told = config, process, told
        reader, self._writer = link
        self._hearing = asyncio.create_task(self._hear(reader))
        self._draining: dict[str, asyncio.Future[None]] = {}
        self._asked: list[asyncio.Future[None]] = []
        self._ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        #: done when the process has ended, with its exit code: 0 after `close`, else whatever ended it
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.load = Load()
        #: what went wrong inside it, the newest last: where, never what was in a request
        self.faults: deque[str] = deque(maxlen=100)
        self.port = config.port

    @classmethod
    async def start(cls, config: GatewayConfig, told: Callable[[Load], None]) -> Gateway:
        """Start the process and wait until it listens.

        Parameters
        ----------
        config : GatewayConfig
            Where to listen, and for whom.
        told : callable
            Takes the `Load`: five times a second while it changes, and at once when a request waits for a replica
            and none is there.

        Raises
        ------
        RuntimeSystemError
            ``PortTaken`` when another process listens on the port; ``NoGateway`` when the process does not start, or
            lacks a library.
        """
        if find_spec("httptools") is None:
            raise RuntimeSystemError("NoGateway", _MISSING)
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", START, str(theirs.fileno()), *map(str, sys.path)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        front = front_of("{port}")
        config = replace(config, prefix=config.prefix or front.prefix, hosts=(*config.hosts, *front.hosts))
        self = cls(config, process, await asyncio.open_connection(sock=ours, limit=LONGEST_LINE), told)
        self._send(asdict(config))
        try:
            self.port = await asyncio.wait_for(asyncio.shield(self._ready), PATIENCE)
        except BaseException as error:
            await self.close()
            if isinstance(error, asyncio.TimeoutError):
                raise RuntimeSystemError("NoGateway", f"the gateway of app {config.name!r} did not start") from None
            raise
        return self

    @property
    def pid(self) -> int:
        """The process, which leads a group of its own."""
        return self._process.pid

    @property
    def url(self) -> str:
        """The address of the app on this machine."""
        host = "127.0.0.1" if self._config.host in ("", "0.0.0.0", "::") else self._config.host
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    @property
    def login_url(self) -> str:
        """An address that lets a browser in, once; a new one each time it is read. Without a token it is `url`."""
        return f"{self.url}{self._ticket()}"

    def link(self, to: str = "") -> str:
        """Give an address for where the notebook is seen, which lets a browser in, once.

        Parameters
        ----------
        to : str
            The page to show, such as ``docs``.

        Returns
        -------
        str
            On JupyterHub it may begin with a path, ``/user/…``, which a page of the hub completes.
        """
        return front_of(self.port).url + (self._ticket(to) if self._config.token is not None else to.lstrip("/"))

    def _ticket(self, to: str = "") -> str:
        """Give what makes the address of the app's first page let a browser in, once; empty without a token."""
        if self._config.token is None:
            return ""
        ticket = secrets.token_urlsafe(24)
        self._send({"op": "ticket", "ticket": ticket})
        return "?" + urlencode({TICKET: ticket, **({"flyte_to": to} if to else {})})

    def withdraw(self, link: str) -> None:
        """Let an address that `link` gave let nobody in any more."""
        for ticket in parse_qs(urlsplit(link).query).get(TICKET, ()):
            self._send({"op": "no_ticket", "ticket": ticket})

    def set_backends(self, backends: Sequence[Backend]) -> None:
        """Give the replicas that requests go to from now on; others finish what they have."""
        self._send({"op": "backends", "backends": [asdict(backend) for backend in backends]})

    def refuse(self, why: str) -> None:
        """Answer 503 with a reason from now on, where no replica is there; ``""`` lets requests wait for one again."""
        self._send({"op": "refuse", "why": why})

    async def drained(self, id: str) -> None:  # noqa: A002 - a backend's own word
        """Wait until a replica that is no longer offered has no request left.

        Parameters
        ----------
        id : str
            The replica's id.
        """
        if self.ended.done():
            return
        if id not in self._draining:
            self._draining[id] = asyncio.get_running_loop().create_future()
            self._send({"op": "drain", "id": id})
        await asyncio.shield(self._draining[id])

    async def taken(self) -> None:
        """Wait until the process has taken all that it was told so far: requests from now on are treated so."""
        if self.ended.done() or self._writer.is_closing():
            return
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._send({"op": "taken"})
        await asyncio.shield(asked)

    async def close(self) -> None:
        """End the process; requests that it has break off."""
        self._writer.close()  # that is all it needs to hear
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.ended), GRACE)
            return
        self._process.kill()
        await asyncio.shield(self.ended)

    def _send(self, message: dict[str, Any]) -> None:
        if not self.ended.done() and not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                self._take(json.loads(line))
        try:
            code = await asyncio.get_running_loop().run_in_executor(None, self._process.wait)
        except RuntimeError:  # this process is ending and has no threads any more: nobody waits
            return
        self.ended.set_result(code)
        self._writer.close()
        for future in (*self._draining.values(), *self._asked):
            _set(future)
        if not self._ready.done():
            message = f"the gateway of app {self._config.name!r} ended with code {code}"
            self._ready.set_exception(RuntimeSystemError("NoGateway", message))
            self._ready.exception()  # nobody may wait for it any more

    def _failure(self, message: dict[str, Any]) -> RuntimeSystemError:
        """Say why the process does not listen; a port's owner is named where this user may know it."""
        where = f"port {self._config.port} of {self._config.host} is not free for app {self._config.name!r}"
        if message["code"] != "PortTaken":
            where = f"the gateway of app {self._config.name!r} cannot listen on {self._config.host!r}"
        elif owner := _owner(self._config.port):
            where += f": {owner} listens on it"
        return RuntimeSystemError(message["code"], f"{where} ({message['message']})")

    def _take(self, message: dict[str, Any]) -> None:
        if message["op"] == "load":
            del message["op"]
            self.load = Load(**message)
            try:
                self._told(self.load)
            except Exception as error:  # whoever is told may fail; the gateway is heard on
                context = {"message": "whoever is told of an app's load failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
        elif message["op"] == "drained":
            if future := self._draining.pop(message["id"], None):
                _set(future)
        elif message["op"] == "taken":
            _set(self._asked.pop(0))
        elif message["op"] == "fault":
            self.faults.append(message["told"])
        elif message["op"] == "ready":
            self._ready.set_result(message["port"])
        elif message["op"] == "failed":
            self._ready.set_exception(self._failure(message))


def terms(spec: Spec, token: str, host: str, port: int) -> GatewayConfig:
    """Give what the gateway of an app needs to know."""
    return GatewayConfig(
        spec.name,
        token if spec.requires_auth else None,
        spec.request_timeout,
        host=host,
        port=port,
        wait=max(spec.limits.activate, 1.0),
        h2c=spec.h2c,
    )


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _owner(port: int) -> str:
    """Name the process that listens on a port."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""
