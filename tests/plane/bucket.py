"""Where files are uploaded to: an HTTP server of its own, as an object store is, over a folder."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from plane.calls import Calls
from plane.faults import Faults

#: what an object store answers to the names of errors
STATUS = {
    "unauthenticated": 401,
    "permission_denied": 403,
    "invalid_argument": 400,
    "unavailable": 503,
    "internal": 500,
}


class Bucket:
    """Keeps the files of a folder, put there by HTTP.

    Parameters
    ----------
    folder : Path
        Where the files lie.
    calls : Calls
        Takes each upload as a call ``PUT``.
    faults : Faults
        Those of ``PUT`` strike uploads.
    """

    def __init__(self, folder: Path, calls: Calls, faults: Faults) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.folder, calls, faults))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def uri(self, path: str) -> str:
        """Give the address by which a container reads a file."""
        return f"file://{self.folder / path}"

    def file(self, uri: str) -> Path:
        """Give the file of such an address."""
        return Path(uri.removeprefix("file://"))


def _handler(folder: Path, calls: Calls, faults: Faults) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            length = int(self.headers["Content-Length"])
            path = self.path.lstrip("/").partition("?")[0]
            call = calls.add("PUT", {"path": path, "name": Path(path).name, "size": f"{length:,} bytes"})
            if fault := faults.striking("slow", "PUT"):
                time.sleep(fault.seconds)
            if fault := faults.striking("cut", "PUT"):
                call.answer = "connection cut"
                self._hang_up(length if fault.after < 0 else min(fault.after or length // 2, length - 1), length)
                return
            body = self.rfile.read(length)
            if fault := faults.striking("fail", "PUT"):
                call.answer = fault.code
                self._answer(STATUS[fault.code], fault.message.encode())
            elif self.headers.get("Content-MD5", _md5(body)) != _md5(body):
                call.answer = "invalid_argument"
                self._answer(400, b"the content is not that of Content-MD5")
            else:
                file = (folder / path).resolve()
                file.relative_to(folder)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(body)
                call.answer = "ok"
                self._answer(200)

        def do_GET(self) -> None:
            file = (folder / self.path.lstrip("/")).resolve()
            file.relative_to(folder)
            self._answer(200, file.read_bytes()) if file.is_file() else self._answer(404)

        def _hang_up(self, read: int, length: int) -> None:
            """Read some of an upload, and end the connection: reset where some of it is left."""
            self.rfile.read(read)
            if read < length:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    return Handler


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
