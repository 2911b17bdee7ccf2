"""Faults, with real sockets and processes: clients that misbehave, replicas that do, and processes that end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from flyte_nb.engine.local.apps.gateway import Gateway
from flyte_nb.engine.local.apps.proxy.access import Access
from flyte_nb.engine.local.apps.proxy.balance import Balance
from flyte_nb.engine.local.apps.proxy.client import Client
from flyte_nb.engine.local.apps.proxy.meter import Meter
from flyte_nb.engine.local.apps.proxy.site import Limits, Site
from flyte_nb.engine.local.apps.traffic import Backend, GatewayConfig
from flyte_nb.errors import RuntimeSystemError

from malformed import GET, HOST, MALFORMED, POST
from replicas import bed, gateway, in_loop, nobody, raw_replica, say, until, uvicorns

pytestmark = pytest.mark.slow


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=60, trust_env=False)


@in_loop
async def test_malformed_requests_are_refused() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            seen.append(data)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with gateway() as front, raw_replica(serve) as backend:
        front.set_backends([backend])
        for name, (sent, status) in MALFORMED.items():
            answer = await say(front.port, sent, 5)
            accepted = status if isinstance(status, tuple) else (status,)
            if status is not None:
                assert answer[:9] == b"HTTP/1.1 ", (name, answer)
                assert int(answer[9:12]) in accepted, (name, answer)
                assert answer.count(b"HTTP/1.1 ") == 1, (name, answer)
        # what follows on a connection that is refused is not taken for a request
        smuggled = POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        answer = await say(front.port, smuggled + b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n", 5)
        assert answer.count(b"HTTP/1.1 ") == 1
        await asyncio.sleep(0.1)
        told = b"".join(seen)
        assert b"smuggled" not in told
        assert b"\n" not in told.replace(b"\r\n", b"")
        assert b"\r" not in told.replace(b"\r\n", b"")
        assert not front.faults


@in_loop
async def test_a_body_that_breaks_off_or_goes_wrong_ends_the_request(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _):
        start = b"POST /size HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(start)
        await until(lambda: front.load.in_flight == 1)
        writer.write(b"oops\r\n")
        assert (await reader.read(100)).startswith(b"HTTP/1.1 400 ")
        await until(lambda: front.load.in_flight == 0)
        writer.close()
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(start)
        await until(lambda: front.load.in_flight == 1)
        writer.close()
        await until(lambda: front.load.in_flight == 0)


@contextlib.asynccontextmanager
async def impatient(backend: Backend, **limits: float):  # type: ignore[no-untyped-def]
    """The proxy in this process, with little patience."""
    loop = asyncio.get_running_loop()
    config = GatewayConfig("shop")
    balance = Balance(10, 5, lambda: None, lambda name: None)
    balance.set([backend])
    site = Site(config, Access("shop", 1, None), balance, Meter(), b"", b"localhost", loop, lambda error: None,
                Limits(**limits))  # type: ignore[arg-type]  # fmt: skip
    server = await loop.create_server(lambda: Client(site), "127.0.0.1", 0)

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.05)
            for each in tuple(site.clients):
                each.check(loop.time())

    ticking = asyncio.create_task(tick())
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        ticking.cancel()
        server.close()
        for each in tuple(site.clients):
            each.transport.abort()
        await asyncio.sleep(0.05)


async def _counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def _late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        await asyncio.sleep(0.8)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def drip(port: int, data: bytes, pause: float) -> bytes:
    """Send byte after byte, slowly; give what is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        with contextlib.suppress(OSError):
            for place in range(len(data)):
                writer.write(data[place : place + 1])
                await asyncio.sleep(pause)

    sending = asyncio.create_task(send())
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        sending.cancel()
        writer.close()


