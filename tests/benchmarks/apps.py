"""What the gateway in front of an app costs, beside peers: ``python tests/benchmarks/apps.py [cost] [ramp]``.

``cost``: throughput, median latency and the proxy's CPU time for each request, in front of the same uvicorn replica of a
FastAPI app: without a proxy, through the gateway (on asyncio's own event loop and, where it is installed, on uvloop),
through nginx where it is installed, and through a plain proxy made of aiohttp's server and client. The clients are wrk
where it is installed. Rounds alternate between them; figures are medians. ``ramp``: 1 to 200 clients and back, with
replicas that the scaler asks for: a table, and ``--picture FILE.svg``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
from flyte_nb.engine.local.apps.gateway import Gateway
from flyte_nb.engine.local.apps.scaler import Scaler
from flyte_nb.engine.local.apps.traffic import Backend, GatewayConfig, Load
from flyte_nb.environments.scaling import Scaling

APP = """
import asyncio
from fastapi import FastAPI
app = FastAPI()

@app.get("/")
async def plain():
    return {"hello": "world"}

@app.get("/work")
async def work():
    await asyncio.sleep(0.5)
    return {"done": True}
"""
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream app {{ server 127.0.0.1:{app}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""
AIOHTTP = """
import asyncio, logging, sys
import aiohttp
from aiohttp import web

HOPS = {"connection", "keep-alive", "te", "transfer-encoding", "upgrade"}

async def main(port, app):
    session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
    async def handle(request):
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in HOPS]
        data = request.content if request.can_read_body else None
        url = f"http://127.0.0.1:{app}{request.raw_path}"
        async with session.request(request.method, url, headers=headers, data=data, allow_redirects=False) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            response.headers.extend((k, v) for k, v in answer.headers.items() if k.lower() not in HOPS)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response
    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()

logging.disable()  # of clients that leave
asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""
ROUNDS, SECONDS, MANY = 3, 2, 32
SCHEDULE = [1, 10, 25, 50, 100, 200, 200, 200, 100, 50, 25, 10, 1, 1, 1, 1, 1]
STAGE = 2.0  # seconds for each


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


