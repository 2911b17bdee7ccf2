"""The connector server as a process: what it answers over gRPC, how it starts, and how it ends."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from flyte_nb.connectors.literal_types import type_of_kind
from flyte_nb.connectors.literals import from_literals, to_literal, to_literals
from flyteidl2.connector import connector_pb2 as pb
from flyteidl2.connector.service_pb2_grpc import AsyncConnectorServiceStub, ConnectorMetadataServiceStub
from flyteidl2.core import interface_pb2, literals_pb2, security_pb2, tasks_pb2
from flyteidl2.task import common_pb2
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2, health_pb2_grpc

from connector_servers import Served, echo, served
from scripts import ran, soon, written

ECHO = pb.TaskCategory(name="echo")
OTHERS = """
from flyte_nb.connectors import AsyncConnector, ConnectorRegistry, Resource, ResourceMeta


class Teller(AsyncConnector):
    name = "Teller"
    task_type_name = "teller"
    task_type_version = 2
    metadata_type = ResourceMeta

    async def create(self, task_template, output_prefix, **kwargs):
        return ResourceMeta()

    async def get(self, resource_meta, **kwargs):
        return "done"

    async def delete(self, resource_meta, **kwargs):
        pass

    async def get_logs(self, resource_meta, token="", **kwargs):
        yield "first\\nsecond"
        yield [f"token {token}"]

    async def get_metrics(self, resource_meta, **kwargs):
        return {"cpu": 0.5, "memory": {"peak": 3}}


ConnectorRegistry.register(Teller())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("server")
    package = folder / "others"
    package.mkdir()
    written(package / "__init__.py", "")
    written(package / "teller.py", OTHERS)
    with served(folder, echo(folder), "others.teller") as running:
        yield running


@pytest.fixture
def channel(server: Served) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> AsyncConnectorServiceStub:
    return AsyncConnectorServiceStub(channel)


def request(task_type: str = "echo", secret: str = "", **inputs: object) -> pb.CreateTaskRequest:
    variables = [
        interface_pb2.VariableEntry(key=name, value=interface_pb2.Variable(type=type_of_kind(type(value))))
        for name, value in inputs.items()
    ]
    template = tasks_pb2.TaskTemplate(type=task_type)
    template.id.name = "e.job"
    template.interface.inputs.variables.extend(variables)
    made = pb.CreateTaskRequest(template=template, inputs=common_pb2.Inputs(literals=to_literals(inputs, {}, "test")))
    if secret:
        made.connection.CopyFrom(security_pb2.Connection(secrets={"key": secret}))
    return made


def created(stub: AsyncConnectorServiceStub, **inputs: object) -> bytes:
    return bytes(stub.CreateTask(request(**inputs), timeout=10).resource_meta)


def got(stub: AsyncConnectorServiceStub, job: bytes) -> pb.Resource:
    return stub.GetTask(pb.GetTaskRequest(resource_meta=job, task_category=ECHO), timeout=10).resource


# --- jobs ---


def test_a_job_is_created_and_told(stub: AsyncConnectorServiceStub) -> None:
    job = created(stub, how="done", count=3)
    told = got(stub, job)
    assert (told.phase, [(link.name, link.uri) for link in told.log_links]) == (3, [("console", "http://jobs/1")])
    assert from_literals(told.outputs.literals, {}, "test") == {"o0": "{'how': 'done', 'count': 3}"}


def test_all_kinds_of_outputs(stub: AsyncConnectorServiceStub) -> None:
    told = got(stub, created(stub, how="values"))
    outputs = from_literals(told.outputs.literals, {}, "test")
    assert (outputs["items"], outputs["table"], outputs["nothing"], outputs["ratio"]) == ([1, 2], {"a": 1}, None, 0.5)
    assert (outputs["at"].year, outputs["took"].total_seconds()) == (2020, 1.5)
    assert MessageToDict(told.custom_info) == {"cost": 1.5, "parts": ["a"]}


def test_a_running_and_a_failed_job(stub: AsyncConnectorServiceStub) -> None:
    running, failed = got(stub, created(stub, how="runs")), got(stub, created(stub, how="fails"))
    assert (running.phase, running.message) == (2, "half way")
    assert (failed.phase, failed.message) == (5, "no such table")


