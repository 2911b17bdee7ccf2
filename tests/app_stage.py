"""A stage for served apps: a real kernel that serves one, and callers of it with real requests."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from kernels import Kernel, Ran
from replicas import APP, say
from scripts import is_gone

LONG = 60.0  # seconds to wait for something; nothing should take as long
GIB = 1 << 30
START = "%load_ext flyte_nb\nimport os, sys, time\nimport flyte_nb as flyte"
DECLARED = """
app_env = flyte.app.AppEnvironment("shop", port=8080, {settings})
"""
SERVED = """
@app_env.server
def run_server():
    {server}
"""
UVICORN = "import uvicorn; uvicorn.run('replica_app:app', host='0.0.0.0', port=8080, log_level='error')"
#: settings of an app that asks for no token
PLAIN = "requires_auth=False, include=['replica_app.py'], env_vars={'ID': 'shop'}"


class Stage:
    """A kernel in which an app is served, and a caller of that app."""

    def __init__(self, folder: Path, kernel: Kernel) -> None:
        self.folder, self.kernel, self.port, self.token = folder, kernel, 0, ""
        (folder / "replica_app.py").write_text(APP)
        kernel.run(START)
        self.pid = int(kernel.value("os.getpid()"))

    # the kernel's side

    def declare(self, settings: str = "", server: str = UVICORN, hooks: str = "") -> None:
        """Declare the app, with settings in the place of or beside its own."""
        served = SERVED.format(server=server) if server else ""
        self.kernel.run(DECLARED.format(settings=settings or PLAIN) + served + hooks)

    def serve(self, how: str = "") -> None:
        """Serve it."""
        self.kernel.run(f"handle = flyte.with_servecontext({how}).serve(app_env)")
        self.port, self.token = json.loads(
            self.printed("import json; print(json.dumps([int(handle.endpoint.split(':')[2]), handle.token]))")
        )

    def refused(self, how: str = "") -> str:
        """Serve it, which fails; give the first line of the error."""
        ran = self.kernel.run(f"handle = flyte.with_servecontext({how}).serve(app_env)", fails=True)
        return first_line(ran)

    def stop(self) -> None:
        """Stop it, if it is served."""
        self.kernel.run("'handle' in globals() and handle.deactivate(wait=True)")

    def printed(self, source: str) -> str:
        return self.kernel.run(source).printed.strip()

    def log(self, *words: str) -> str:
        """Give the newest line of the app's log that has words in it; empty where there is none."""
        lines = self.printed("print(handle.logs())").splitlines()
        return next((line for line in reversed(lines) if all(word in line for word in words)), "")

    @property
    def pids(self) -> list[int]:
        """The replicas that are ready."""
        told = self.printed("print([r.pid for r in handle.replicas if r.phase.value == 'active'])")
        return [int(pid) for pid in json.loads(told)]

    @property
    def gateway(self) -> psutil.Process:
        """The process that the app's requests come through."""
        (found,) = [p for p in self.family() if "apps.proxy.process" in " ".join(p.cmdline())]
        return found

    def family(self) -> list[psutil.Process]:
        """Give all that the kernel has started and that runs."""
        return [child for child in psutil.Process(self.pid).children(recursive=True) if not is_gone(child.pid)]

    # the callers' side

    def ask(self, path: str = "/", method: str = "GET", token: str = "", data: object = None) -> tuple[int, str]:
        """Ask the app for something, on a connection of its own; give the status and the text."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG)
        try:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            if data is not None:
                headers["Content-Length"] = str(GIB)
            line.request(method, path, data, headers)  # type: ignore[arg-type]
            answer = line.getresponse()
            return answer.status, answer.read().decode()
        finally:
            line.close()

    def say(self, data: bytes, seconds: float = 5) -> bytes:
        """Send bytes to the app; give the answer."""
        return asyncio.run(say(self.port, data, seconds))

    @contextlib.contextmanager
    def asked(self, *methods: str) -> Iterator[Callers]:
        """Have clients ask again and again meanwhile."""
        callers = Callers(self.port, methods)
        threads = [threading.Thread(target=callers.ask, args=(method,), daemon=True) for method in methods]
        for thread in threads:
            thread.start()
        try:
            yield callers
        finally:
            callers.over.set()
            for thread in threads:
                thread.join(LONG)


class Callers:
    """Clients that ask again and again, each waiting for its answer."""

    def __init__(self, port: int, methods: tuple[str, ...]) -> None:
        self._port, self.over = port, threading.Event()
        self.answered: collections.Counter[str] = collections.Counter()
        self.failed: dict[str, list[str]] = {method: [] for method in methods}
        self.slowest = 0.0

    def ask(self, method: str) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONG)) as line:
            while not self.over.is_set():
                began = time.monotonic()
                try:
                    line.request(method, "/sleep?s=0.02")
                    answer = line.getresponse()
                    self._note(method, answer.status, answer.read().decode())
                except (OSError, http.client.HTTPException) as error:
                    self.failed[method].append(repr(error))
                    line.close()
                self.slowest = max(self.slowest, time.monotonic() - began)

    def _note(self, method: str, status: int, text: str) -> None:
        if status == 200:
            self.answered[method] += 1
        else:
            self.failed[method].append(f"{status} {detail(text)}")

    def told(self) -> str:
        """Say how many were answered, and what the others were told."""
        parts = [f"{sum(self.answered.values())} answered"]
        for method, failed in self.failed.items():
            parts += [f"{count} {method} told `{why}`" for why, count in collections.Counter(failed).items()]
        return ", ".join(parts)


def first_line(ran: Ran) -> str:
    """Give the first line of the error that a cell shows."""
    (error,) = [output for output in ran.outputs if output.output_type == "error"]
    return f"{error.ename}: {error.evalue}".partition("\n")[0]


def answers(stage: Stage) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return stage.ask()[0] == 200
    return False


def detail(text: str) -> str:
    """Give what an answer of the gateway tells."""
    return str(json.loads(text)["detail"])
