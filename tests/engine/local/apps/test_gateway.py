"""The gateway with real replicas: what passes through, who may call, and that no request is lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import websockets
from flyte_nb.engine.local.apps.gateway import Gateway
from flyte_nb.engine.local.apps.traffic import GatewayConfig, Load
from flyte_nb.errors import RuntimeSystemError

from replicas import bed, free_port, gateway, in_loop, raw_replica, say, until, uvicorns

pytestmark = pytest.mark.slow
MIB = 1 << 20


def client(front: Gateway, **settings: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=front.url, timeout=60, trust_env=False, **settings)


@in_loop
async def test_a_request_and_its_answer_pass_as_they_are(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _), client(front) as http:
        path = "/echo?q=%2F..%2f&q=ä".replace("ä", "%C3%A4")
        answer = await http.get(path, headers={"X-Own": "yes", "Accept-Encoding": "br"})
        told = answer.json()
        headers = dict(told["headers"])
        assert told["query"] == "q=%2F..%2f&q=%C3%A4"
        assert headers["x-own"] == "yes"
        assert headers["accept-encoding"] == "br"
        assert headers["host"] == f"127.0.0.1:{front.port}"
        assert headers["x-forwarded-for"] == "127.0.0.1"
        assert headers["x-forwarded-proto"] == "http"
        assert headers["x-forwarded-host"] == f"127.0.0.1:{front.port}"
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert answer.headers.get_list("date") == [answer.headers["date"]]


@in_loop
async def test_a_path_passes_unchanged(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _):
        for path in (b"/%2e%2e/echo", b"/a/../../echo", b"//echo", b"/echo;x", b"/a%00b", b"/echo?x=..%2f"):
            answer = await say(front.port, b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path)
            assert answer.startswith(b"HTTP/1.1 200"), path
        answer = await say(
            front.port, b"GET /echo/%2e%2e/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 200")
    async with gateway() as front, raw_replica(_tells_its_request) as backend:
        front.set_backends([backend])
        answer = await say(
            front.port, b"GET /a/../%2e%2E//b?x=%0d%0a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert b"\r\n\r\nGET /a/../%2e%2E//b?x=%0d%0a HTTP/1.1\r\n" in answer


async def _tells_its_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))
    await writer.drain()


@in_loop
async def test_what_a_caller_claims_to_have_forwarded_is_dropped(tmp_path: Path) -> None:
    claimed = {
        "X-Forwarded-For": "6.6.6.6",
        "x_forwarded_for": "6.6.6.7",
        "Forwarded": "for=6.6.6.6",
        "X-Forwarded-Scheme": "https",
        "X-Forwarded-Host": "evil",
        "X-Forwarded-Prefix": "//evil/",
        "X-Script-Name": "/evil",
        "X-Real-IP": "6.6.6.6",
        "Connection": "x-hop, close",
        "X-Hop": "1",
        "Keep-Alive": "9",
        "Proxy-Authorization": "x",
    }
    async with bed(tmp_path) as (front, _), client(front) as http:
        told = (await http.get("/echo", headers=claimed)).json()
        text = json.dumps(told["headers"])
        assert "6.6.6" not in text
        assert "evil" not in text
        assert "x-hop" not in text
        assert dict(told["headers"])["x-forwarded-for"] == "127.0.0.1"
        assert dict(told["headers"])["x-forwarded-proto"] == "http"
        assert not {"keep-alive", "proxy-authorization", "x-forwarded-prefix"} & set(dict(told["headers"]))


@in_loop
async def test_bodies_stream_both_ways(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"POST /back HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):  # each piece is back before the next is sent: nothing is held up
            writer.write(b"3\r\nn=%d\r\n" % number)
            assert b"n=%d\r\n" % number in await asyncio.wait_for(reader.readuntil(b"n=%d\r\n" % number), 10)
        writer.write(b"0\r\n\r\n")
        assert await reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
        writer.close()


@in_loop
async def test_events_arrive_as_they_are_sent(tmp_path: Path) -> None:
    events = "/events?n=1000&s=0.05"
    async with bed(tmp_path) as (front, _), client(front) as http, http.stream("GET", events) as answer:
        assert await anext(answer.aiter_lines()) == "data: 0"
        assert answer.headers["content-type"] == "text/event-stream"


@pytest.mark.long
@pytest.mark.timeout(300)
@in_loop
async def test_large_bodies_need_no_memory(tmp_path: Path) -> None:
    size = 1 << 30

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // MIB):
            yield b"y" * MIB

    async with bed(tmp_path) as (front, _), client(front) as http:
        await http.get("/")
        gateway_process, most = psutil.Process(front.pid), [0]
        before = gateway_process.memory_info().rss

        async def watch() -> None:
            while True:
                most[0] = max(most[0], gateway_process.memory_info().rss)
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        answer = await http.post("/size", content=pieces(), headers={"Content-Length": str(size)})
        assert answer.json()["size"] == size
        got = 0
        async with http.stream("GET", f"/big?n={size}") as answer:
            async for piece in answer.aiter_raw():
                got += len(piece)
        assert got == size
        watching.cancel()
        assert most[0] - before < 32 * MIB, f"{(most[0] - before) / MIB:.1f} MiB more"


@in_loop
async def test_a_slow_reader_holds_up_the_replica_and_not_the_gateway(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _):
        before = psutil.Process(front.pid).memory_info().rss
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port, limit=1 << 12)
        writer.write(b"GET /big?n=300000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(1.5)  # the replica could send it all meanwhile
        assert psutil.Process(front.pid).memory_info().rss - before < 32 * MIB
        writer.transport.abort()


@in_loop
async def test_head_expect_trailers_and_small_answers(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _), client(front) as http:
        head = await http.head("/big?n=70000&sized=1")
        assert (head.headers["content-length"], head.content) == ("70000", b"")
        assert (await http.get("/")).json() == {"id": "r0"}
        for status in (204, 304):
            answer = await http.get(f"/status/{status}")
            assert (answer.status_code, answer.content) == (status, b"")
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"POST /size HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(await reader.readuntil(b"}"))["size"] == 4
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n"), "the connection is kept"
        writer.close()


@in_loop
async def test_trailers_pass_both_ways() -> None:
    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.readuntil(b"\r\n\r\n"))
        read.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"2\r\nhi\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\n\r\n"
        )
        await writer.drain()

    async with gateway() as front, raw_replica(serve) as backend:
        front.set_backends([backend])
        answer = await say(
            front.port,
            b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTE: trailers\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Own: 5\r\nAuthorization: x\r\n\r\n",
        )
        assert answer.endswith(b"\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n")
        assert b"TE: trailers\r\n" in read[0]
        assert read[1] == b"3\r\nabc\r\n0\r\nX-Own: 5\r\n\r\n"


@in_loop
async def test_requests_that_come_together_are_answered_in_order(tmp_path: Path) -> None:
    async with bed(tmp_path, 2) as (front, _):
        asked = b"".join(
            b"GET /status/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % status
            for status in range(201, 231)
            if status not in (204, 205)
        )
        answer = await say(front.port, asked + b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        statuses = [int(line[9:12]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        assert statuses == [status for status in range(201, 231) if status not in (204, 205)] + [200]


@in_loop
async def test_an_old_client_is_answered_in_its_own_way(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _):
        answer = await say(front.port, b"GET /big?n=10 HTTP/1.0\r\n\r\n")
        assert b"transfer-encoding" not in answer.lower()
        assert answer.endswith(b"\r\n\r\nxxxxxxxxxx")


@in_loop
async def test_an_answer_before_the_body_has_come_closes_the_connection(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _):
        answer = await say(
            front.port, b"POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 99999
        )
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b"large")
        assert b"Connection: close" in answer


@in_loop
async def test_websockets_pass_with_protocols_pings_and_codes(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _):
        address = f"ws://127.0.0.1:{front.port}/ws"
        offered: Any = ["one", "two"]
        async with websockets.connect(address, subprotocols=offered, proxy=None, max_size=None) as socket:
            assert socket.subprotocol == "two"
            await socket.send("hello")
            assert await socket.recv() == "hello"
            large = os.urandom(3_000_000)
            await socket.send(large)
            assert await socket.recv() == large
            await (await socket.ping())
            await until(lambda: front.load.in_flight == 1)
            await socket.send("close")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as asked")
        async with websockets.connect(address, proxy=None) as socket:
            await socket.close(4000, "mine")
        async with client(front) as http:
            assert ["closed", 4000] in (await http.get("/seen")).json()
        await until(lambda: front.load.in_flight == 0)


@in_loop
async def test_a_page_of_another_site_opens_no_websocket(tmp_path: Path) -> None:
    async with bed(tmp_path, hosts=("hub.example",)) as (front, _):
        for origin, opens in [
            ("http://evil.example", False),
            (f"http://127.0.0.1:{front.port}", True),
            ("null", False),
            ("https://hub.example", True),
            (f"http://127.0.0.1:{front.port + 1}", False),
        ]:
            answer = await say(
                front.port,
                b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nOrigin: %b\r\n\r\n"
                % (front.port, origin.encode()),
                0.5,
            )
            assert answer.startswith(b"HTTP/1.1 101 " if opens else b"HTTP/1.1 403 "), (origin, answer)


@in_loop
async def test_http2_offered_by_upgrade_is_not_taken(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _):
        answer = await say(
            front.port,
            b"POST /size HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: Upgrade, HTTP2-Settings, close\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAA\r\nContent-Length: 5\r\n\r\nhello",
            0.5,
        )
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'"size": 5' in answer


@in_loop
async def test_http2_passes_as_it_is_where_it_is_wanted() -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(preface)) == preface
        while data := await reader.read(1000):
            writer.write(data.upper())

    async with raw_replica(serve) as backend:
        async with gateway(h2c=True) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(preface[:5])
            await asyncio.sleep(0.05)
            writer.write(preface[5:] + b"some ")
            await until(lambda: front.load.waiting == 1)
            front.set_backends([backend])
            assert await reader.readexactly(5) == b"SOME "
            writer.write(b"more")
            assert await reader.readexactly(4) == b"MORE"
            await until(lambda: front.load.in_flight == 1)
            writer.close()
            await until(lambda: front.load.in_flight == 0)
        async with gateway() as front:
            assert (await say(front.port, preface)).startswith(b"HTTP/1.1 505 ")


@in_loop
async def test_a_client_that_leaves_ends_its_request(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _), client(front) as http:
        async with http.stream("GET", "/watch") as answer:
            assert await anext(answer.aiter_raw()) == b"begun"
        ends = asyncio.get_running_loop().time() + 10
        while "gone" not in (await http.get("/seen")).json():
            assert asyncio.get_running_loop().time() < ends
        await until(lambda: front.load.in_flight == 0)
        assert front.load.failures == 0


@in_loop
async def test_a_request_that_takes_too_long(tmp_path: Path) -> None:
    async with bed(tmp_path, request_timeout=0.5) as (front, _), client(front) as http:
        answer = await http.get("/sleep?s=30")
        assert answer.status_code == 504
        assert answer.json()["error"] == "504 Gateway Timeout"
        assert (await http.get("/")).status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/events?n=1000")
        async with websockets.connect(f"ws://127.0.0.1:{front.port}/", proxy=None) as socket:
            await asyncio.sleep(0.8)
            await socket.send("still there")
            assert await socket.recv() == "still there"


@in_loop
async def test_requests_wait_for_the_first_replica(tmp_path: Path) -> None:
    loads: list[Load] = []
    with uvicorns(tmp_path) as (replica,):
        backend = await replica.ready()
        async with gateway(loads.append, most_waiting=3, wait=20.0) as front, client(front) as http:
            waiting = [asyncio.create_task(http.get("/")) for _ in range(3)]
            await until(lambda: loads and loads[-1].waiting == 3)
            refused = await http.get("/", headers={"Accept": "text/plain"})
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert refused.text.startswith("503 Service Unavailable\n")
            front.set_backends([backend])
            assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 3
            await until(lambda: loads[-1].waiting == 0)
            assert loads[-1].failures == 1
        async with gateway(wait=0.2) as front, client(front) as http:
            refused = await http.get("/", headers={"Accept": "text/html,*/*"})
            assert refused.status_code == 503
            assert "retry-after" in refused.headers
            assert "<h1>503 Service Unavailable</h1>" in refused.text


@in_loop
async def test_a_client_that_leaves_waits_no_longer() -> None:
    async with gateway() as front:
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: front.load.waiting == 1)
        writer.close()
        await until(lambda: front.load.waiting == 0)


@in_loop
async def test_the_load_is_told(tmp_path: Path) -> None:
    async with bed(tmp_path, 2) as (front, _), client(front) as http:
        await asyncio.gather(*(http.get("/sleep?s=0.3") for _ in range(6)))
        slow = [asyncio.create_task(http.get("/sleep?s=1")) for _ in range(4)]
        await until(lambda: front.load.in_flight == 4)
        assert front.load.per_backend == {"r0": 2, "r1": 2}
        assert front.load.rate > 0
        assert 0.25 < front.load.latency < 5
        await asyncio.gather(*slow)
        await http.get("/status/500")
        await until(lambda: front.load.requests == 11 and front.load.failures == 1)
        await until(lambda: front.load.rate == 0)


@in_loop
async def test_a_replica_that_is_taken_away_finishes_what_it_has(tmp_path: Path) -> None:
    async with bed(tmp_path, 2) as (front, replicas), client(front) as http:
        slow = [asyncio.create_task(http.get("/sleep?s=1")) for _ in range(2)]
        await until(lambda: front.load.per_backend == {"r0": 1, "r1": 1})
        front.set_backends([replicas[1].backend])
        await front.taken()
        drained = asyncio.create_task(front.drained("r0"))
        assert {(await http.get("/echo")).json()["id"] for _ in range(5)} == {"r1"}
        assert not drained.done()
        assert sorted([answer.json() for answer in await asyncio.gather(*slow)]) == ["r0", "r1"]
        await asyncio.wait_for(drained, 5)
        await asyncio.wait_for(front.drained("r0"), 5)
        await asyncio.wait_for(front.drained("never there"), 5)


@in_loop
async def test_what_it_is_told_is_so_once_that_is_taken(tmp_path: Path) -> None:
    async with bed(tmp_path, 2) as (front, replicas), client(front) as http:
        for replica in (*replicas, *replicas):
            os.kill(front.pid, signal.SIGSTOP)  # what it is told and a request come to it at the same time
            front.set_backends([replica.backend])
            taken = asyncio.create_task(front.taken())
            await asyncio.sleep(0.1)
            assert not taken.done()
            os.kill(front.pid, signal.SIGCONT)
            await taken
            assert (await http.get("/echo")).json()["id"] == replica.backend.id
    await asyncio.wait_for(front.taken(), 5)  # it has ended


@pytest.mark.timeout(180)
@in_loop
async def test_no_request_is_lost_while_replicas_come_and_go(tmp_path: Path) -> None:
    results: Counter[Any] = Counter()
    over = False

    async def visitor(http: httpx.AsyncClient, number: int) -> None:
        while not over:
            try:
                answer = await (http.get("/") if number % 2 else http.post("/size", content=b"z" * 1000))
                results[answer.status_code] += 1
            except httpx.HTTPError as error:
                results[repr(error)] += 1

    with uvicorns(tmp_path, 3) as replicas:
        backends = [await replica.ready() for replica in replicas]
        async with gateway() as front, client(front) as http:
            visitors = [asyncio.create_task(visitor(http, number)) for number in range(16)]
            for shown in ([0], [0, 1, 2], [2], [], [1], [0, 1], [1, 2]):
                front.set_backends([backends[place] for place in shown])
                for place in {0, 1, 2} - set(shown):
                    await front.drained(f"r{place}")
                await asyncio.sleep(0.4)
            front.set_backends([backends[1]])
            for place in (0, 2):  # it is really gone, not only out of sight
                await front.drained(f"r{place}")
                replicas[place].end()
            await asyncio.sleep(0.5)
            over = True
            await asyncio.gather(*visitors)
            await until(lambda: front.load.in_flight == 0)
            assert front.load.failures == 0
    assert set(results) == {200}, results
    assert results[200] > 100


@in_loop
async def test_a_port_that_is_taken_is_told_with_its_owner() -> None:
    async with gateway() as front:
        with pytest.raises(RuntimeSystemError, match=f"port {front.port} .*{front.pid}") as taken:
            await Gateway.start(GatewayConfig("other", port=front.port), lambda load: None)
        assert taken.value.code == "PortTaken"


@in_loop
async def test_a_gateway_that_is_killed_is_noticed_and_started_again(tmp_path: Path) -> None:
    with uvicorns(tmp_path) as (replica,):
        backend = await replica.ready()
        async with gateway() as front:
            front.set_backends([backend])
            os.kill(front.pid, signal.SIGKILL)
            assert await asyncio.wait_for(asyncio.shield(front.ended), 10) == -signal.SIGKILL
            await asyncio.wait_for(front.drained("r0"), 1)
            async with gateway(port=front.port) as again, client(again) as http:
                again.set_backends([backend])
                assert (await http.get("/")).status_code == 200


@in_loop
async def test_closing_is_quick_and_ends_the_process(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _), client(front) as http:
        streaming = asyncio.create_task(http.get("/events?n=10000"))
        await until(lambda: front.load.in_flight == 1)
        await front.close()
        assert front.ended.result() == 0
        assert not psutil.pid_exists(front.pid)
        with pytest.raises(httpx.HTTPError):
            await streaming
        front.set_backends([])
        await front.drained("r0")
        await front.close()


@in_loop
async def test_a_gateway_gets_a_free_port_on_the_loopback_interface() -> None:
    async with gateway() as front:
        [listening] = [c for c in psutil.Process(front.pid).net_connections() if c.status == "LISTEN"]
        assert (listening.laddr.ip, listening.laddr.port) == ("127.0.0.1", front.port)
        assert front.url == f"http://127.0.0.1:{front.port}/"
        assert front.port != free_port()


def test_a_body_is_what_was_sent(tmp_path: Path) -> None:
    data = os.urandom(5 * MIB)

    @in_loop
    async def both() -> None:
        async with bed(tmp_path) as (front, _), client(front) as http:
            told = (await http.post("/size", content=data)).json()
            assert told == {"size": len(data), "digest": hashlib.sha256(data).hexdigest()}
            assert (await http.post("/back", content=data)).content == data

    both()
