"""Connectors: declared, registered, and run through."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flyte_nb.connectors import (
    AsyncConnector,
    AsyncConnectorExecutorMixin,
    ConnectorRegistry,
    FlyteConnectorNotFound,
    JobPhase,
    Resource,
    ResourceMeta,
)
from flyte_nb.connectors.utils import convert_to_flyte_phase, is_terminal_phase
from flyte_nb.context.records import ActionID, RawDataPath
from flyte_nb.context.task_context import TaskContext, entered
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import ActionAbortedError, NotInTaskContextError, RuntimeSystemError, RuntimeUserError
from flyte_nb.models import ActionPhase, NativeInterface


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


def test_a_class_that_a_cell_defined_again_replaces_the_older() -> None:
    ConnectorRegistry.register(Connector())
    again = type("Connector", (Connector,), {"__module__": Connector.__module__, "__qualname__": "Connector"})()
    ConnectorRegistry.register(again)
    assert ConnectorRegistry.get_connector("test") is again


@pytest.mark.parametrize(
    ("words", "phase"),
    [
        ("failed timeout timedout canceled cancelled SKIPPED", JobPhase.FAILED),
        ("internal_error", JobPhase.RETRYABLE_FAILED),
        ("done Succeeded success COMPLETED", JobPhase.SUCCEEDED),
        ("running terminating", JobPhase.RUNNING),
        ("pending", JobPhase.INITIALIZING),
    ],
)
def test_the_words_of_services(words: str, phase: JobPhase) -> None:
    assert {convert_to_flyte_phase(word) for word in words.split()} == {phase}


def test_a_word_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match=r"given 'finishd'; accepted: failed, .*"):
        convert_to_flyte_phase("finishd")


@pytest.mark.parametrize(
    ("given", "phase"),
    [(3, JobPhase.SUCCEEDED), (8, JobPhase.RETRYABLE_FAILED), ("SUCCEEDED", JobPhase.SUCCEEDED),
     ("done", JobPhase.SUCCEEDED), (ActionPhase.ABORTED, JobPhase.ABORTED), (ActionPhase.TIMED_OUT, JobPhase.FAILED),
     ("queued", JobPhase.QUEUED)],
)  # fmt: skip
def test_what_is_taken_for_a_phase(given: Any, phase: JobPhase) -> None:
    assert JobPhase.of(given) is phase


def test_terminal_phases() -> None:
    assert {phase.name for phase in JobPhase if is_terminal_phase(phase)} == {
        "SUCCEEDED", "ABORTED", "FAILED", "RETRYABLE_FAILED",
    }  # fmt: skip


# --- a task through a connector ---


@dataclass(kw_only=True, repr=False)
class Query(AsyncConnectorExecutorMixin, TaskTemplate):
    task_type: str = "test"
    secret_names: dict[str, str] = field(default_factory=dict)

    def custom_config(self, sctx: Any) -> dict[str, Any]:
        return {"secrets": self.secret_names} if self.secret_names else {}


class Told(Connector):
    """A connector that answers as it is told, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    async def create(self, task_template: Any, output_prefix: str, *args: Any, **kwargs: Any) -> Job:
        self.asked.append(("create", task_template.id.name, output_prefix, kwargs))
        return Job("1")

    async def get(self, resource_meta: Job, **kwargs: Any) -> Resource:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def delete(self, resource_meta: Job, **kwargs: Any) -> None:
        self.asked.append(("delete", resource_meta.id, kwargs))
        raise OSError("gone already")


QUERY = Query(name="e.query", interface=NativeInterface.from_types({"sql": str}, {"o0": int}))
CONTEXT = TaskContext(action=ActionID(name="a0"), raw_data_path=RawDataPath("/data"))


def executed(task: Query, *answers: Any, **inputs: Any) -> tuple[Any, Told]:
    connector = Told(*answers)
    ConnectorRegistry.register(connector, override=True)
    with entered(CONTEXT):
        return asyncio.run(asyncio.wait_for(task.execute(**inputs), 5)), connector


def test_a_task_is_created_and_watched_to_its_end() -> None:
    running = Resource(JobPhase.RUNNING, log_links=["http://log"])
    value, connector = executed(QUERY, running, running, Resource("done", outputs={"o0": 7}), sql="select 7")
    assert value == 7
    assert connector.asked == [("create", "e.query", "/data", {"inputs": {"sql": "select 7"}})]


@pytest.mark.parametrize(("outputs", "value"), [(None, None), ({}, None), ({"a": 1}, 1), ({"a": 1, "b": 2}, (1, 2))])
def test_outputs_come_as_a_function_would_return_them(outputs: Any, value: Any) -> None:
    assert executed(QUERY, Resource(ActionPhase.SUCCEEDED, outputs=outputs), sql="x")[0] == value


@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        (JobPhase.FAILED, RuntimeUserError),
        (JobPhase.RETRYABLE_FAILED, RuntimeSystemError),
        (JobPhase.ABORTED, ActionAbortedError),
        (ActionPhase.TIMED_OUT, RuntimeUserError),
    ],
)
def test_a_job_that_did_not_succeed_is_an_error(phase: Any, kind: type[RuntimeError]) -> None:
    with pytest.raises(RuntimeError, match=r"the job of e\.query ended as .*: no such table") as caught:
        executed(QUERY, Resource(phase, "no such table"), sql="x")
    assert type(caught.value) is kind


def test_what_ends_the_watching_ends_the_job() -> None:
    connector = Told(ConnectionError("no answer"))
    ConnectorRegistry.register(connector)
    with entered(CONTEXT), pytest.raises(ConnectionError):
        asyncio.run(QUERY.execute(sql="x"))
    assert connector.asked[-1] == ("delete", "1", {})


def test_secrets_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUERY_KEY", "s3cret")
    task = Query(name="e.query", interface=QUERY.interface, secret_names={"api_key": "QUERY_KEY"})
    _, connector = executed(task, Resource("done"), sql="x")
    assert connector.asked[0][3]["api_key"] == "s3cret"
    monkeypatch.delenv("QUERY_KEY")
    with pytest.raises(ValueError, match="'QUERY_KEY', which holds a secret, is not set"):
        executed(task, Resource("done"), sql="x")


def test_it_takes_a_connector_and_a_run() -> None:
    with entered(CONTEXT), pytest.raises(FlyteConnectorNotFound):
        asyncio.run(QUERY.execute(sql="x"))
    ConnectorRegistry.register(Connector())
    with pytest.raises(NotInTaskContextError):
        asyncio.run(QUERY.execute(sql="x"))