def test_a_job_is_deleted(stub: AsyncConnectorServiceStub, server: Served) -> None:
    stub.DeleteTask(pb.DeleteTaskRequest(resource_meta=created(stub, how="to end"), task_category=ECHO), timeout=10)
    assert server.notes[-1] == "delete to end"


def test_secrets_come_as_keywords(stub: AsyncConnectorServiceStub, server: Served) -> None:
    stub.CreateTask(request(secret="hush-hush", how="done"), timeout=10)
    assert server.notes[-1] == "create e.job done ['key']"


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ("create raises", grpc.StatusCode.INTERNAL, "failed to create echo task with error:\n ValueError: no such job"),
        ("get raises", grpc.StatusCode.INTERNAL, "failed to get echo task with error:\n OSError: nobody knows the job"),
        ("wrong phase", grpc.StatusCode.INTERNAL, "given 'finishd'; accepted: failed, timeout"),
        ("delete raises", grpc.StatusCode.INTERNAL, "failed to delete echo task with error:\n RuntimeError: it cannot"),
    ],
)
def test_a_connector_that_raises(
    stub: AsyncConnectorServiceStub, server: Served, how: str, code: grpc.StatusCode, told: str
) -> None:
    def tried() -> None:
        job = created(stub, how=how)
        if how == "delete raises":
            stub.DeleteTask(pb.DeleteTaskRequest(resource_meta=job, task_category=ECHO), timeout=10)
        got(stub, job)

    with pytest.raises(grpc.RpcError) as caught:
        tried()
    assert caught.value.code() is code
    assert told in caught.value.details()
    errors = (server.folder / "stderr.txt").read_text()
    assert told in errors
    if how != "wrong phase":
        assert "echoes.py, line" in errors


def test_a_secret_stays_out_of_what_is_told(stub: AsyncConnectorServiceStub, server: Served) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.CreateTask(request(secret="hush-hush", how="create raises"), timeout=10)
    assert "no ••• job" in caught.value.details()
    assert "hush-hush" not in (server.folder / "stderr.txt").read_text()


def test_an_unknown_task_type(stub: AsyncConnectorServiceStub) -> None:
    for call, message in [
        (stub.CreateTask, request("ecko")),
        (stub.GetTask, pb.GetTaskRequest(task_category=pb.TaskCategory(name="ecko"))),
        (stub.DeleteTask, pb.DeleteTaskRequest(task_category=pb.TaskCategory(name="echo", version=1))),
    ]:
        with pytest.raises(grpc.RpcError) as caught:
            call(message, timeout=10)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert caught.value.details().startswith("Cannot find connector for task type: ec")
        assert "did you mean 'echo (version 0)'" in caught.value.details()


