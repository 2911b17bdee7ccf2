"""The gateway's process: it hears of replicas over its link, serves, and tells the load; without its link it ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import resource
import socket
import sys
import traceback
from typing import Any, NoReturn

from flyte_nb.engine.local.apps.proxy.access import Access
from flyte_nb.engine.local.apps.proxy.balance import Balance
from flyte_nb.engine.local.apps.proxy.client import Client
from flyte_nb.engine.local.apps.proxy.meter import Meter
from flyte_nb.engine.local.apps.proxy.probe import Probes
from flyte_nb.engine.local.apps.proxy.site import Site
from flyte_nb.engine.local.apps.traffic import Backend, GatewayConfig

__all__ = ["main"]

TICK = 0.2  # seconds between two looks at what there is to tell
BACKLOG = 4096  # connections that wait to be accepted
LONGEST_LINE = 1 << 24
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main() -> None:
    """Serve until the engine has gone."""
    raise_file_limit()
    link = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(link.fileno(), False)
    try:
        import uvloop
    except ImportError:
        asyncio.run(Process(link).run())
    else:
        uvloop.run(Process(link).run())


def raise_file_limit() -> None:
    """Allow as many connections as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # macOS says "unlimited" and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Process:
    """One gateway.

    Parameters
    ----------
    link : socket
        Lines of JSON to and from the engine; the first one is the configuration.
    """

    site: Site

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._told: dict[str, Any] = {}
        self._probes = Probes()

    async def run(self) -> None:
        """Serve until the link ends."""
        reader, self._writer = await asyncio.open_connection(sock=self._link, limit=LONGEST_LINE)
        config = GatewayConfig(**json.loads(await reader.readline()))
        try:
            await self._listen(config)
        except OSError as error:
            code = "PortTaken" if error.errno == errno.EADDRINUSE else "NoGateway"
            self._tell({"op": "failed", "code": code, "message": os.strerror(error.errno or 0)})
            await reader.read()
            return
        self._ticking = asyncio.create_task(self._tick())
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self._take(json.loads(line))
        leave()

    async def _listen(self, config: GatewayConfig) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Client(self.site), config.host, config.port, backlog=BACKLOG, start_serving=False
        )
        port = server.sockets[0].getsockname()[1]
        hosts = [host.replace("{port}", str(port)) for host in config.hosts]
        self.site = Site(
            config,
            Access(config.name, port, config.token, hosts, config.host not in LOOPBACK),
            Balance(config.most_waiting, config.wait, self._tell_load, self._tell_drained),
            Meter(),
            config.prefix.replace("{port}", str(port)).rstrip("/").encode(),
            f"localhost:{port}".encode(),
            loop,
            self._report,
        )
        loop.set_exception_handler(lambda _, context: self._report(context.get("exception")))
        await server.start_serving()
        self._tell({"op": "ready", "port": port})

    def _take(self, message: dict[str, Any]) -> None:
        if message["op"] == "backends":
            self.site.balance.set([Backend(**backend) for backend in message["backends"]])
        elif message["op"] == "refuse":
            self.site.balance.refuse(message["why"])
        elif message["op"] == "drain":
            self.site.balance.ask(message["id"])
        elif message["op"] == "ticket":
            self.site.access.add_ticket(message["ticket"])
        elif message["op"] == "no_ticket":
            self.site.access.remove_ticket(message["ticket"])
        elif message["op"] == "taken":
            self._tell(message)

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK)
            ticks += 1
            now = self.site.loop.time()
            self._tell_load()
            for replica in self.site.balance.replicas.values():
                replica.tidy()
                self._probes.look(replica, now)
            if ticks % 5 == 0:
                for client in tuple(self.site.clients):
                    client.check(now)

    def _tell_load(self) -> None:
        balance = self.site.balance
        replicas = [*balance.leaving.values(), *balance.replicas.values()]
        load = {
            "op": "load", "in_flight": sum(replica.in_flight for replica in replicas), "waiting": len(balance.waiting),
            "per_backend": {replica.id: replica.in_flight for replica in replicas},
            **self.site.meter.read(self.site.loop.time()),
        }  # fmt: skip
        if load != self._told:
            self._told = load
            self._tell(load)

    def _tell_drained(self, name: str) -> None:
        self._tell({"op": "drained", "id": name})

    def _report(self, error: BaseException | None) -> None:
        if error is not None:  # where it happened, and nothing of what was in the request
            places = traceback.extract_tb(error.__traceback__)
            told = [f"{os.path.basename(place.filename)}:{place.lineno}" for place in places]
            self._tell({"op": "fault", "told": f"{type(error).__name__} at {', '.join(told)}"})

    def _tell(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")


def leave() -> NoReturn:
    """End at once, whatever is still under way."""
    os._exit(0)
