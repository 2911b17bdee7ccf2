"""Connectors: declared and registered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flyte_nb.connectors import AsyncConnector, ConnectorRegistry, Resource, ResourceMeta
from flyte_nb.models import ActionPhase


@dataclass
class Job(ResourceMeta):
    id: str
    tries: int = 0


class Connector(AsyncConnector[Job]):
    name = "Test"
    task_type_name = "test"
    metadata_type = Job

    async def create(self, task_template: Any, output_prefix: str, *args: Any, **kwargs: Any) -> Job:
        return Job("1")

    async def get(self, resource_meta: Job, **kwargs: Any) -> Resource:
        return Resource(ActionPhase.SUCCEEDED, outputs={"o0": 1})

    async def delete(self, resource_meta: Job, **kwargs: Any) -> None:
        return None


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ConnectorRegistry, "_known", {})
    return


def test_a_job_travels_as_json() -> None:
    assert Job("1", 2).encode() == b'{"id": "1", "tries": 2}'
    assert Job.decode(Job("1", 2).encode()) == Job("1", 2)


def test_a_resource_takes_its_fields_by_position() -> None:
    resource = Resource(ActionPhase.RUNNING, "on its way", [], {"o0": 1}, {})
    assert (resource.phase, resource.message, resource.outputs) == (ActionPhase.RUNNING, "on its way", {"o0": 1})


def test_three_methods_are_needed() -> None:
    class Half(AsyncConnector[Job]):
        async def get(self, resource_meta: Job, **kwargs: Any) -> Resource: ...

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_two_methods_are_optional() -> None:
    for method in (Connector().get_logs, Connector().get_metrics):
        with pytest.raises(NotImplementedError, match="Connector gives no"):
            asyncio.run(method(Job("1")))


def test_a_connector_is_found_by_type_and_version() -> None:
    connector = Connector()
    ConnectorRegistry.register(connector)
    assert ConnectorRegistry.get_connector("test") is connector
    with pytest.raises(ValueError, match=r"no connector named 'test \(version 1\)'; did you mean 'test \(version 0\)'"):
        ConnectorRegistry.get_connector("test", 1)


def test_a_second_one_is_refused_unless_it_overrides() -> None:
    ConnectorRegistry.register(Connector())
    with pytest.raises(ValueError, match="override=True"):
        ConnectorRegistry.register(Connector())
    newer = Connector()
    ConnectorRegistry.register(newer, override=True)
    assert ConnectorRegistry.get_connector("test", 0) is newer


def test_only_connectors_are_registered() -> None:
    with pytest.raises(TypeError, match="accepted: an AsyncConnector"):
        ConnectorRegistry.register(Connector)  # type: ignore[arg-type]
