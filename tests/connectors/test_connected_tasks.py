"""Tasks that run through a connector: in this process, and through a server, with what goes wrong there."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb import session
from flyte_nb.connectors import (
    AsyncConnector,
    AsyncConnectorExecutorMixin,
    ConnectorClient,
    ConnectorRegistry,
    Endpoints,
    FlyteConnectorNotFound,
    Resource,
    ResourceMeta,
)
from flyte_nb.connectors import client as clients
from flyte_nb.connectors.endpoints import VARIABLE
from flyte_nb.engine.records import Phase, Run
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import RuntimeSystemError, RuntimeUserError
from flyte_nb.models import NativeInterface
from flyteidl2.core import tasks_pb2

from connector_servers import Served, echo, free_port, served
from scripts import soon


@dataclass(kw_only=True, repr=False)
class Echo(AsyncConnectorExecutorMixin, TaskTemplate):
    task_type: str = "echo"
    given_secrets: dict[str, str] = field(default_factory=dict)

    def custom_config(self, sctx: Any) -> dict[str, Any]:
        return {"secrets": self.given_secrets} if self.given_secrets else {}


TASK = Echo(name="e.echo", interface=NativeInterface.from_types({"how": str, "count": (int, 1)}, {"o0": str}))


@dataclass
class Job(ResourceMeta):
    how: str


class Here(AsyncConnector[Job]):
    """A connector of this process that keeps what it was asked."""

    name = "Here"
    task_type_name = "echo"
    metadata_type = Job

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def create(self, task_template: Any, output_prefix: str, inputs: Any = None, *args: Any, **kw: Any) -> Job:
        self.asked.append(("create", task_template.id.name, inputs, kw))
        self.thread = threading.current_thread().name
        return Job(inputs["how"])

    async def get(self, resource_meta: Job, **kwargs: Any) -> Resource:
        if resource_meta.how == "blocks":
            time.sleep(0.3)
        if resource_meta.how == "raises":
            raise OSError("nobody knows the job")
        phase = "running" if resource_meta.how == "runs" else "done"
        return Resource(phase, log_links=[("console", "http://jobs/1")], outputs={"o0": f"here: {resource_meta.how}"})

    async def delete(self, resource_meta: Job, **kwargs: Any) -> None:
        self.asked.append(("delete", resource_meta.how))


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A session of these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(session, "_session", None)
        yield
        session.current_session().close()


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConnectorRegistry, "_known", {})
    monkeypatch.setattr(Endpoints, "_known", {})
    monkeypatch.setattr(Endpoints, "_types", {})
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with served(folder, echo(folder)) as running:
        yield running


@pytest.fixture
def endpoint(server: Served) -> Served:
    Endpoints.add("echoes", server.address)
    return server


@pytest.fixture
def here() -> Here:
    connector = Here()
    ConnectorRegistry.register(connector)
    return connector


def interrupted(run: Run) -> None:
    """Cancel a run once its job is known to run."""
    assert soon(lambda: "console" in run.root.notice, 10)
    run.cancel()
    assert run.phase is Phase.ABORTED


# --- in this process ---


def test_a_task_runs_through_the_connector_of_this_process(here: Here) -> None:
    run = flyte.run(TASK, how="done")
    assert run.outputs().o0 == "here: done"
    assert here.asked == [("create", "e.echo", {"count": 1, "how": "done"}, {})]
    assert here.thread != threading.current_thread().name
    assert run.root.notice == "console: http://jobs/1"


def test_its_template_is_the_protocols(here: Here) -> None:
    seen: list[Any] = []

    async def create(task_template: Any, *args: Any, **kwargs: Any) -> Job:
        seen.append(task_template)
        return Job("done")

    here.create = create  # type: ignore[method-assign, assignment]
    environment = flyte.TaskEnvironment.from_task("declared", TASK.override(env_vars={"A": "b"}))
    flyte.run(next(iter(environment.tasks.values())), how="done")
    template = seen[0]
    assert isinstance(template, tasks_pb2.TaskTemplate)
    assert (template.type, [entry.key for entry in template.interface.inputs.variables]) == ("echo", ["how", "count"])
    assert [(pair.key, pair.value) for pair in template.container.env] == [("A", "b")]


def test_inline_it_runs_in_the_callers_thread(here: Here) -> None:
    assert flyte.with_runcontext(engine="inline").run(TASK, how="done").outputs().o0 == "here: done"


def test_a_connector_that_blocks_holds_up_nobody(here: Here) -> None:
    blocked = flyte.with_runcontext(wait=False).run(TASK, how="blocks")
    began = time.monotonic()
    assert blocked.phase in (Phase.QUEUED, Phase.RUNNING)
    assert time.monotonic() - began < 0.2
    assert blocked.outputs().o0 == "here: blocks"


def test_an_error_of_a_connector_is_told_with_its_line(here: Here) -> None:
    with pytest.raises(RuntimeUserError, match="nobody knows the job") as caught:
        flyte.run(TASK, how="raises")
    assert (caught.value.code, type(caught.value.__cause__)) == ("OSError", OSError)
    assert f"{__file__}, line" in caught.value.remote_traceback
    assert here.asked[-1] == ("delete", "raises")


def test_a_cancelled_run_ends_its_job(here: Here) -> None:
    interrupted(flyte.with_runcontext(wait=False).run(TASK, how="runs"))
    assert here.asked[-1] == ("delete", "runs")


def test_a_timeout_ends_its_job(here: Here) -> None:
    with pytest.raises(flyte.errors.MaxRuntimeExceededError, match="ran longer than 1 s"):
        flyte.run(TASK.override(timeout=1), how="runs")
    assert here.asked[-1] == ("delete", "runs")


def test_secrets_come_from_where_secrets_come_from(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_KEY", "hush-hush")
    task = Echo(name="e.secret", interface=TASK.interface, secrets="echo-key", given_secrets={"api_key": "ECHO_KEY"})
    flyte.run(task, how="done")
    assert here.asked[0][3] == {"api_key": "hush-hush"}
    monkeypatch.delenv("ECHO_KEY")
    with pytest.raises(flyte.errors.MissingSecretError, match="echo-key"):
        flyte.run(task, how="done")


def test_no_connector_is_known() -> None:
    with pytest.raises(RuntimeUserError, match=r"no connector named 'echo \(version 0\)'"):
        flyte.run(TASK, how="done")


# --- through a server ---


def test_a_task_runs_through_a_server(endpoint: Served, here: Here) -> None:
    run = flyte.run(TASK, how="done", count=3)
    assert run.outputs().o0 == "{'how': 'done', 'count': 3}"
    assert here.asked == []
    assert run.root.notice == "console: http://jobs/1"


def test_a_type_that_no_server_has_runs_here(endpoint: Served, here: Here) -> None:
    ConnectorRegistry._known[("other", 0)] = here
    task = Echo(name="e.other", interface=TASK.interface, task_type="other")
    assert flyte.run(task, how="done").outputs().o0 == "here: done"


def test_a_server_that_is_removed_is_not_asked(endpoint: Served, here: Here) -> None:
    Endpoints.remove("echoes")
    assert flyte.run(TASK, how="done").outputs().o0 == "here: done"


def test_a_variable_names_the_server(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, server.address)
    assert "'how': 'done'" in flyte.run(TASK, how="done").outputs().o0
    monkeypatch.delenv(VARIABLE)
    run = flyte.with_runcontext(env_vars={VARIABLE: server.address}).run(TASK, how="done")
    assert "'how': 'done'" in run.outputs().o0
    for wrong in ("nonsense", "http://", "host:port"):
        with pytest.raises(RuntimeUserError, match=f"{VARIABLE}: given {wrong!r}; accepted: the host and the port"):
            flyte.with_runcontext(env_vars={VARIABLE: wrong}).run(TASK, how="done")


def test_outputs_have_the_declared_types(endpoint: Served) -> None:
    names = {"number": int, "ratio": float, "text": str, "flag": bool, "nothing": str | None, "items": list[int]}
    times = {"at": datetime, "took": timedelta}
    interface = NativeInterface.from_types({"how": str}, {**names, **times, "table": dict})
    outputs = flyte.run(Echo(name="e.values", interface=interface), how="values").outputs()
    assert outputs[:6] == (7, 0.5, "a", True, None, [1, 2])
    assert (outputs.at.year, outputs.took.total_seconds(), outputs.table) == (2020, 1.5, {"a": 1})


def test_a_task_calls_one(endpoint: Served, tmp_path: Path) -> None:
    """The child action runs in this process, whatever process its parent is in."""
    assert "'how': 'done'" in flyte.run(parent, how="done").outputs().o0


env = flyte.TaskEnvironment("parents")


@env.task
async def parent(how: str) -> str:
    return await TASK(how=how)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("create raises", r"failed to create echo task with error:\s+ValueError: no such job"),
        ("get raises", r"failed to get echo task with error:\s+OSError: nobody knows the job"),
        ("wrong phase", "given 'finishd'; accepted"),
        ("fails", "the job of e.echo ended as failed: no such table"),
    ],
)
def test_what_fails_there_fails_the_run(endpoint: Served, how: str, told: str) -> None:
    with pytest.raises(RuntimeUserError, match=told) as caught:
        flyte.run(TASK, how=how)
    assert caught.value.code in ("ConnectorFailed", "ConnectorJobFailed")
    assert how == "create raises" or endpoint.notes[-1] == f"delete {how}" or how == "fails"


def test_an_input_that_cannot_travel(endpoint: Served) -> None:
    task = Echo(name="e.bytes", interface=NativeInterface.from_types({"how": bytes}, {"o0": str}))
    with pytest.raises(flyte.errors.RuntimeDataValidationError, match=r"'how' of e\.bytes: given the type bytes"):
        flyte.run(task, how=b"a")


def test_a_cancelled_run_ends_its_job_there(endpoint: Served) -> None:
    interrupted(flyte.with_runcontext(wait=False).run(TASK, how="runs"))
    assert endpoint.notes[-1] == "delete runs"


def test_a_cancelled_run_that_hangs_in_create_ends(endpoint: Served) -> None:
    run = flyte.with_runcontext(wait=False).run(TASK, how="create hangs")
    assert soon(lambda: endpoint.notes[-1].startswith("create e.echo create hangs"))
    run.cancel()
    assert run.phase is Phase.ABORTED


def test_nobody_at_the_address() -> None:
    Endpoints.add("gone", f"127.0.0.1:{free_port()}")
    began = time.monotonic()
    with pytest.raises(RuntimeSystemError, match=r"no connector server answers at 127\.0\.0\.1:.*is that its port\?"):
        flyte.with_runcontext(env_vars={VARIABLE: Endpoints._known["gone"].address}).run(TASK, how="done")
    assert time.monotonic() - began < 10


def test_an_address_that_speaks_something_else(server: Served) -> None:
    address = server.metrics.removeprefix("http://").removesuffix("/metrics")
    with pytest.raises(RuntimeSystemError, match="connector server"):
        flyte.with_runcontext(env_vars={VARIABLE: address}).run(TASK, how="done")


def test_a_server_without_the_task_type(server: Served) -> None:
    task = Echo(name="e.ecko", interface=TASK.interface, task_type="ecko")
    told = rf"no connector at {server.address} named 'ecko \(version 0\)'; did you mean 'echo \(version 0\)'"
    with pytest.raises(RuntimeUserError, match=told) as caught:
        flyte.with_runcontext(env_vars={VARIABLE: server.address}).run(task, how="done")
    assert isinstance(caught.value.__cause__, FlyteConnectorNotFound)


def test_a_server_killed_while_a_job_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PATIENCE", 1.0)
    with served(tmp_path, echo(tmp_path)) as running:
        Endpoints.add("killed", running.address)
        run = flyte.with_runcontext(wait=False).run(TASK, how="runs")
        assert soon(lambda: "console" in run.root.notice, 10)
        os.kill(running.process.pid, signal.SIGKILL)
        with pytest.raises(RuntimeSystemError, match=r"no connector server answers at .* \([1-9]\.\d s: "):
            run.outputs()
        assert run.phase is Phase.FAILED


def test_a_server_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    port = free_port()
    with served(tmp_path, echo(tmp_path), port=port) as running:
        Endpoints.add("comes back", running.address)
        run = flyte.with_runcontext(wait=False).run(TASK, how="runs")
        assert soon(lambda: "console" in run.root.notice, 10)
        running.process.kill()
        running.process.wait()
    with served(tmp_path, "echoes", port=port) as again:
        time.sleep(0.5)
        assert run.phase is Phase.RUNNING
        run.cancel()
        assert again.notes[-1] == "delete runs"


def test_a_server_that_asks_for_a_token(tmp_path: Path) -> None:
    with served(tmp_path, echo(tmp_path), FLYTE_CONNECTOR_TOKEN="open-sesame") as running:
        Endpoints.add("guarded", running.address, "open-sesame")
        assert "'how': 'done'" in flyte.run(TASK, how="done").outputs().o0
        assert "open-sesame" not in repr(Endpoints._known)
        told = {VARIABLE: running.address, "FLYTE_CONNECTOR_TOKEN": "open-sesame"}
        assert "'how': 'done'" in flyte.with_runcontext(env_vars=told).run(TASK, how="done").outputs().o0
        for token in ("", "wrong", "ünknown"):
            with pytest.raises(RuntimeUserError, match="asks for a token") as caught:
                flyte.with_runcontext(env_vars={**told, "FLYTE_CONNECTOR_TOKEN": token}).run(TASK, how="done")
            assert caught.value.code == "ConnectorRefused"


# --- the client ---


def asked(address: str, work: Any, **settings: Any) -> Any:
    async def ask() -> Any:
        async with ConnectorClient(address, **settings) as client:
            return await work(client)

    return asyncio.run(ask())


def test_the_client_tells_what_a_server_has(server: Served) -> None:
    assert asked(server.address, lambda client: client.connectors()) == {"Echo": [("echo", 0)]}


def test_the_client_knows_no_logs_where_there_are_none(server: Served) -> None:
    async def read(client: ConnectorClient) -> list[str]:
        return [line async for line in client.logs(("echo", 0), b'{"how": "done"}')]

    with pytest.raises(NotImplementedError, match="Echo gives no logs"):
        asked(server.address, read)
    with pytest.raises(NotImplementedError, match="Echo gives no metrics"):
        asked(server.address, lambda client: client.metrics(("echo", 0), b'{"how": "done"}'))


def test_a_connector_that_hangs_has_a_deadline(server: Served) -> None:
    from flyte_nb.connectors.literal_types import type_of_kind
    from flyte_nb.connectors.literals import to_literals

    template = tasks_pb2.TaskTemplate(type="echo")
    template.interface.inputs.variables.add(key="how").value.type.CopyFrom(type_of_kind(str))
    inputs = to_literals({"how": "create hangs"}, {}, "test")
    with pytest.raises(RuntimeSystemError, match=r"did not create the job within 0\.3 s"):
        asked(server.address, lambda client: client.create(template, inputs, "", {}), deadline=0.3)


def test_wrong_addresses() -> None:
    for wrong in ("", "host", 8000):
        with suppress(KeyError), pytest.raises(ValueError, match="accepted: the host and the port"):
            Endpoints.add("wrong", wrong)  # type: ignore[arg-type]
    assert Endpoints._known == {}
