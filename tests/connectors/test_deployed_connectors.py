"""Connectors that cells define, deployed: what they are made of counts."""

from __future__ import annotations

from kernels import Kernel

CONNECTOR = """
from dataclasses import dataclass
from flyte_nb.connectors import AsyncConnector, ConnectorRegistry, Resource, ResourceMeta

@dataclass
class Job(ResourceMeta):
    id: str

class Batches(AsyncConnector[Job]):
    name = "Batches"
    task_type_name = "batch"
    metadata_type = Job

    async def create(self, task_template, output_prefix, inputs=None, task_execution_metadata=None, **kwargs):
        return Job(FIRST)

    async def get(self, resource_meta, **kwargs):
        return Resource("succeeded")

    async def delete(self, resource_meta, **kwargs):
        pass

ConnectorRegistry.register(Batches())
"""


def test_a_server_of_connectors_changes_with_them(kernel: Kernel) -> None:
    kernel.run(
        "FIRST = '1'\nconnectors = flyte.app.ConnectorEnvironment('batches')\nother = flyte.TaskEnvironment('e')"
    )
    kernel.run("@other.task\ndef f() -> int: return 1")
    kernel.run(CONNECTOR)
    deploy = "print([one.unchanged for one in flyte.deploy(connectors, other)])"
    assert kernel.run(deploy).printed == "[False, False]\n"
    assert kernel.run(deploy).printed == "[True, True]\n"
    kernel.run(CONNECTOR.replace('"succeeded"', '"running"'))
    assert kernel.run(deploy).printed == "[False, True]\n"
    kernel.run("FIRST = '2'")
    assert kernel.run(deploy).printed == "[False, True]\n"
    kernel.run("@other.task\ndef f() -> int: return 2")
    assert kernel.run(deploy).printed == "[True, False]\n"
