"""Connector servers in processes of their own: this package's, and the Flyte SDK's."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import soon, surroundings, written
from sdk_process import SDK

#: a connector whose jobs do what their input ``how`` says; PACKAGE is flyte_nb or flyte
ECHO = """
import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from flyteidl2.core.execution_pb2 import TaskExecution, TaskLog
from PACKAGE.connectors import AsyncConnector, ConnectorRegistry, Resource, ResourceMeta

NOTES = Path("notes.txt")


def note(text):
    with NOTES.open("a") as file:
        file.write(text + "\\n")


@dataclass
class Job(ResourceMeta):
    how: str
    seen: str = ""
    looks: int = 0


class Echo(AsyncConnector):
    name = "Echo"
    task_type_name = "echo"
    metadata_type = Job

    async def create(self, task_template, output_prefix, inputs=None, task_execution_metadata=None, **kwargs):
        how = (inputs or {}).get("how", "done")
        note(f"create {task_template.id.name} {how} {sorted(kwargs)}")
        if how == "create raises":
            raise ValueError(f"no {kwargs.get('key', 'such')} job")
        if how == "create hangs":
            await asyncio.sleep(600)
        return Job(how, repr(inputs))

    async def get(self, resource_meta, **kwargs):
        how = resource_meta.how
        link = TaskLog(name="console", uri="http://jobs/1")
        if how == "get raises":
            raise OSError("nobody knows the job")
        if how == "wrong phase":
            return Resource(phase="finishd")
        if how in ("runs", "delete raises"):
            return Resource(phase=TaskExecution.RUNNING, log_links=[link], message="half way")
        if how == "fails":
            return Resource(phase=TaskExecution.FAILED, message="no such table")
        if how == "values":
            return Resource(phase=TaskExecution.SUCCEEDED, outputs=values(), custom_info={"cost": 1.5, "parts": ["a"]})
        return Resource(phase=TaskExecution.SUCCEEDED, log_links=[link], outputs={"o0": resource_meta.seen})

    async def delete(self, resource_meta, **kwargs):
        note(f"delete {resource_meta.how}")
        if resource_meta.how == "delete raises":
            raise RuntimeError("it cannot be ended")


def values():
    return {
        "number": 7, "ratio": 0.5, "text": "a", "flag": True, "nothing": None, "items": [1, 2],
        "at": datetime(2020, 1, 2, 3, 4, 5, 6000, tzinfo=timezone.utc), "took": timedelta(seconds=1.5),
        "table": {"a": 1},
    }


ConnectorRegistry.register(Echo())
"""


@dataclass
class Served:
    """A server that runs."""

    address: str
    metrics: str
    process: subprocess.Popen[str]
    folder: Path

    @property
    def notes(self) -> list[str]:
        """What its connector has noted, line by line."""
        path = self.folder / "notes.txt"
        return path.read_text().splitlines() if path.exists() else []


def echo(folder: Path, package: str = "flyte_nb", name: str = "echoes") -> str:
    """Write a module with the connector, and give its name."""
    written(folder / f"{name}.py", ECHO.replace("PACKAGE", package))
    return name


def free_port() -> int:
    """Give a port that nobody listens at now."""
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return int(end.getsockname()[1])


@contextmanager
def served(folder: Path, *modules: str, cells: str = "", port: int = 0, **more: str) -> Iterator[Served]:
    """Serve modules, and the module of some cells, with this package's server."""
    words = ["-m", "flyte_nb.connectors.server", "c0", "--port", str(port), "--prometheus_port", "0"]
    words += ["--modules", *modules] if modules else []
    words += ["--cells", cells] if cells else []
    with _process([sys.executable, *words], folder, **more) as process:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if found := re.search(r"listening on (\S+), metrics on (\S+)", line):
                yield Served(found[1], found[2], process, folder)
                return
        raise AssertionError(f"the server ended: {told}{(folder / 'stderr.txt').read_text()}")


@contextmanager
def served_by_sdk(folder: Path, *modules: str) -> Iterator[Served]:
    """Serve modules with the Flyte SDK's server."""
    port, metrics = free_port(), free_port()
    words = ["-m", "flyte._bin.connect", "c0", "--port", str(port), "--prometheus_port", str(metrics)]
    for module in modules:
        words += ["--modules", module]
    with _process([SDK, *words], folder) as process:
        assert soon(lambda: _listens(port) or process.poll() is not None, 60)
        assert process.poll() is None, (folder / "stderr.txt").read_text()
        yield Served(f"127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics", process, folder)


@contextmanager
def _process(words: list[str], folder: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    with (folder / "stderr.txt").open("a") as errors:
        env = surroundings(folder / "home", **more)
        process = subprocess.Popen(
            words, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True
        )
        with process:
            try:
                yield process
            finally:
                process.terminate()
                if not soon(lambda: process.poll() is not None, 15):
                    process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as end:
        return end.connect_ex(("127.0.0.1", port)) == 0