@in_loop
async def test_slow_clients_are_not_waited_for() -> None:
    async with raw_replica(_counts) as backend:
        async with impatient(backend, head=0.3) as port:
            assert (await drip(port, b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 99, 0.01)).startswith(b"HTTP/1.1 408 ")
        async with impatient(backend, body=0.3) as port:
            head = POST + b"Content-Length: 9\r\n\r\n"

            async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read(1 << 20)
                await reader.read(1 << 20)

            assert (await say(port, head + b"abc", 5)).startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 200 "))
            async with raw_replica(silent) as mute, impatient(mute, body=0.3) as port:
                assert (await say(port, head + b"abc", 5)).startswith(b"HTTP/1.1 408 ")
        async with raw_replica(_late) as late, impatient(late, head=0.2) as port:  # behind a request that goes on
            both = await say(port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\nX", 5)
            assert [int(line[9:12]) for line in both.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")] == [200, 408]
        async with impatient(backend, idle=0.3) as port:
            began = time.monotonic()
            assert await say(port, b"", 5) == b""
            assert (await say(port, GET + b"\r\n", 5)).startswith(b"HTTP/1.1 200 ")
            assert time.monotonic() - began < 5


@in_loop
async def test_a_client_that_waits_to_be_told_to_go_on_is_not_slow() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw_replica(serve) as backend, impatient(backend, body=0.2) as port:
        head = POST + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        assert (await say(port, head, 5)).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 10_500:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.long
@pytest.mark.timeout(300)
def test_ten_thousand_idle_connections(tmp_path: Path, many_files: None) -> None:
    @in_loop
    async def hold() -> None:
        async with bed(tmp_path) as (front, _):
            before = psutil.Process(front.pid).memory_info().rss
            idle = []
            asked = b"GET /status/200 HTTP/1.1\r\n" + HOST + b"\r\n"
            for _ in range(100):
                opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", front.port) for _ in range(100)))
                for _, writer in opened:
                    writer.write(asked)
                for reader, _ in opened:
                    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
                idle += opened
            more = psutil.Process(front.pid).memory_info().rss - before
            print(f"{more / len(idle) / 1024:.1f} KiB each")
            assert more / len(idle) < 32 * 1024
            async with client(front.url) as http:
                assert (await http.get("/")).status_code == 200
            reader, writer = idle[5000]
            writer.write(asked)
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            for _, writer in idle:
                writer.transport.abort()

    hold()


@in_loop
async def test_replicas_that_do_not_answer_with_http() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await writer.drain()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-A: " + b"a" * 1000 + b"\r\n")
            await writer.drain()

    async def injecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")
        await writer.drain()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async def switching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
        await writer.drain()

    for serve in (garbage, endless, injecting, silent, switching):
        async with gateway() as front, raw_replica(serve) as backend, client(front.url) as http:
            front.set_backends([backend])
            answer = await http.post("/", content=b"x")
            assert answer.status_code == 502, serve
            assert answer.json()["detail"].startswith("The app failed to answer: ")
            await until(lambda: front.load.failures == 1)


@in_loop
async def test_what_a_replica_says_beyond_its_answer_is_nobodys_answer() -> None:
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer + answer.replace(b"mine", b"evil"))

    async with gateway() as front, raw_replica(twice) as backend, client(front.url) as http:
        front.set_backends([backend])
        assert {(await http.get("/")).text for _ in range(5)} == {"mine"}


@in_loop
async def test_a_replica_that_is_not_there_is_made_up_for(tmp_path: Path) -> None:
    async with bed(tmp_path, 2) as (front, replicas), client(front.url) as http, nobody() as absent:
        front.set_backends([absent, replicas[0].backend])
        for _ in range(6):
            assert (await http.post("/size", content=b"abc")).json()["size"] == 3
        front.set_backends([absent])
        await front.taken()
        refused = await http.get("/")
        assert (refused.status_code, "does not accept connections" in refused.text) == (502, True)
        replicas[0].end()
        front.set_backends([replicas[0].backend, replicas[1].backend])
        await front.taken()
        for _ in range(4):
            assert (await http.get("/echo")).json()["id"] == "r1"


@in_loop
async def test_a_replica_that_dies_is_made_up_for_once_where_that_does_no_harm(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with bed(tmp_path) as (front, replicas), raw_replica(dies) as dying, client(front.url) as http:
        for _ in range(4):
            front.set_backends([dying])
            front.set_backends([dying, replicas[0].backend])
            assert (await http.get("/echo")).status_code == 200
        assert asked
        statuses = [(await http.post("/size", content=b"x")).status_code for _ in range(6)]
        assert set(statuses) == {200, 502}


@in_loop
async def test_a_request_that_ends_whoever_answers_it_ends_two_at_most() -> None:
    asked: list[bytes] = []

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with gateway() as front, client(front.url) as http, contextlib.AsyncExitStack() as stack:
        front.set_backends([await stack.enter_async_context(raw_replica(dies, f"r{n}")) for n in range(4)])
        await front.taken()
        assert (await http.get("/exit")).status_code == 502
        assert len(asked) == 2


@in_loop
async def test_a_server_that_just_gives_up_a_quiet_connection_fails_nobody() -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = time.monotonic()
        while await reader.readuntil(b"\r\n\r\n"):
            if time.monotonic() - answered > 0.7:  # what comes now comes too late
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            answered = time.monotonic()

    async with gateway() as front, raw_replica(hasty) as backend, client(front.url) as http:
        front.set_backends([backend])
        for _ in range(3):
            assert (await http.post("/")).status_code == 200
            await asyncio.sleep(0.8)
        assert (await http.get("/")).status_code == 200


@in_loop
async def test_a_replica_that_breaks_off_breaks_off_its_answer_only(tmp_path: Path) -> None:
    async with bed(tmp_path, 2) as (front, _), client(front.url) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/break")
        assert (await http.get("/")).status_code == 200
        assert (await http.post("/exit")).status_code == 502
        await until(lambda: front.load.failures == 2 and front.load.in_flight == 0)


@pytest.mark.timeout(180)
@in_loop
async def test_a_replica_that_is_stopped_is_passed_over_until_it_answers(tmp_path: Path) -> None:
    async with bed(tmp_path, 2) as (front, replicas), client(front.url) as http:
        replicas[0].signal(signal.SIGSTOP)
        hanging = [asyncio.create_task(http.get("/echo")) for _ in range(6)]
        await until(lambda: front.load.per_backend.get("r1") == 0 and front.load.per_backend["r0"] > 0)
        await asyncio.sleep(4)  # by now it is known
        held: list[int] = [front.load.per_backend["r0"]]

        async def look() -> None:  # a request that hangs there is told after 0.2 s
            while True:
                held.append(front.load.per_backend["r0"])
                await asyncio.sleep(0.05)

        looking = asyncio.create_task(look())
        for _ in range(20):
            answers = await asyncio.gather(*(http.get("/echo") for _ in range(10)))
            assert {answer.json()["id"] for answer in answers} == {"r1"}
        looking.cancel()
        assert max(held) == held[0]  # none of them waited for the stopped one
        replicas[0].signal(signal.SIGCONT)
        assert {answer.status_code for answer in await asyncio.gather(*hanging)} == {200}
        ends = time.monotonic() + 20
        while (await http.get("/echo")).json()["id"] != "r0":
            assert time.monotonic() < ends
            await asyncio.sleep(0.05)


@in_loop
async def test_a_replica_that_takes_its_time_is_not_passed_over(tmp_path: Path) -> None:
    async with bed(tmp_path, 2) as (front, _), client(front.url) as http:
        slow = [asyncio.create_task(http.get("/sleep?s=5")) for _ in range(2)]
        await asyncio.sleep(4.5)
        assert {(await http.get("/echo")).json()["id"] for _ in range(8)} == {"r0", "r1"}
        await asyncio.gather(*slow)


KERNEL = """
import asyncio, sys
from flyte_nb.engine.local.apps.gateway import Gateway
from flyte_nb.engine.local.apps.traffic import GatewayConfig

async def main():
    gateway = await Gateway.start(GatewayConfig("shop"), lambda load: None)
    print(gateway.pid, flush=True)
    await asyncio.sleep(100)

asyncio.run(main())
"""


def test_a_gateway_ends_with_its_kernel() -> None:
    with subprocess.Popen([sys.executable, "-c", KERNEL], stdout=subprocess.PIPE, text=True) as kernel:
        assert kernel.stdout is not None
        gateway_process = psutil.Process(int(kernel.stdout.readline()))
        assert os.getpgid(gateway_process.pid) == gateway_process.pid, "an interrupt of the kernel is not its business"
        kernel.kill()
        gateway_process.wait(timeout=2)


@in_loop
async def test_a_gateway_without_its_libraries_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)
    with pytest.raises(RuntimeSystemError, match=r"pip install 'flyte_nb\[apps\]'"):
        await Gateway.start(GatewayConfig("shop"), lambda load: None)


@in_loop
async def test_a_replica_comes_in_the_middle_of_a_wait(tmp_path: Path) -> None:
    with uvicorns(tmp_path) as (replica,):
        backend = await replica.ready()
        async with gateway() as front, client(front.url) as http, nobody() as absent:
            front.set_backends([absent])
            waiting = asyncio.create_task(http.post("/size", content=b"abc"))
            await asyncio.sleep(0.3)
            front.set_backends([])  # the engine has noticed
            await asyncio.sleep(1.5)
            front.set_backends([backend])
            assert (await waiting).json()["size"] == 3