@contextlib.contextmanager
def running(command: list[Any], port: int, folder: Path) -> Iterator[int]:
    process = subprocess.Popen([str(word) for word in command], cwd=folder)
    try:
        wait_for(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def uvicorn(folder: Path, port: int) -> list[Any]:
    (folder / "bench_app.py").write_text(APP)
    return [sys.executable, "-m", "uvicorn", "bench_app:app", "--port", port, "--log-level", "critical"]


def cpu(pid: int) -> float:
    """Give the CPU seconds of a process and its children."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


# clients


async def visit(port: int, path: str, until: float, times: list[float]) -> int:
    """Ask again and again on one connection; give the number of failures."""
    failures, writer = 0, None
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    while time.perf_counter() < until:
        began = time.perf_counter()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            failures += b" 200 " not in head[:16]
            times.append(time.perf_counter() - began)
        except (OSError, EOFError):
            failures, writer = failures + 1, None
    if writer is not None:
        writer.close()
    return failures


def load(port: int, connections: int, seconds: int) -> tuple[float, float]:
    """Give the requests per second and the median latency in milliseconds, from clients in a process of their own."""
    if wrk := shutil.which("wrk"):
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}/"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in told or "Socket errors" in told:
            raise RuntimeError(told)
        rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
        median = re.search(r"50%\s+([\d.]+)(us|ms|s)", told)
        assert rate is not None
        assert median is not None
        return float(rate[1]), float(median[1]) * {"us": 0.001, "ms": 1, "s": 1000}[median[2]]
    command = [sys.executable, __file__, "--visit", json.dumps([port, "/", [connections], seconds])]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return told["requests"] / seconds, told["median"] * 1000


# the gateway, without its control plane


@contextlib.contextmanager
def no_uvloop(hidden: bool, folder: Path) -> Iterator[None]:
    """Hide uvloop from a gateway that is started meanwhile."""
    (folder / "hidden").mkdir(exist_ok=True)
    (folder / "hidden" / "uvloop.py").write_text("raise ImportError")
    sys.path.insert(0, str(folder / "hidden" if hidden else folder))
    try:
        yield
    finally:
        del sys.path[0]


async def cost(folder: Path) -> None:
    app, targets = free_port(), {}
    async with contextlib.AsyncExitStack() as stack:
        replica = stack.enter_context(running(uvicorn(folder, app), app, folder))
        targets["no proxy"] = (app, replica)
        for loop in ("asyncio", "uvloop"):
            if loop == "uvloop" and not has("uvloop"):
                continue
            with no_uvloop(loop == "asyncio", folder):
                gateway = await Gateway.start(GatewayConfig("bench"), lambda load: None)
            stack.push_async_callback(gateway.close)
            gateway.set_backends([Backend("r0", "127.0.0.1", app)])
            targets[f"gateway ({loop})"] = (gateway.port, gateway.pid)
        if nginx := shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin"):
            port = free_port()
            (folder / "nginx.conf").write_text(NGINX.format(folder=folder, app=app, port=port))
            targets["nginx"] = (port, stack.enter_context(running([nginx, "-c", folder / "nginx.conf"], port, folder)))
        if has("aiohttp"):
            port = free_port()
            targets["aiohttp"] = (
                port,
                stack.enter_context(running([sys.executable, "-W", "ignore", "-c", AIOHTTP, port, app], port, folder)),
            )
        rows = await asyncio.to_thread(measure, targets)
    show(rows)


def has(module: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def measure(targets: dict[str, tuple[int, int]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, list[float]]] = {name: {} for name in targets}
    for _ in range(ROUNDS):
        for name, (port, pid) in targets.items():
            load(port, MANY, 1)
            used = cpu(pid)
            rate, median = load(port, MANY, SECONDS)
            spent = cpu(pid) - used
            _, alone = load(port, 1, SECONDS)
            for key, value in (
                ("rate", rate),
                ("median", median),
                ("alone", alone),
                ("cpu", spent / rate / SECONDS * 1e6),
            ):
                found[name].setdefault(key, []).append(value)
    return {name: {key: statistics.median(values) for key, values in of.items()} for name, of in found.items()}


def show(rows: dict[str, dict[str, float]]) -> None:
    print(
        f"{'':18} {'requests/s':>10} {'ms of ' + str(MANY):>9} {'ms alone':>9} {'added ms':>9} {'CPU us':>8} {'of nginx':>9}"
    )
    for name, row in rows.items():
        of_nginx = f"{row['rate'] / rows['nginx']['rate']:9.2f}" if "nginx" in rows else f"{'-':>9}"
        added = row["alone"] - rows["no proxy"]["alone"]
        print(
            f"{name:18} {row['rate']:10.0f} {row['median']:9.2f} {row['alone']:9.2f} {added:9.2f} {row['cpu']:8.0f} {of_nginx}"
        )


class Replicas:
    """As many replicas as the scaler asks for, started and stopped as they should be."""

    def __init__(self, folder: Path, scaling: Scaling) -> None:
        self._folder, self._scaler = folder, Scaler(scaling)
        self._number = 0
        self.ready: dict[str, Backend] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._changes: set[asyncio.Task[None]] = set()
        self._starting = 0

    def told(self, load: Load) -> None:
        wanted = self._scaler.wanted(time.monotonic(), load, len(self.ready), self._starting)
        for _ in range(wanted - len(self.ready) - self._starting):
            self._do(self._start())
        for name in list(self.ready)[max(wanted, 1) :] if not self._starting else []:
            self._do(self._stop(name))

    def _do(self, change: Any) -> None:
        task = asyncio.ensure_future(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _start(self) -> None:
        self._starting += 1
        self._number += 1
        name, port = f"r{self._number}", free_port()
        self._processes[name] = subprocess.Popen([str(word) for word in uvicorn(self._folder, port)], cwd=self._folder)
        await asyncio.to_thread(wait_for, port)
        self.ready[name] = Backend(name, "127.0.0.1", port)
        self._starting -= 1
        self.gateway.set_backends(list(self.ready.values()))

    async def _stop(self, name: str) -> None:
        del self.ready[name]
        self.gateway.set_backends(list(self.ready.values()))
        await self.gateway.drained(name)
        self._processes.pop(name).terminate()

    @contextlib.asynccontextmanager
    async def serving(self, gateway: Gateway) -> AsyncIterator[None]:
        self.gateway = gateway

        async def tick() -> None:  # time passes where no load is told
            while True:
                await asyncio.sleep(0.2)
                self.told(gateway.load)

        ticking = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticking.cancel()
            for process in self._processes.values():
                process.kill()
                process.wait()


async def ramp(folder: Path, picture: Path | None) -> None:
    replicas = Replicas(folder, Scaling((1, 5), Scaling.Concurrency(40), 4))
    gateway = await Gateway.start(GatewayConfig("bench"), replicas.told)
    async with replicas.serving(gateway):
        visitors = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--visit", json.dumps([gateway.port, "/work", SCHEDULE, STAGE]),
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert visitors.stdout is not None
        rows = []
        print(f"{'s':>4} {'clients':>8} {'replicas':>9} {'requests/s':>11} {'median ms':>10} {'failures':>9}")
        async for line in visitors.stdout:
            told = json.loads(line)
            if "stage" not in told:
                print(f"{told['requests']} requests, {told['failures']} failures; the gateway's count: "
                      f"{gateway.load.requests} and {gateway.load.failures}")  # fmt: skip
                break
            rows.append((told["stage"] * STAGE, told["clients"], len(replicas.ready), told["rate"]))
            print(f"{rows[-1][0]:4.0f} {told['clients']:8} {len(replicas.ready):9} {told['rate']:11.0f} "
                  f"{told['median'] * 1000:10.0f} {told['failures']:9}")  # fmt: skip
        await visitors.wait()
    await gateway.close()
    if picture is not None:
        picture.write_text(drawn(rows))


async def visitors(port: int, path: str, schedule: list[int], seconds: float) -> None:
    """Be as many clients as a schedule says; tell of each stage, and of all."""
    every: list[float] = []
    total = 0
    for stage, count in enumerate(schedule, 1):
        times: list[float] = []
        until = time.perf_counter() + seconds
        failures = sum(await asyncio.gather(*(visit(port, path, until, times) for _ in range(count))))
        every, total = every + times, total + failures
        if len(schedule) > 1:
            told = {"stage": stage, "clients": count, "rate": len(times) / seconds, "failures": failures}
            print(json.dumps({**told, "median": statistics.median(times or [0])}), flush=True)
    print(
        json.dumps({"requests": len(every), "failures": total, "median": statistics.median(every or [0])}), flush=True
    )


def drawn(rows: list[tuple[float, int, int, float]]) -> str:
    """Draw clients, replicas and requests per second over time, each in a panel of its own."""
    width, height, gap, left = 640, 110, 40, 60
    parts, longest = [], max(row[0] for row in rows)
    for panel, (title, column) in enumerate((("clients", 1), ("replicas", 2), ("requests per second", 3))):
        top, most = 30 + panel * (height + gap), max(row[column] for row in rows) or 1
        points, last = [], 0.0
        for row in rows:
            y = top + height - row[column] / most * height
            points += [f"{left + last / longest * width:.1f},{y:.1f}", f"{left + row[0] / longest * width:.1f},{y:.1f}"]
            last = row[0]
        parts.append(f'<text x="{left}" y="{top - 8}">{title}</text><text x="{left - 8}" y="{top + 8}" text-anchor="end">'
                     f'{most:.0f}</text><text x="{left - 8}" y="{top + height}" text-anchor="end">0</text>'
                     f'<path d="M{left},{top}v{height}h{width}" fill="none" stroke="#999"/>'
                     f'<polyline points="{" ".join(points)}" fill="none" stroke="#6f2aef" stroke-width="2"/>')  # fmt: skip
    bottom = 30 + 3 * (height + gap)
    parts.append(f'<text x="{left + width}" y="{bottom - 18}" text-anchor="end">{longest:.0f} s</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 20}" height="{bottom}" '
            f'font-family="sans-serif" font-size="12" fill="#444"><rect width="100%" height="100%" fill="#fff"/>'
            f'{"".join(parts)}</svg>\n')  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=["cost", "ramp", []], default=["cost", "ramp"])
    parser.add_argument("--picture", type=Path, help="where the picture of the ramp goes")
    parser.add_argument("--visit", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.visit:
        asyncio.run(visitors(*json.loads(options.visit)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for what in options.what:
            asyncio.run(cost(Path(folder)) if what == "cost" else ramp(Path(folder), options.picture))


if __name__ == "__main__":
    main()
