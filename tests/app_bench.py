"""Apps served from the test's own process: real replicas, a real gateway, real requests."""

from __future__ import annotations

import asyncio
import textwrap
import urllib.error
import urllib.request
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from flyte_nb.engine.definition import SCRIPT, Definition
from flyte_nb.engine.local.apps.service import Service
from flyte_nb.engine.local.apps.spec import Limits, Spec
from flyte_nb.engine.local.engine import LocalEngine
from flyte_nb.engine.store import Store
from flyte_nb.environments.scaling import Scaling
from flyte_nb.portal import Portal

T = TypeVar("T")

#: a server of the standard library that insists on its port, and tells its process and its version
SERVER = """
import flyte_nb as flyte, os, http.server, time, threading
VERSION = 1
app = flyte.app.AppEnvironment("a", port=8080)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path.startswith("/sleep"): time.sleep(float(self.path.rpartition("/")[2]))
        if self.path == "/exit": os._exit(3)
        if self.path == "/print": print("printed by", os.getpid())
        body = f"{VERSION} {os.getpid()}".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass

@app.server
def serve():
    http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


class AppBench:
    """An engine with its own store, and apps of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "home")
        self.engine = LocalEngine(self.store)
        self.portal = Portal()
        self._files = 0

    def begin(self, folder: Path) -> None:
        """Have the files of the next apps in a folder, and their names anew."""
        self.folder, self._files = folder, 0
        for file in (self.store.home / "apps").glob("*.log"):
            file.unlink()

    def stop(self) -> None:
        """Stop the app that is served, if there is one."""
        self.do(self.engine.apps.stop("a"))

    def spec(self, source: str = SERVER, **more: Any) -> Spec:
        """Say what an app of a file asks for."""
        self._files += 1
        file = self.folder / f"app{self._files}.py"
        file.write_text(textwrap.dedent(source))
        given = {"scaling": Scaling(1), "requires_auth": False, "source": str(file), **more}
        limits = given.pop("limits", {})
        return Spec("a", f"v{self._files}", Definition(file, SCRIPT), 8080, limits=Limits(**limits), **given)

    def serve(self, spec: Spec, **more: Any) -> Service:
        """Serve it."""
        return self.do(self.engine.apps.serve(spec, **more))

    def do(self, work: Coroutine[Any, Any, T], timeout: float = 40) -> T:
        """Await something in the engine's loop."""
        return self.portal.submit(asyncio.wait_for(work, timeout)).done.result()

    def close(self) -> None:
        """Stop the engine."""
        self.do(self.engine.stop())

    def log(self, service: Service) -> str:
        """Give the last lines of an app."""
        return "\n".join(service.log.last(1000))


def get(service: Service, path: str = "/", timeout: float = 20, **headers: str) -> tuple[int, str]:
    """Ask an app for something; give the status and the text."""
    request = urllib.request.Request(f"http://127.0.0.1:{service.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
