"""What the gateway in front of an app costs, beside peers: ``python tests/benchmarks/apps.py``.

Throughput, median latency and the proxy's CPU time for each request, in front of one uvicorn replica of a
FastAPI app: without a proxy, through the gateway (on asyncio's own event loop and, where it is installed, on uvloop),
through nginx where it is installed, and through a plain proxy made of aiohttp's server and client. The clients are wrk
where it is installed. Rounds alternate; figures are medians of the rounds, and so are comparisons.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from flyte_nb.engine.local.apps.gateway import Gateway
from flyte_nb.engine.local.apps.traffic import Backend, GatewayConfig

APP = """
from fastapi import FastAPI
app = FastAPI()

@app.get("/")
async def plain():
    return {"hello": "world"}
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
ROUNDS, SECONDS, MANY = 9, 1, 32


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
    process = subprocess.Popen([str(word) for word in command], cwd=folder, start_new_session=True)
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


async def visit(port: int, until: float, times: list[float]) -> int:
    """Ask again and again on one connection; give the number of failures."""
    failures, writer = 0, None
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
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
    command = [sys.executable, __file__, "--visit", json.dumps([port, connections, seconds])]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if told["failures"]:
        raise RuntimeError(f"{told['failures']} requests failed")
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
    """Give medians; what is beside others (``of_nginx``, ``added``) is the median of what each round says."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in targets}
    names = list(targets)
    for turn in range(ROUNDS + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            port, pid = targets[name]
            used = cpu(pid)
            rate, median = load(port, MANY, SECONDS)
            spent = cpu(pid) - used
            _, alone = load(port, 1, SECONDS)
            if turn:  # the first round warms up
                row = {"rate": rate, "median": median, "alone": alone, "cpu": spent / rate / SECONDS * 1e6}
                for key, value in row.items():
                    found[name].setdefault(key, []).append(value)
    for row in found.values():
        pairs = zip(row["rate"], found.get("nginx", row)["rate"], strict=True)
        row["of_nginx"] = [ours / theirs for ours, theirs in pairs]
        row["added"] = [
            with_it - without for with_it, without in zip(row["alone"], found["no proxy"]["alone"], strict=True)
        ]
    return {name: {key: statistics.median(values) for key, values in of.items()} for name, of in found.items()}


def show(rows: dict[str, dict[str, float]]) -> None:
    columns = {"rate": "requests/s", "of_nginx": "of nginx", "median": f"ms, {MANY} clients", "alone": "ms, one client",
               "added": "added ms", "cpu": "CPU us each"}  # fmt: skip
    if "nginx" not in rows:
        del columns["of_nginx"]
    print(f"{'':18}" + "".join(f"{title:>16}" for title in columns.values()))
    for name, row in rows.items():
        digits = {"rate": 0, "cpu": 0}
        print(f"{name:18}" + "".join(f"{row[key]:16.{digits.get(key, 2)}f}" for key in columns))


async def visitors(port: int, count: int, seconds: float) -> None:
    """Be clients for some seconds; tell how many requests there were, and their median."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    failures = sum(await asyncio.gather(*(visit(port, until, times) for _ in range(count))))
    print(json.dumps({"requests": len(times), "failures": failures, "median": statistics.median(times)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visit", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.visit:
        asyncio.run(visitors(*json.loads(options.visit)))
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(cost(Path(folder)))


if __name__ == "__main__":
    main()
