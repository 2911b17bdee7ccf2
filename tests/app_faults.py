"""Faults of served apps, each provoked in a real kernel with ``flyte.serve``, real processes and real requests.

``python tests/benchmarks/app_faults.py`` prints what they come to as a table; the tests insist that each comes to what
it should. A fault insists itself on what must hold; whatever it leaves running is a failure of its own.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from app_stage import GIB, LONG, PLAIN, Stage, answers, detail
from kernels import new_kernel
from malformed import GET, HOST, MALFORMED
from scripts import is_gone, soon

MANY = 10_000
STRANGER = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"


class Outcome(NamedTuple):
    """What a fault comes to."""

    fault: str
    seen: str
    survives: str
    seconds: float


Fault = Callable[[Stage], Outcome]
FAULTS: list[Fault] = []


def fault(provoke: Fault) -> Fault:
    """Have a fault provoked in its turn."""
    FAULTS.append(provoke)
    return provoke


def at_stage(folder: Path, faults: list[Fault]) -> Iterator[Outcome]:
    """Provoke faults one after another in one kernel, and see that none leaves anything running."""
    with new_kernel(folder) as kernel:
        stage = Stage(folder, kernel)
        stage.declare()
        stage.serve()
        stage.stop()
        kept = len(stage.family())  # what starts processes, and stays
        for provoke in faults:
            yield provoke(stage)
            stage.stop()
            assert soon(lambda: len(stage.family()) <= kept, LONG), [p.cmdline() for p in stage.family()]


# --- its start ---


@fault
def port_taken(stage: Stage) -> Outcome:
    """The port of the app's address is a stranger's."""
    stage.declare()
    with subprocess.Popen([sys.executable, "-c", STRANGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        port = int(stranger.stdout.readline())
        began = time.monotonic()
        seen = stage.refused(f"port={port}")
        seconds = time.monotonic() - began
        assert str(port) in seen
        assert f"pid {stranger.pid}" in seen
        stranger.kill()
    return Outcome("port taken by a stranger", seen, "the kernel, and the stranger", seconds)


@fault
def never_listens(stage: Stage) -> Outcome:
    stage.declare(server="time.sleep(600)")
    began = time.monotonic()
    seen = stage.refused("activate_timeout=2")
    assert "nothing listens on port 8080 within 2 s" in seen
    return Outcome("server that never listens, `activate_timeout=2`", seen, "the kernel", time.monotonic() - began)


@fault
def listens_elsewhere(stage: Stage) -> Outcome:
    stage.declare(server="import socket; s = socket.create_server(('127.0.0.1', 0)); time.sleep(600)")
    began = time.monotonic()
    seen = stage.refused("activate_timeout=2")
    assert "declare port=" in seen
    return Outcome("server that listens on another port", seen, "the kernel", time.monotonic() - began)


@fault
def returns(stage: Stage) -> Outcome:
    stage.declare(server="print('nothing to do')")
    began = time.monotonic()
    seen = stage.refused()
    assert "its server returned" in seen
    return Outcome("server that returns at once", seen, "the kernel", time.monotonic() - began)


@fault
def exits_at_once(stage: Stage) -> Outcome:
    stage.declare(server="os._exit(3)")
    began = time.monotonic()
    seen = stage.refused()
    assert "exit code 3" in seen
    return Outcome("server that exits at once", seen, "the kernel", time.monotonic() - began)


@fault
def exits(stage: Stage) -> Outcome:
    stage.declare()
    stage.serve()
    (first,) = stage.pids
    began = time.monotonic()
    status, text = stage.ask("/exit", "POST")
    assert status == 502, text
    assert stage.ask()[0] == 200
    seconds = time.monotonic() - began
    assert stage.pids != [first]
    survives = f"the app: the next request is answered; the log: `{stage.log('exit code 3')}`"
    return Outcome("server that exits while it answers", f"{status} {detail(text)}", survives, seconds)


@fault
def exits_always(stage: Stage) -> Outcome:
    stage.declare(server="import http.server, threading; threading.Timer(0.5, lambda: os._exit(3)).start(); "
                         "http.server.ThreadingHTTPServer(('', 8080), http.server.BaseHTTPRequestHandler)"
                         ".serve_forever()")  # fmt: skip
    stage.serve()
    began = time.monotonic()
    assert soon(lambda: stage.kernel.value("handle.phase.value") == "'failed'", LONG)
    seconds = time.monotonic() - began
    status, text = stage.ask()
    assert status == 503, text
    assert "5 times in a row" in text
    return Outcome("server that exits again and again", f"{status} {detail(text)}", "the kernel", seconds)


# --- its hooks ---


@fault
def startup_raises(stage: Stage) -> Outcome:
    stage.declare(hooks="@app_env.on_startup\ndef up():\n    raise ValueError('bad model')")
    began = time.monotonic()
    seen = stage.refused()
    assert "on_startup failed: ValueError: bad model" in seen
    return Outcome(
        "`on_startup` raises", seen, "the kernel; the hook's cell and line are told", time.monotonic() - began
    )


@fault
def startup_hangs(stage: Stage) -> Outcome:
    stage.declare(hooks="@app_env.on_startup\ndef up():\n    time.sleep(600)")
    began = time.monotonic()
    seen = stage.refused("activate_timeout=2")
    assert "on_startup did not end within 2 s" in seen
    return Outcome("`on_startup` hangs, `activate_timeout=2`", seen, "the kernel", time.monotonic() - began)


@fault
def shutdown_raises(stage: Stage) -> Outcome:
    stage.declare(hooks="@app_env.on_shutdown\ndef down():\n    raise ValueError('no disk')")
    stage.serve()
    began = time.monotonic()
    stage.stop()
    seconds = time.monotonic() - began
    seen = stage.log("on_shutdown failed")
    assert "ValueError: no disk" in seen
    return Outcome("`on_shutdown` raises", seen, "the kernel; the app has stopped", seconds)


@fault
def shutdown_hangs(stage: Stage) -> Outcome:
    stage.declare(hooks="@app_env.on_shutdown\ndef down():\n    time.sleep(600)")
    stage.serve()
    pids = stage.pids
    began = time.monotonic()
    stage.stop()
    seconds = time.monotonic() - began
    seen = stage.log("on_shutdown did not end")
    assert seen
    assert soon(lambda: all(map(is_gone, pids)))
    return Outcome("`on_shutdown` hangs", seen, "the kernel; the app has stopped", seconds)


# --- its replicas ---


@fault
def replica_killed(stage: Stage) -> Outcome:
    stage.declare(PLAIN + ", scaling=flyte.app.Scaling(2)")
    stage.serve()
    first = stage.pids[0]
    with stage.asked(*["GET"] * 6) as callers:
        assert soon(lambda: callers.answered["GET"] > 20, LONG)
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        assert soon(lambda: first not in stage.pids and len(stage.pids) == 2, LONG)
        seconds = time.monotonic() - began
    assert not callers.failed["GET"], callers.told()
    return Outcome("replica SIGKILLed, six clients that GET", stage.log("SIGKILL"),
                   f"the app, in two replicas: {callers.told()}", seconds)  # fmt: skip


@fault
def replica_killed_in_posts(stage: Stage) -> Outcome:
    stage.declare(PLAIN + ", scaling=flyte.app.Scaling(2)")
    stage.serve()
    first = stage.pids[0]
    with stage.asked(*["POST"] * 6) as callers:
        assert soon(lambda: callers.answered["POST"] > 20, LONG)
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        assert soon(lambda: first not in stage.pids and len(stage.pids) == 2, LONG)
        seconds = time.monotonic() - began
    assert len(callers.failed["POST"]) <= 6, callers.told()  # those that it had: nothing is done twice
    assert all(told.startswith("502 ") for told in callers.failed["POST"])
    return Outcome("replica SIGKILLed, six clients that POST", stage.log("SIGKILL"),
                   f"the app, in two replicas: {callers.told()}", seconds)  # fmt: skip


@fault
def replica_stopped(stage: Stage) -> Outcome:
    stage.declare(PLAIN + ", scaling=flyte.app.Scaling(2)")
    stage.serve()
    first = stage.pids[0]
    with stage.asked(*["GET"] * 6) as callers:
        assert soon(lambda: callers.answered["GET"] > 20, LONG)
        began = time.monotonic()
        os.kill(first, signal.SIGSTOP)
        assert soon(lambda: first not in stage.pids and len(stage.pids) == 2, LONG)
        seconds = time.monotonic() - began
    assert not callers.failed["GET"], callers.told()
    assert is_gone(first)
    survives = f"the app, in two replicas: {callers.told()}, the slowest after {callers.slowest:.1f} s"
    return Outcome("replica SIGSTOPped, six clients that GET", stage.log("stopped by a signal:"), survives, seconds)


@fault
def gateway_killed(stage: Stage) -> Outcome:
    stage.declare()
    stage.serve()
    pids = stage.pids
    began = time.monotonic()
    stage.gateway.kill()
    assert soon(lambda: answers(stage), LONG)
    seconds = time.monotonic() - began
    assert stage.pids == pids
    return Outcome("the gateway's process SIGKILLed", stage.log("gateway"), "the app, at its address", seconds)


# --- its clients ---


@fault
def idle_connections(stage: Stage) -> Outcome:
    stage.declare()
    stage.serve()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY + 500:
        return Outcome(f"{MANY:,} idle connections", f"this machine allows {hard} open files", "not tried", 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gateway = stage.gateway
    before, began = gateway.memory_info().rss, time.monotonic()
    idle = []
    try:
        for _ in range(MANY):
            line = socket.create_connection(("127.0.0.1", stage.port))
            idle.append(line)
            line.sendall(GET + b"\r\n")
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        seconds = time.monotonic() - began
        asked = time.monotonic()
        assert stage.ask()[0] == 200
        took = time.monotonic() - asked
        grown = (gateway.memory_info().rss - before) / MANY
    finally:
        for line in idle:
            line.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    seen = f"one more client is answered in {took * 1000:.0f} ms"
    return Outcome(f"{MANY:,} idle keep-alive connections", seen,
                   f"the app; the gateway has {grown / 1024:.1f} KiB more for each", seconds)  # fmt: skip


@fault
def slow_loris(stage: Stage) -> Outcome:
    stage.declare()
    stage.serve()
    lines = [socket.create_connection(("127.0.0.1", stage.port)) for _ in range(300)]
    head = GET + b"X-A: b\r\n" * 99
    began, answers_of, times = time.monotonic(), [b""] * len(lines), list[float]()
    try:
        while not all(answers_of):
            assert time.monotonic() - began < LONG
            for place, line in enumerate(lines):
                if not answers_of[place]:
                    answers_of[place] = dripped(line, head[len(times) : len(times) + 1])
            asked = time.monotonic()
            assert stage.ask()[0] == 200
            times.append(time.monotonic() - asked)
            time.sleep(0.2)
    finally:
        for line in lines:
            line.close()
    seconds = time.monotonic() - began
    told = {answer.partition(b"\r\n")[0].decode() for answer in answers_of}
    assert told == {"HTTP/1.1 408 Request Timeout"}
    survives = f"the app: others are answered meanwhile, at the slowest in {max(times) * 1000:.0f} ms"
    return Outcome("300 slow-loris clients", told.pop(), survives, seconds)


def dripped(line: socket.socket, byte: bytes) -> bytes:
    """Send one more byte; give the answer, if there is one."""
    line.setblocking(False)
    with contextlib.suppress(OSError):  # it may have been closed
        line.send(byte)
    try:
        return line.recv(1 << 16)
    except BlockingIOError:
        return b""


@fault
def large_body(stage: Stage) -> Outcome:
    stage.declare()
    stage.serve()
    gateway, piece = stage.gateway, b"x" * (1 << 20)
    before = most = gateway.memory_info().rss

    def pieces() -> Iterator[bytes]:
        nonlocal most
        for number in range(GIB // len(piece)):
            yield piece
            if number % 16 == 0:
                most = max(most, gateway.memory_info().rss)

    began = time.monotonic()
    status, text = stage.ask("/size", "POST", data=pieces())
    seconds = time.monotonic() - began
    assert (status, json.loads(text)["size"]) == (200, GIB)
    grown = (most - before) / (1 << 20)
    assert grown < 64
    survives = f"the app; the gateway had {grown:.0f} MiB more"
    return Outcome("request body of 1 GiB", f'200 {{"size": {GIB}, …', survives, seconds)


@fault
def malformed(stage: Stage) -> Outcome:
    stage.declare()
    stage.serve()
    began, statuses = time.monotonic(), collections.Counter[str]()
    for name, (sent, status) in MALFORMED.items():
        if status is None:
            continue
        answer = stage.say(sent)
        accepted = status if isinstance(status, tuple) else (status,)
        assert answer[:9] == b"HTTP/1.1 ", (name, answer)
        assert int(answer[9:12]) in accepted, (name, answer)
        statuses[answer.partition(b"\r\n")[0].decode()] += 1
    seconds = time.monotonic() - began
    assert stage.ask()[0] == 200
    seen = ", ".join(f"{status} ({count})" for status, count in statuses.most_common())
    return Outcome(f"malformed HTTP, {statuses.total()} ways", seen, "the app", seconds)


@fault
def tokens(stage: Stage) -> Outcome:
    stage.declare(PLAIN.replace("False", "True"))
    stage.serve()
    began = time.monotonic()
    missing, wrong = stage.ask(), stage.ask(token="x" * 43)
    query, cookie = stage.ask(f"/?token={stage.token}"), stage.say(GET + b"Cookie: flyte-nb-shop=x\r\n\r\n", 1)
    seconds = time.monotonic() - began
    assert {missing[0], wrong[0], query[0]} == {401}
    assert cookie.startswith(b"HTTP/1.1 401 ")
    assert stage.ask(token=stage.token)[0] == 200
    told = json.loads(missing[1])
    return Outcome("wrong and missing tokens", f"{told['error']}: {told['detail']}",
                   "the app: the right token is let in", seconds)  # fmt: skip


@fault
def path_traversal(stage: Stage) -> Outcome:
    (stage.folder.parent / "secret.txt").write_text("hunter22")
    stage.declare("requires_auth=False, command='python -m http.server 8080'", server="")
    stage.serve()
    assert "replica_app.py" in stage.ask()[1]
    began, statuses = time.monotonic(), set()
    for path in ("../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "a/../../secret.txt", "/../secret.txt",
                 "..\\secret.txt", "%252e%252e/secret.txt", f"{stage.folder.parent}/secret.txt"):  # fmt: skip
        answer = stage.say(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert b"hunter22" not in answer, path
        statuses.add(answer.partition(b"\r\n")[0].decode())
    seconds = time.monotonic() - began
    assert stage.ask()[0] == 200
    return Outcome("path traversal, 8 ways, of an app that gives files", ", ".join(sorted(statuses)),
                   "the app; no file outside its folder is given", seconds)  # fmt: skip


@fault
def header_injection(stage: Stage) -> Outcome:
    stage.declare()
    stage.serve()
    began = time.monotonic()
    encoded = stage.say(b"GET /echo?a=%0d%0aSet-Cookie:%20evil=1 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    head, _, text = encoded.partition(b"\r\n\r\n")
    assert b"evil" not in head
    assert json.loads(text)["query"] == "a=%0d%0aSet-Cookie:%20evil=1"
    told = set()
    for value in (b"b\rX-Own: c", b"b\0c", b"b\r\n X-Own: c"):
        answer = stage.say(GET + b"X-A: " + value + b"\r\n\r\n")
        told.add(answer.partition(b"\r\n")[0].decode())
    assert told == {"HTTP/1.1 400 Bad Request"}
    seconds = time.monotonic() - began
    assert stage.ask()[0] == 200
    return Outcome("header injection, in a target and in values", told.pop(),
                   "the app; it sees the target encoded, as it came", seconds)  # fmt: skip


@fault
def disconnects(stage: Stage) -> Outcome:
    stage.declare()
    stage.serve()
    with socket.create_connection(("127.0.0.1", stage.port)) as line:
        line.sendall(b"GET /watch HTTP/1.1\r\n" + HOST + b"\r\n")
        received = b""
        while b"begun" not in received:
            received += line.recv(1 << 16)
        began = time.monotonic()
    assert soon(lambda: "gone" in stage.ask("/seen")[1], LONG)
    seconds = time.monotonic() - began
    return Outcome("client that disconnects mid-stream", "the app's handler gets `http.disconnect`", "the app", seconds)


# --- its kernel ---


def kernel_killed(folder: Path) -> Outcome:
    """Kill a kernel that serves five replicas."""
    with new_kernel(folder) as kernel:
        stage = Stage(folder, kernel)
        stage.declare(PLAIN + ", scaling=flyte.app.Scaling(5)")
        stage.serve()
        assert len(stage.pids) == 5
        family = [stage.pid, *(child.pid for child in stage.family())]
        began = time.monotonic()
        os.kill(stage.pid, signal.SIGKILL)
        assert soon(lambda: all(map(is_gone, family)), LONG)
        seconds = time.monotonic() - began
    assert seconds < 2, f"{seconds:.1f} s"
    return Outcome("kernel SIGKILLed, five replicas", "the front end says that the kernel died",
                   f"nothing: all {len(family)} processes are gone", seconds)  # fmt: skip


def suspended(folder: Path, slept: float = 8) -> Outcome:
    """Stop a kernel and all that it started for some seconds, as a laptop that sleeps does, while a request waits."""
    with new_kernel(folder) as kernel:
        stage = Stage(folder, kernel)
        stage.declare(PLAIN + ", scaling=flyte.app.Scaling(2)")
        stage.serve()
        pids, answered = stage.pids, list[tuple[int, str]]()
        asking = threading.Thread(target=lambda: answered.append(stage.ask("/sleep?s=2", "POST")))
        asking.start()
        time.sleep(0.5)
        family = [psutil.Process(stage.pid), *stage.family()]
        for process in family:
            process.suspend()
        time.sleep(slept)
        began = time.monotonic()
        for process in family:
            process.resume()
        assert soon(lambda: answers(stage), LONG)
        seconds = time.monotonic() - began
        asking.join(LONG)
        assert answered == [(200, '"shop"')]
        with stage.asked("GET", "POST") as callers:
            assert soon(lambda: callers.answered["GET"] > 50, LONG)
            time.sleep(2)
        assert not any(callers.failed.values()), callers.told()
        assert stage.pids == pids
        failures = stage.kernel.value("handle.metrics.failures")
        assert failures == "0"
        stage.stop()
    return Outcome(f"the laptop suspended for {slept:g} s, a request under way", "its answer, late: 200",
                   "all: the same replicas, no failed request", seconds)  # fmt: skip