@pytest.mark.parametrize(
    ("literal", "told"),
    [
        (literals_pb2.Literal(), "given a literal that is empty"),
        (to_literal(1), "given 1; accepted: str"),
        (literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=literals_pb2.Binary(value=b"\x80\x04N."))), "a pickle"),
    ],
)
def test_an_input_that_cannot_be_read(
    stub: AsyncConnectorServiceStub, literal: literals_pb2.Literal, told: str
) -> None:
    message = request(how="done")
    message.inputs.literals[0].value.CopyFrom(literal)
    with pytest.raises(grpc.RpcError) as caught:
        stub.CreateTask(message, timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "'how' of e.job: " in caught.value.details()
    assert told in caught.value.details()


def test_a_job_that_is_none(stub: AsyncConnectorServiceStub) -> None:
    for job in (b"", b"\xff", b'{"other": 1}'):
        with pytest.raises(grpc.RpcError) as caught:
            got(stub, job)
        assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_a_connector_that_returns_no_resource(stub: AsyncConnectorServiceStub) -> None:
    with pytest.raises(grpc.RpcError, match=r"Teller\.get returned 'done'; accepted: a Resource"):
        stub.GetTask(pb.GetTaskRequest(resource_meta=b"{}", task_category=pb.TaskCategory(name="teller", version=2)))


def test_one_that_hangs_ends_with_its_deadline_and_holds_up_nobody(stub: AsyncConnectorServiceStub) -> None:
    hanging = stub.CreateTask.future(request(how="create hangs"), timeout=0.5)
    assert got(stub, created(stub, how="done")).phase == 3
    with pytest.raises(grpc.RpcError) as caught:
        hanging.result()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


# --- logs, metrics, what there is ---


def test_logs_and_metrics(stub: AsyncConnectorServiceStub) -> None:
    teller = pb.TaskCategory(name="teller", version=2)
    asked = pb.GetTaskLogsRequest(resource_meta=b"{}", task_category=teller, token="t")
    parts = list(stub.GetTaskLogs(asked, timeout=10))
    assert [[line.message for line in part.body.lines] for part in parts] == [["first", "second"], ["token t"]]
    told = stub.GetTaskMetrics(pb.GetTaskMetricsRequest(resource_meta=b"{}", task_category=teller), timeout=10)
    assert {r.metric: MessageToDict(r.data) for r in told.results} == {"cpu": {"value": 0.5}, "memory": {"peak": 3.0}}


def test_a_connector_without_logs_and_metrics(stub: AsyncConnectorServiceStub) -> None:
    job = created(stub, how="done")
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.GetTaskLogs(pb.GetTaskLogsRequest(resource_meta=job, task_category=ECHO), timeout=10))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError, match="Echo gives no metrics"):
        stub.GetTaskMetrics(pb.GetTaskMetricsRequest(resource_meta=job, task_category=ECHO), timeout=10)


def test_the_connectors_are_listed(channel: grpc.Channel) -> None:
    stub = ConnectorMetadataServiceStub(channel)
    listed = stub.ListConnectors(pb.ListConnectorsRequest(), timeout=10).connectors
    assert {c.name: [(t.name, t.version) for t in c.supported_task_categories] for c in listed} == {
        "Echo": [("echo", 0)],
        "Teller": [("teller", 2)],
    }
    found = stub.GetConnector(pb.GetConnectorRequest(name="Teller"), timeout=10).connector
    assert found.supported_task_categories[0].name == "teller"
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetConnector(pb.GetConnectorRequest(name="Nobody"), timeout=10)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ("", "flyteidl2.connector.AsyncConnectorService", "flyteidl2.connector.ConnectorMetadataService"):
        told = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        assert told.status == health_pb2.HealthCheckResponse.SERVING


def test_metrics_for_prometheus(stub: AsyncConnectorServiceStub, server: Served) -> None:
    created(stub, how="done")
    with pytest.raises(grpc.RpcError):
        created(stub, how="create raises")
    with urllib.request.urlopen(server.metrics, timeout=10) as answer:
        text = answer.read().decode()
    assert 'flyte_connector_requests_success_total{operation="create",task_type="echo"}' in text
    assert 'flyte_connector_requests_failure_total{error_code="500",operation="create",task_type="echo"}' in text
    assert 'flyte_connector_request_latency_seconds_count{operation="create",task_type="echo"}' in text
    assert 'flyte_connector_input_literal_bytes_sum{task_type="echo"}' in text


# --- starting and ending ---


def refused(folder: Path, *words: str) -> tuple[int, str]:
    done = ran(["-m", "flyte_nb.connectors.server", "--port", "0", "--prometheus_port", "0", *words], folder)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1\nimport nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("def f():\n    raise OSError('no')\nf()", "OSError: no"),
    ],
)
def test_a_module_that_cannot_be_imported(tmp_path: Path, source: str, told: str) -> None:
    written(tmp_path / "broken.py", source)
    status, errors = refused(tmp_path, "--modules", echo(tmp_path), "broken")
    assert status == 1
    assert f"flyte-nb c0: the module 'broken' cannot be imported: {told}\n" in errors
    assert f"{tmp_path}/broken.py, line {3 if 'def' in source else 2}" in errors
    assert "importlib" not in errors


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--modules", "nowhere"], "the module 'nowhere' cannot be imported: ModuleNotFoundError"),
        (["--modules", "nowhere/at/all.py"], "FileNotFoundError: there is no file nowhere/at/all.py"),
        (["--port", "70000"], "argument --port: given '70000'; accepted: 1 to 65535, or 0"),
        (["--prot", "1"], "unknown option '--prot'; did you mean '--port'"),
    ],
)
def test_wrong_words(tmp_path: Path, words: list[str], told: str) -> None:
    status, errors = refused(tmp_path, *words)
    assert status in (1, 2)
    assert told in errors


