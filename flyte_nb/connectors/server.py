"""ConnectorService: serves the registered connectors, as the command ``c0`` of the Flyte SDK does.

``python -m flyte_nb.connectors.server c0 --port 8000 --prometheus_port 9090 --modules my_connectors other``
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flyte_nb.commands import Parser
from flyte_nb.connectors.connector import ConnectorRegistry
from flyte_nb.connectors.endpoints import TOKEN
from flyte_nb.connectors.extra import insist
from flyte_nb.connectors.modules import load_cells, load_modules
from flyte_nb.errors import FlyteError, UsageError

__all__ = ["ConnectorService", "main"]

HOST = "127.0.0.1"
GRACE = 10.0  # seconds that requests have to end when the server stops


@dataclass(frozen=True)
class _Settings:
    """Where a server listens, and for how long."""

    port: int
    prometheus_port: int
    host: str = HOST
    worker: int = 10
    timeout: float | None = None


class ConnectorService:
    """The gRPC server of the registered connectors."""

    @staticmethod
    def run(
        port: int,
        prometheus_port: int,
        worker: int = 10,
        timeout: float | None = None,
        modules: Iterable[str] | None = None,
        host: str = HOST,
        cells: str | None = None,
    ) -> None:
        """Serve until the process is told to end, by SIGTERM or an interrupt.

        Where the variable ``FLYTE_CONNECTOR_TOKEN`` is set, requests have to show what it holds.

        Parameters
        ----------
        port : int
            Where connectors are spoken to; 0 takes a free one, which is printed.
        prometheus_port : int
            Where the metrics are, over HTTP; 0 takes a free one.
        worker : int
            How many threads there are for what is not async.
        timeout : float, optional
            Seconds after which it ends by itself.
        modules : iterable of str, optional
            Modules that register connectors: dotted names, or paths of Python files.
        host : str
            The address to listen at; this machine alone by default.
        cells : str, optional
            The file of a module that was made of a notebook's cells.

        Raises
        ------
        InitializationError
            When the extra ``connectors`` is not installed.
        ModuleLoadError
            When a module cannot be imported.
        UsageError
            When a port is taken.
        """
        insist("a connector server", server=True)
        load_modules(modules or ())
        if cells is not None:
            load_cells(cells)
        port, prometheus_port = _mapped(port), _mapped(prometheus_port)
        asyncio.run(_serve(_Settings(port, prometheus_port, host, worker, timeout)))


def _mapped(port: int) -> int:
    """Give the port that stands for one where this is a replica of an app: gRPC asks no Python socket for it."""
    pairs = (pair.split(":") for pair in os.environ.get("FLYTE_NB_PORTS", "").split(",") if pair)
    return {int(asked): int(used) for asked, used in pairs}.get(port, port)


async def _serve(settings: _Settings) -> None:
    """Serve until it is told to end; requests that run then have a while to end."""
    metrics = _metrics(settings)
    try:
        server, health, port = await _started(settings)
        _tell(settings.host, port, metrics.server_port)
        await _until_told(settings.timeout)
        await health.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(server.stop(GRACE))
        with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(asyncio.shield(stopping), GRACE + 1)
    finally:
        metrics.shutdown()
        metrics.server_close()


def _metrics(settings: _Settings) -> Any:
    from flyte_nb.connectors.metrics import start_metrics

    try:
        return start_metrics(settings.host, settings.prometheus_port)
    except OSError as error:
        raise _refused("--prometheus_port", settings.host, settings.prometheus_port, str(error.strerror)) from None


async def _started(settings: _Settings) -> tuple[Any, Any, int]:
    """Give the server, its health service, and the port that it has."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from flyteidl2.connector import service_pb2, service_pb2_grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    from flyte_nb.connectors.gate import Gate
    from flyte_nb.connectors.service import Connectors, Metadata

    token = os.environ.get(TOKEN)
    server = grpc.aio.server(
        ThreadPoolExecutor(settings.worker),
        interceptors=[Gate(token)] if token else None,
        options=[("grpc.so_reuseport", 0)],
    )
    service_pb2_grpc.add_AsyncConnectorServiceServicer_to_server(Connectors(), server)
    service_pb2_grpc.add_ConnectorMetadataServiceServicer_to_server(Metadata(), server)
    told = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(told, server)
    for service in service_pb2.DESCRIPTOR.services_by_name.values():
        await told.set(service.full_name, health_pb2.HealthCheckResponse.SERVING)
    try:
        port = server.add_insecure_port(f"{settings.host}:{settings.port}")
    except RuntimeError as error:
        raise _refused("--port", settings.host, settings.port, str(error)) from None
    await server.start()
    return server, told, port


def _refused(option: str, host: str, port: int, why: str) -> UsageError:
    holder = _holder(port)
    if holder:
        return UsageError(f"{option} {port}: taken by {holder}; take another port, or 0 for a free one")
    return UsageError(f"{option} {port}: {host} cannot be listened at there: {why}")


def _holder(port: int) -> str:
    """Name the process that listens at a port, where that can be seen."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    return "a process of somebody else"
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""


def _tell(host: str, port: int, metrics: int) -> None:
    for (task_type, version), connector in ConnectorRegistry.known().items():
        print(f"connector {connector.name}: task type {task_type}, version {version}")
    if not ConnectorRegistry.known():
        text = "no connector is registered: a module does it with ConnectorRegistry.register(MyConnector())"
        print(f"notice: {text}", file=sys.stderr)
    print(f"listening on {host}:{port}, metrics on http://{host}:{metrics}/metrics", flush=True)


async def _until_told(timeout: float | None) -> None:
    """Wait until a signal says to end, or the time is over."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not in the main thread
            loop.add_signal_handler(number, ended.set)
    with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
        await asyncio.wait_for(ended.wait(), timeout)


# --- the command ---


def _port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise ArgumentTypeError(f"given {text!r}; accepted: 1 to 65535, or 0 for a free one")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out ``c0``: serve connectors. Give the exit status: 0 ended as told, 1 failed, 2 used wrongly."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = Parser(prog="flyte-nb c0", description="Serve connectors over gRPC.")
    parser.add_argument("--port", type=_port, default=8000, help="where it listens; 8000 by default")
    parser.add_argument("--prometheus_port", "--prometheus-port", type=_port, default=9090,
                        help="where its metrics are, over HTTP; 9090 by default")  # fmt: skip
    parser.add_argument("--host", default=HOST, help="the address it listens at; this machine alone by default")
    parser.add_argument("--worker", type=int, default=10, help="threads for what is not async; 10 by default")
    parser.add_argument("--timeout", type=float, help="seconds after which it ends by itself")
    parser.add_argument("--modules", nargs="+", action="extend", default=[], metavar="MODULE",
                        help="modules that register connectors: one or more, and as often as you like")  # fmt: skip
    parser.add_argument("--cells", metavar="FILE", help="a module that was made of a notebook's cells")
    try:
        options = parser.parse_args(words[1:] if words[:1] == ["c0"] else words)
        ConnectorService.run(**vars(options))
    except UsageError as error:
        print(f"flyte-nb c0: {str(error).removeprefix('flyte-nb c0: ')}", file=sys.stderr)
        return 2
    except FlyteError as error:
        print(f"flyte-nb c0: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
