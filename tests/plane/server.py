"""The server of a control plane: one address, in a thread of its own; it can be gone for a while and come back."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvicorn

HOST = "127.0.0.1"
Application = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]


class Server:
    """Serves an application from `start` until `close`; what the application started goes on while it is gone.

    Parameters
    ----------
    application : callable
        An ASGI application.
    encryption : tuple of Path, optional
        The files of a certificate and of its key; without them, connections are not encrypted.
    """

    def __init__(self, application: Application, encryption: tuple[Path, Path] | None = None) -> None:
        self._application = application
        self._encryption = encryption
        self._listening = _listening(0)
        self.port = self._listening.getsockname()[1]
        self.endpoint = f"{'https' if encryption else 'http'}://{HOST}:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.do(self._begin(self._listening))

    def go(self) -> None:
        """Refuse connections from now on, and end those that there are."""
        self.do(self._end())

    def come_back(self) -> None:
        self.do(self._begin(_listening(self.port)))

    def close(self) -> None:
        self.go()
        self.do(_finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Await something where the application runs."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _begin(self, listening: socket.socket) -> None:
        config = uvicorn.Config(
            self._application,
            log_config=None,
            log_level=60,
            lifespan="off",
            interface="asgi3",
            ws="none",
            ssl_certfile=self._encryption and self._encryption[0],
            ssl_keyfile=self._encryption and str(self._encryption[1]),
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve([listening]))
        while not self._server.started:
            await asyncio.sleep(0.002)

    async def _end(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await self._serving


async def _finish() -> None:
    """End what goes on in a loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _listening(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    return listening
