"""Real replicas and gateways for the tests: uvicorn processes, raw sockets, and a gateway's own process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from flyte_nb.engine.local.apps.gateway import Gateway
from flyte_nb.engine.local.apps.traffic import Backend, GatewayConfig, Load

APP = """
import asyncio, hashlib, json, os
from urllib.parse import parse_qs

seen = []

async def whole(receive):
    size, digest = 0, hashlib.sha256()
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        digest.update(message.get("body", b""))
        if not message.get("more_body"):
            return size, digest.hexdigest()

async def start(send, status=200, *headers):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})

async def body(send, data, more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})

async def as_json(send, value, *headers):
    data = json.dumps(value).encode()
    await start(send, 200, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(data)), *headers)
    await body(send, data)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        return await websocket(scope, receive, send)
    path, query = scope["path"], {k: v[0] for k, v in parse_qs(scope["query_string"].decode()).items()}
    if path == "/echo":
        await as_json(send, {"method": scope["method"], "raw": scope["raw_path"].decode(), "id": os.environ["ID"],
                             "query": scope["query_string"].decode(),
                             "headers": [[k.decode(), v.decode("latin-1")] for k, v in scope["headers"]]},
                      (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))
    elif path == "/size":
        size, digest = await whole(receive)
        await as_json(send, {"size": size, "digest": digest})
    elif path == "/back":
        await start(send)
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await body(send, message.get("body", b""), more)
    elif path == "/big":
        left, piece = int(query["n"]), b"x" * (1 << 16)
        await start(send, 200, (b"content-length", query["n"].encode())) if "sized" in query else await start(send)
        while left > 0:
            await body(send, piece[:left], left > len(piece))
            left -= len(piece)
    elif path == "/sleep":
        await asyncio.sleep(float(query["s"]))
        await as_json(send, os.environ["ID"])
    elif path == "/events":
        await start(send, 200, (b"content-type", b"text/event-stream"))
        for number in range(int(query.get("n", 3))):
            await body(send, b"data: %d\\n\\n" % number, True)
            await asyncio.sleep(float(query.get("s", 0.05)))
        await body(send, b"")
    elif path == "/watch":
        await start(send)
        await body(send, b"begun", True)
        while (await receive())["type"] != "http.disconnect":
            pass
        seen.append("gone")
    elif path == "/seen":
        await as_json(send, seen)
    elif path == "/early":
        await start(send, 413, (b"content-length", b"5"))
        await body(send, b"large")
    elif path == "/exit":
        os._exit(3)
    elif path == "/break":
        await start(send)
        await body(send, b"some", True)
        await asyncio.sleep(0.1)
        os._exit(3)
    elif path.startswith("/status/"):
        await start(send, int(path[8:]), (b"content-length", b"0"))
        await body(send, b"")
    else:
        await as_json(send, {"id": os.environ["ID"]})

async def websocket(scope, receive, send):
    await receive()
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[-1] if offered else None})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            seen.append(["closed", message["code"]])
            return
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4321, "reason": "as asked"})
            return
        await send({"type": "websocket.send", "text" if message.get("text") is not None else "bytes":
                    message["text"] if message.get("text") is not None else message["bytes"]})
"""


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in an event loop of its own."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it never came true"
        await asyncio.sleep(0.02)


class Uvicorn:
    """A replica in a process of its own."""

    def __init__(self, folder: Path, name: str, *options: str) -> None:
        (folder / "replica_app.py").write_text(APP)
        self.backend = Backend(name, "127.0.0.1", free_port())
        command = [sys.executable, "-m", "uvicorn", "replica_app:app", "--port", str(self.backend.port)]
        command += ["--log-level", "critical", *options]
        self.process = subprocess.Popen(command, cwd=folder, env={**os.environ, "ID": name})

    async def ready(self) -> Backend:
        ends = time.monotonic() + 60
        while True:
            try:
                _, writer = await asyncio.open_connection(self.backend.host, self.backend.port)
            except OSError:
                assert time.monotonic() < ends
                assert self.process.poll() is None
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return self.backend

    def signal(self, which: signal.Signals) -> None:
        self.process.send_signal(which)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def uvicorns(folder: Path, count: int = 1) -> Iterator[list[Uvicorn]]:
    started = [Uvicorn(folder, f"r{number}") for number in range(count)]
    try:
        yield started
    finally:
        for replica in started:
            replica.end()


@contextlib.asynccontextmanager
async def gateway(told: Callable[[Load], None] = lambda load: None, **config: Any) -> AsyncIterator[Gateway]:
    started = await Gateway.start(GatewayConfig("shop", **config), told)
    try:
        yield started
    finally:
        await started.close()


@contextlib.asynccontextmanager
async def bed(folder: Path, count: int = 1, **config: Any) -> AsyncIterator[tuple[Gateway, list[Uvicorn]]]:
    """A gateway in front of replicas that are ready."""
    with uvicorns(folder, count) as replicas:
        async with gateway(**config) as front:
            front.set_backends([await replica.ready() for replica in replicas])
            yield front, replicas


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_replica(serve: Serve, name: str = "raw") -> AsyncIterator[Backend]:
    """A replica that says what a function makes it say."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                await serve(reader, writer)
            finally:
                writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield Backend(name, "127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


@contextlib.asynccontextmanager
async def nobody() -> AsyncIterator[Backend]:
    """A replica that is not there: its port is kept, so that nobody else comes to listen on it."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield Backend("nobody", "127.0.0.1", kept.getsockname()[1])


async def say(port: int, data: bytes, seconds: float = 10.0) -> bytes:
    """Send bytes to a port; give all that it answers until it closes or is quiet for long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(data)
        with contextlib.suppress(asyncio.TimeoutError, OSError):
            while more := await asyncio.wait_for(reader.read(1 << 16), seconds):
                answer += more
    finally:
        writer.close()
    return answer
