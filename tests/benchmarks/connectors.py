#!/usr/bin/env python
"""What a task of a connector costs whose job is done at once: ``FLYTE_PYTHON=… python tests/benchmarks/connectors.py``.

In this process, through a server, and with the Flyte SDK where ``FLYTE_PYTHON`` names a Python that has it with its
extra ``connector``. Median milliseconds from ``flyte.run`` to the outputs; the first run, which loads gRPC, apart.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 30
MODULE = """
import inspect
from dataclasses import dataclass
from PACKAGE.connectors import AsyncConnector, AsyncConnectorExecutorMixin, ConnectorRegistry, Resource, ResourceMeta
from PACKAGE.extend import TaskTemplate
from PACKAGE.models import NativeInterface
from flyteidl2.core.execution_pb2 import TaskExecution

@dataclass
class Job(ResourceMeta):
    id: str

class Noop(AsyncConnector):
    name = "No-op"
    task_type_name = "noop"
    metadata_type = Job

    async def create(self, task_template, output_prefix, inputs=None, task_execution_metadata=None, **kwargs):
        return Job("1")

    async def get(self, resource_meta, **kwargs):
        return Resource(phase=TaskExecution.SUCCEEDED, outputs={"o0": 1})

    async def delete(self, resource_meta, **kwargs):
        pass

ConnectorRegistry.register(Noop())

@dataclass(kw_only=True, repr=False)
class Task(AsyncConnectorExecutorMixin, TaskTemplate):
    task_type: str = "noop"
    image: str = "auto"

interface = NativeInterface.from_types({"x": (int, inspect.Parameter.empty)}, {"o0": int})
task = Task(name="e.noop", interface=interface)
"""
RUN = """
import time
import PACKAGE as flyte
from noop import task
if __name__ == "__main__":
    flyte.init()
    flyte.TaskEnvironment.from_task("e", task)
    for _ in range(TIMES):
        began = time.perf_counter()
        flyte.run(task, x=1).outputs()
        print("took", 1000 * (time.perf_counter() - began))
"""


def taken(python: str, package: str, times: int, folder: Path, **more: str) -> list[float]:
    """Give the milliseconds of some runs, the first one first."""
    (folder / "noop.py").write_text(MODULE.replace("PACKAGE", package))
    (folder / "run.py").write_text(RUN.replace("PACKAGE", package).replace("TIMES", str(times)))
    env = {**os.environ, "FLYTE_NB_HOME": str(folder / "home"), **more}
    done = subprocess.run([python, "run.py"], cwd=folder, env=env, capture_output=True, text=True, check=True)
    return [float(found) for found in re.findall(r"^took (\S+)$", done.stdout, re.MULTILINE)]


def show(name: str, times: list[float]) -> None:
    print(f"{name:32} {statistics.median(times[1:]):9.1f} ms   the first {times[0]:8.1f} ms   of {len(times) - 1} runs")


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    show("in this process", taken(sys.executable, "flyte_nb", RUNS + 1, folder))
    words = ["-m", "flyte_nb.connectors.server", "--port", "0", "--prometheus_port", "0", "--modules", "noop"]
    server = subprocess.Popen([sys.executable, *words], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = next(found[1] for line in server.stdout if (found := re.match(r"listening on (\S+),", line)))
    show("through a server", taken(sys.executable, "flyte_nb", RUNS + 1, folder, FLYTE_CONNECTOR_ENDPOINT=address))
    server.terminate()
    server.wait()
    if sdk := os.environ.get("FLYTE_PYTHON"):
        show("the Flyte SDK, in this process", taken(sdk, "flyte", 4, folder))


if __name__ == "__main__":
    main()
