"""Connector environments served with ``flyte.serve``: from a notebook's cells, and with files that they include."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_connectors_of_cells import PLAIN, SETUP, TASK

from connector_servers import ECHO
from kernels import Kernel
from scripts import soon, written

SERVE = "batches = flyte.app.ConnectorEnvironment('batches')\nserved = flyte.serve(batches)"
RAN = "flyte.run(say, word='hello').outputs().o0"


@pytest.fixture
def notebook(kernel: Kernel) -> Kernel:
    for cell in (SETUP, TASK, PLAIN):
        kernel.run(cell)
    return kernel


def test_the_connectors_of_cells_are_served(notebook: Kernel) -> None:
    notebook.run(PLAIN.replace("shout(inputs", "__import__('os').getpid().__str__() + (inputs"))
    notebook.run(SERVE)
    notebook.run("import os")
    elsewhere = notebook.value(RAN)
    assert elsewhere.endswith("hello'")
    assert elsewhere != "'" + notebook.value("os.getpid()") + "hello'"
    assert "connector Batch: task type batch, version 0" in notebook.run("print(served.logs())").printed
    notebook.run("served.deactivate(wait=True)")
    assert notebook.value(RAN) == "'" + notebook.value("os.getpid()") + "hello'"


def test_a_cell_that_runs_again_replaces_what_is_served(notebook: Kernel) -> None:
    notebook.run(SERVE)
    notebook.run(PLAIN.replace('outputs={"o0": resource_meta.word}', 'outputs={"o0": "new"}'))
    assert soon(lambda: notebook.value(RAN) == "'new'", 20)


def test_modules_that_are_included_are_served(kernel: Kernel, tmp_path: Path) -> None:
    package = tmp_path / "my_connectors"
    package.mkdir()
    written(package / "__init__.py", "from my_connectors import echoes")
    written(package / "echoes.py", ECHO.replace("PACKAGE", "flyte_nb"))
    kernel.run("served = flyte.serve(flyte.app.ConnectorEnvironment('echoes', include=['my_connectors']))")
    kernel.run(SETUP)
    kernel.run(TASK.replace("batch", "echo").replace('"word": str', '"how": str'))
    assert "'how': 'done'" in kernel.value("flyte.run(say, how='done').outputs().o0")


def test_nobody_else_is_answered(notebook: Kernel) -> None:
    notebook.run(SERVE)
    notebook.run("from flyte_nb.connectors import ConnectorClient\nclient = ConnectorClient(served.endpoint[7:])")
    assert "asks for a token" in notebook.run("await client.connectors()", fails=True).error
    notebook.run("await client.close()")
    assert "asks for the token" in notebook.run("print(served.card().text())").printed
    notebook.run("client = ConnectorClient(served.endpoint[7:], token=served.token)")
    assert "Batch" in notebook.run("print(await client.connectors())\nawait client.close()").printed