@pytest.mark.parametrize("option", ["--port", "--prometheus_port"])
def test_a_port_that_is_taken(tmp_path: Path, option: str) -> None:
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        end.listen()
        port = end.getsockname()[1]
        status, errors = refused(tmp_path, option, str(port))
    assert status == 2
    assert f"flyte-nb c0: {option} {port}: taken by process " in errors


def test_two_servers_never_share_a_port(tmp_path: Path, server: Served) -> None:
    status, errors = refused(tmp_path, "--port", server.address.rpartition(":")[2])
    assert (status, f"taken by process {server.process.pid} (python" in errors) == (2, True), errors


def test_modules_are_given_in_any_way(tmp_path: Path) -> None:
    names = [echo(tmp_path, name=f"echo{number}") for number in range(4)]
    for number, name in enumerate(names):
        path = tmp_path / f"{name}.py"
        path.write_text(path.read_text().replace('"echo"', f'"echo-{number}"'))
    words = [names[0], names[1], "--modules", names[2], f"--modules={tmp_path / names[3]}.py"]
    with served(tmp_path, *words) as running, grpc.insecure_channel(running.address) as channel:
        listed = ConnectorMetadataServiceStub(channel).ListConnectors(pb.ListConnectorsRequest(), timeout=10).connectors
    assert [t.name for t in listed[0].supported_task_categories] == [f"echo-{number}" for number in range(4)]


def test_two_modules_with_one_task_type(tmp_path: Path) -> None:
    status, errors = refused(tmp_path, "--modules", echo(tmp_path, name="one"), echo(tmp_path, name="two"))
    assert status == 1
    assert "the module 'two' cannot be imported: UsageError: task type 'echo', version 0, has the connector" in errors


def test_no_connector_is_told(tmp_path: Path) -> None:
    with served(tmp_path):
        assert "no connector is registered" in (tmp_path / "stderr.txt").read_text()


def test_it_ends_when_it_is_told(tmp_path: Path) -> None:
    with served(tmp_path, echo(tmp_path)) as running, grpc.insecure_channel(running.address) as channel:
        stub = AsyncConnectorServiceStub(channel)
        created(stub, how="done")
        running.process.terminate()
        assert running.process.wait(5) == 0


def test_it_ends_by_itself_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    assert refused(tmp_path, "--timeout", "0.2")[0] == 0
    assert time.monotonic() - began < 20


def test_requests_have_a_while_to_end(tmp_path: Path) -> None:
    slowly = "import asyncio; await asyncio.sleep(1); return ResourceMeta()"
    written(tmp_path / "slow.py", OTHERS.replace("return ResourceMeta()", slowly))
    with served(tmp_path, "slow") as running, grpc.insecure_channel(running.address) as channel:
        template = tasks_pb2.TaskTemplate(type="teller", task_type_version=2)
        answer = AsyncConnectorServiceStub(channel).CreateTask.future(pb.CreateTaskRequest(template=template))
        assert not soon(answer.done, 0.3)
        running.process.terminate()
        assert answer.result(timeout=10).resource_meta == b"{}"
        assert running.process.wait(5) == 0


def test_without_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(grpc=None, flyteidl2=None)\n"
        "from flyte_nb.connectors.server import main; sys.exit(main([]))"
    )
    done = ran(["-c", code], tmp_path)
    assert done.returncode == 1
    assert "needs the extra 'connectors' (grpc, flyteidl2 missing): pip install \"flyte_nb[connectors]\"" in done.stderr


def test_the_port_is_this_machines_alone(server: Served) -> None:
    assert server.address.startswith("127.0.0.1:")
    assert server.metrics.startswith("http://127.0.0.1:")
