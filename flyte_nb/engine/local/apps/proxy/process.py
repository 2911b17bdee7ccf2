"""The gateway's process."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import Any

import aiohttp
from aiohttp import web

DROP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}


def main() -> None:
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))


async def serve(link: socket.socket) -> None:
    os.set_inheritable(link.fileno(), False)
    reader, writer = await asyncio.open_connection(sock=link, limit=1 << 20)
    config = json.loads(await reader.readline())
    backends: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    came = asyncio.Condition()
    state = {"waiting": 0, "requests": 0, "failures": 0}

    def tell(message: dict[str, Any]) -> None:
        writer.write(json.dumps(message).encode() + b"\n")

    def tell_load() -> None:
        tell(
            {
                "op": "load",
                "in_flight": sum(counts.values()),
                "per_backend": counts,
                "rate": 0.0,
                "latency": 0.0,
                **state,
            }
        )

    session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        state["requests"] += 1
        if not backends:
            state["waiting"] += 1
            tell_load()
            try:
                async with came:
                    await asyncio.wait_for(came.wait_for(lambda: backends), config["wait"])
            except asyncio.TimeoutError:
                return web.Response(status=503, headers={"Retry-After": "1"})
            finally:
                state["waiting"] -= 1
        backend = min(backends, key=lambda b: counts.get(b["id"], 0))
        counts[backend["id"]] = counts.get(backend["id"], 0) + 1
        try:
            url = f"http://{backend['host']}:{backend['port']}{request.raw_path}"
            headers = [(k, v) for k, v in request.headers.items() if k.lower() not in DROP]
            headers.append(("Host", request.headers.get("Host", "")))
            data = request.content if request.can_read_body else None
            async with session.request(
                request.method, url, headers=headers, data=data, allow_redirects=False
            ) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                for k, v in answer.headers.items():
                    if k.lower() not in DROP:
                        response.headers.add(k, v)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response
        finally:
            counts[backend["id"]] -= 1

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, config["host"], config["port"])
    try:
        await site.start()
    except OSError as error:
        tell({"op": "failed", "code": "PortTaken", "message": str(error)})
        return
    tell({"op": "ready", "port": runner.addresses[0][1]})

    async def tick() -> None:
        last = None
        while True:
            await asyncio.sleep(0.2)
            if (now := (dict(counts), dict(state))) != last:
                last = now
                tell_load()

    ticking = asyncio.create_task(tick())
    while line := await reader.readline():
        message = json.loads(line)
        if message["op"] == "backends":
            async with came:
                backends[:] = message["backends"]
                came.notify_all()
        elif message["op"] == "drain":

            async def drained(id: str) -> None:
                while counts.get(id):
                    await asyncio.sleep(0.05)
                counts.pop(id, None)
                tell({"op": "drained", "id": id})

            asyncio.create_task(drained(message["id"]))
    ticking.cancel()
    os._exit(0)
