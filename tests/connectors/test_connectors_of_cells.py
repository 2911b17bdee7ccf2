"""Connectors in a notebook: run through from a cell, and put into the module that a server imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector_servers import served
from kernels import Kernel

SETUP = """
from dataclasses import dataclass
from flyte_nb.connectors import (
    AsyncConnector, AsyncConnectorExecutorMixin, ConnectorRegistry, Endpoints, Resource, ResourceMeta,
)
from flyte_nb.extend import TaskTemplate
from flyte_nb.models import NativeInterface

@dataclass
class Job(ResourceMeta):
    word: str

def shout(word):
    return word.upper() + suffix

suffix = "!"
"""
CONNECTOR = """
class Batch(AsyncConnector[Job]):
    name = "Batch"
    task_type_name = "batch"
    metadata_type = Job
    ARGUMENTS

    async def create(self, task_template, output_prefix, inputs=None, task_execution_metadata=None, **kwargs):
        return Job(shout(inputs["word"]))

    async def get(self, resource_meta, **kwargs):
        if resource_meta.word == "RUN!":
            return Resource("running")
        return Resource("done", outputs={"o0": resource_meta.word})

    async def delete(self, resource_meta, **kwargs):
        with open("deleted", "w") as file:
            file.write(resource_meta.word)

"""
TASK = """
@dataclass(kw_only=True, repr=False)
class BatchTask(AsyncConnectorExecutorMixin, TaskTemplate):
    task_type: str = "batch"

say = BatchTask(name="jobs.say", interface=NativeInterface.from_types({"word": str}, {"o0": str}))
"""
PLAIN = CONNECTOR.replace("    ARGUMENTS\n", "") + "ConnectorRegistry.register(Batch())"
WITH_VALUES = CONNECTOR.replace(
    "    ARGUMENTS\n", "\n    def __init__(self, prefix):\n        self.prefix = prefix\n"
).replace("Job(shout(", "Job(self.prefix + (")
BUNDLE = """
from flyte_nb.session import current_session
batches = flyte.app.ConnectorEnvironment("batches")
bundle = current_session().shipping.bundle([batches])
print(current_session().shipping.holds_connectors(batches), bundle.write(current_session().store.bundles) / "cells.py")
"""
RAN = "flyte.run(say, word='hello').outputs().o0"


@pytest.fixture
def notebook(kernel: Kernel) -> Kernel:
    kernel.run(SETUP)
    kernel.run(TASK)
    return kernel


def module_of(kernel: Kernel) -> str:
    """Write the module for the connector environment of a notebook, and give its file."""
    told, path = kernel.run(BUNDLE).printed.split()
    assert told == "True"
    return path


def test_a_task_runs_through_the_connector_of_a_cell(notebook: Kernel) -> None:
    notebook.run(PLAIN)
    assert notebook.value(RAN) == "'HELLO!'"


def test_a_cell_that_runs_again_replaces_its_connector(notebook: Kernel) -> None:
    notebook.run(PLAIN)
    notebook.run(PLAIN.replace('outputs={"o0": resource_meta.word}', 'outputs={"o0": "new"}'))
    assert notebook.value(RAN) == "'new'"


def test_a_task_of_another_environment_calls_one(notebook: Kernel) -> None:
    notebook.run(PLAIN)
    notebook.run("%%flyte outer\n@task\nasync def twice(word: str) -> str:\n    return 2 * await say(word=word)")
    notebook.run("run = flyte.run(twice, word='ha')")
    assert notebook.value("run.outputs().o0, [action.task for action in run.actions]") == (
        "('HA!HA!', ['outer.twice', 'jobs.say'])"
    )


def test_a_task_need_not_be_bound_to_a_variable(notebook: Kernel) -> None:
    notebook.run(PLAIN)
    notebook.run("def made(name):\n    return BatchTask(name=name, interface=say.interface)")
    notebook.run("run = flyte.run(made('jobs.unbound'), word='hello')")
    assert notebook.value("run.outputs().o0, run.root.notice") == "('HELLO!', '')"


def test_an_export_holds_the_connectors(notebook: Kernel, tmp_path: Path) -> None:
    notebook.run(PLAIN)
    notebook.run("flyte.export('batches.py', flyte.app.ConnectorEnvironment('batches'))")
    with served(tmp_path, "batches") as running:
        notebook.run(f"Endpoints.add('batches', {running.address!r})")
        assert notebook.value(RAN) == "'HELLO!'"


def test_an_interrupted_cell_ends_its_job(notebook: Kernel, tmp_path: Path) -> None:
    notebook.run(PLAIN)
    notebook.run("import _thread, threading\nthreading.Timer(1, _thread.interrupt_main).start()")
    assert "KeyboardInterrupt" in notebook.run("flyte.run(say, word='run')", fails=True).error
    assert (tmp_path / "deleted").read_text() == "RUN!"


def test_a_server_serves_what_cells_define(notebook: Kernel, tmp_path: Path) -> None:
    notebook.run(PLAIN)
    path = module_of(notebook)
    source = Path(path).read_text()
    assert "def shout(word):" in source
    assert source.rstrip().endswith("_registry.register(Batch(), override=True)")
    with served(tmp_path, cells=path) as running:
        notebook.run(f"Endpoints.add('batches', {running.address!r})")
        notebook.run("ConnectorRegistry._known.clear()")
        assert notebook.value(RAN) == "'HELLO!'"


def test_a_connector_with_values_travels_with_them(notebook: Kernel, tmp_path: Path) -> None:
    notebook.run(WITH_VALUES + "batch = Batch(prefix='> ')\nConnectorRegistry.register(batch)")
    with served(tmp_path, cells=module_of(notebook)) as running:
        notebook.run(f"Endpoints.add('batches', {running.address!r})")
        assert notebook.value(RAN) == "'> hello'"


def test_values_that_nobody_can_make_again(notebook: Kernel) -> None:
    notebook.run(WITH_VALUES + "ConnectorRegistry.register(Batch(prefix='> '))")
    error = notebook.run(BUNDLE, fails=True).error
    assert "no variable holds it" in error
    assert "connector = Batch(…), then ConnectorRegistry.register(connector)" in error


def test_an_environment_without_connectors_in_cells(notebook: Kernel) -> None:
    told, path = notebook.run(BUNDLE).printed.split()
    assert told == "False"
    assert "_registry" not in Path(path).read_text()


def test_deploying_says_what_a_connector_environment_holds(notebook: Kernel) -> None:
    notebook.run(PLAIN)
    notebook.run("batches = flyte.app.ConnectorEnvironment('batches')")
    notebook.run("%%flyte jobs --depends-on batches\n@task\ndef count() -> int:\n    return 1")
    notebook.run("made = flyte.deploy(env)")
    assert notebook.value("[d.environment for d in made]") == "['batches', 'jobs']"
