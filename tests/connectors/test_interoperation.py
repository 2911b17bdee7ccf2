"""Interoperation with the Flyte SDK: its types and stubs with our server, and our client with its server."""

from __future__ import annotations

import enum
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb import session
from flyte_nb.connectors import AsyncConnectorExecutorMixin, Endpoints
from flyte_nb.engine.records import Phase
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import RuntimeUserError
from flyte_nb.io import DataFrame, Dir, File
from flyte_nb.models import NativeInterface
from pydantic import BaseModel

from connector_servers import Served, echo, served, served_by_sdk
from scripts import soon, written
from sdk_process import SDK, has_sdk

REASON = "no Flyte SDK with its extra 'connector'; FLYTE_PYTHON names a Python that has it"
pytestmark = pytest.mark.skipif(not has_sdk("grpc_health"), reason=REASON)

#: what the Flyte SDK sends to a connector server, for values of all kinds, and what it reads from it
CLIENT = """
import asyncio, enum, inspect, sys, typing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import grpc
from flyteidl2.connector import connector_pb2 as pb
from flyteidl2.connector.service_pb2_grpc import AsyncConnectorServiceStub, ConnectorMetadataServiceStub
from pydantic import BaseModel

import flyte
from flyte._internal.runtime.convert import Outputs, convert_from_native_to_inputs, convert_outputs_to_native
from flyte._internal.runtime.task_serde import get_proto_task
from flyte.connectors import AsyncConnectorExecutorMixin
from flyte.extend import TaskTemplate
from flyte.io import Dir, File
from flyte.models import NativeInterface, SerializationContext


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Step:
    at: str
    colour: str = "b"


@dataclass
class Plan:
    name: str
    first: typing.Optional[Step] = None
    steps: typing.List[Step] = field(default_factory=list)


class Model(BaseModel):
    count: int
    took: timedelta


INPUTS = {
    "how": (str, "done"), "number": (int, 7), "ratio": (float, 0.5), "flag": (bool, True),
    "nothing": (type(None), None), "at": (datetime, datetime(2020, 1, 2, 3, 4, 5, 6000, tzinfo=timezone.utc)),
    "took": (timedelta, timedelta(seconds=1.5)),
    "colour": (Colour, Colour.BLUE), "maybe": (typing.Optional[int], None), "either": (typing.Union[int, str], "x"),
    "items": (list[int], [1, 2]), "table": (dict[str, float], {"a": 0.5}), "loose": (dict, {"a": [1]}),
    "plan": (Plan, Plan("p", Step("now"), [Step("then")])), "model": (Model, Model(count=2, took=timedelta(minutes=1))),
    "file": (File, File(path="s3://a/b.csv", format="csv", hash="h")), "folder": (Dir, Dir(path="s3://a/d")),
}
OUTPUTS = {
    "number": int, "ratio": float, "text": str, "flag": bool, "nothing": type(None), "items": list[int],
    "at": datetime, "took": timedelta, "table": dict,
}


def task(inputs, outputs):
    interface = NativeInterface.from_types({n: (k, inspect.Parameter.empty) for n, (k, _) in inputs.items()}, outputs)

    class Echo(AsyncConnectorExecutorMixin, TaskTemplate):
        def __init__(self):
            super().__init__(name="e.echo", task_type="echo", image=None, interface=interface)

    made = Echo()
    flyte.TaskEnvironment.from_task("e", made)
    return made


async def job(stub, inputs, outputs):
    made = task(inputs, outputs)
    template = get_proto_task(made, SerializationContext(project="p", domain="d", org="o", version="v"))
    sent = await convert_from_native_to_inputs(made.interface, **{name: value for name, (_, value) in inputs.items()})
    request = pb.CreateTaskRequest(template=template, inputs=sent.proto_inputs, output_prefix="/tmp")
    meta = (await stub.CreateTask(request)).resource_meta
    category = pb.TaskCategory(name="echo")
    told = (await stub.GetTask(pb.GetTaskRequest(resource_meta=meta, task_category=category))).resource
    values = await convert_outputs_to_native(made.interface, Outputs(proto_outputs=told.outputs))
    await stub.DeleteTask(pb.DeleteTaskRequest(resource_meta=meta, task_category=category))
    return told, values


async def main(address):
    async with grpc.aio.insecure_channel(address) as channel:
        stub = AsyncConnectorServiceStub(channel)
        told, seen = await job(stub, INPUTS, {"o0": str})
        print(told.phase, told.log_links[0].uri, seen, sep="\\n")
        told, values = await job(stub, {"how": (str, "values")}, OUTPUTS)
        print(values)
        listed = await ConnectorMetadataServiceStub(channel).ListConnectors(pb.ListConnectorsRequest())
        print(listed.connectors[0].name, listed.connectors[0].supported_task_categories[0].name)
        try:
            await job(stub, {"how": (str, "done"), "anything": (typing.Any, {1})}, {"o0": str})
        except grpc.aio.AioRpcError as error:
            print(error.code().name, error.details())


asyncio.run(main(sys.argv[1]))
"""
SEEN = [
    "'how': 'done', 'number': 7, 'ratio': 0.5, 'flag': True, 'nothing': None",
    "'at': datetime.datetime(2020, 1, 2, 3, 4, 5, 6000, tzinfo=datetime.timezone.utc)",
    "'took': datetime.timedelta(seconds=1, microseconds=500000)",
    "'colour': <Choice.BLUE: 'BLUE'>, 'maybe': None, 'either': 'x', 'items': [1, 2], 'table': {'a': 0.5}",
    "'loose': {'a': [1]}",
    "'plan': Plan(name='p', ",
    "first=Step(at='now', colour='b')",
    "steps=[Step(at='then', colour='b')]",
    "took=datetime.timedelta(seconds=60)",
    "'file': File(path='s3://a/b.csv', name='b.csv', format='csv', hash='h')",
    "'folder': Dir(path='s3://a/d', name='d')",
]


def test_the_sdk_talks_to_our_server(tmp_path: Path) -> None:
    script = written(tmp_path / "client.py", CLIENT)
    with served(tmp_path, echo(tmp_path)) as running:
        done = subprocess.run([SDK, str(script), running.address], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    phase, link, seen, values, listed, *refused = done.stdout.splitlines()
    assert (phase, link, listed) == ("3", "http://jobs/1", "Echo echo")
    assert [part for part in SEEN if part not in seen] == [], seen
    assert "7, 0.5, 'a', True, None, [1, 2], datetime.datetime(2020, 1, 2, 3, 4, 5, 6000" in values
    assert "datetime.timedelta(seconds=1, microseconds=500000), {'a': 1}" in values
    assert refused[0].startswith("INVALID_ARGUMENT ")
    assert "'anything' of e.echo: given a pickle, which is not read" in "".join(refused)
    assert "delete values" in running.notes


# --- our client with the SDK's server ---


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Step:
    at: str
    colour: Colour = Colour.BLUE


@dataclass
class Plan:
    name: str
    first: Step | None = None
    steps: list[Step] = field(default_factory=list)


class Model(BaseModel):
    count: int
    plan: Plan


@dataclass(kw_only=True, repr=False)
class Echo(AsyncConnectorExecutorMixin, TaskTemplate):
    task_type: str = "echo"

    def custom_config(self, sctx: Any) -> dict[str, Any]:
        return {"cluster": "small", "nodes": 2}


INPUTS: dict[str, tuple[Any, Any]] = {
    "how": (str, "done"), "number": (int, 7), "ratio": (float, 2), "flag": (bool, True), "nothing": (type(None), None),
    "at": (datetime, datetime(2020, 1, 2, 3, 4, 5, 6000, tzinfo=timezone.utc)),
    "took": (timedelta, timedelta(seconds=1.5)), "colour": (Colour, Colour.BLUE), "maybe": (int | None, None),
    "either": (int | str, "x"), "items": (list[int], [1, 2]), "table": (dict[str, float], {"a": 0.5}),
    "loose": (dict, {"a": [1]}), "plan": (Plan, Plan("p", Step("now"), [Step("then")])),
    "model": (Model, Model(count=2, plan=Plan("q"))), "perhaps": (Plan | None, Plan("r")),
    "file": (File, File("s3://a/b.csv", format="csv", hash="h")), "folder": (Dir, Dir("s3://a/d")),
    "frame": (DataFrame, DataFrame("s3://a/t", "parquet")), "untold": (Any, [1, "a"]),
}  # fmt: skip


#: the SDK's server reads files and tables only once something has loaded what converts them
ALL_TYPES = "from flyte.io import DataFrame\nfrom flyte.types import TypeEngine\nTypeEngine.get_transformer(DataFrame)"


@pytest.fixture(scope="module")
def sdk_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The SDK's server, and a session of these tests alone that knows it."""
    folder = tmp_path_factory.mktemp("sdk")
    written(folder / "all_types.py", ALL_TYPES)
    with served_by_sdk(folder, "all_types", echo(folder, "flyte")) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_HOME", str(folder / "home"))
        patch.setattr(session, "_session", None)
        patch.setattr(Endpoints, "_known", {})
        Endpoints.add("sdk", running.address)
        yield running
        session.current_session().close()


def test_our_client_talks_to_the_sdks_server(sdk_server: Served) -> None:
    interface = NativeInterface.from_types({name: kind for name, (kind, _) in INPUTS.items()}, {"o0": str})
    run = flyte.run(Echo(name="e.all", interface=interface), **{name: value for name, (_, value) in INPUTS.items()})
    seen = run.outputs().o0
    shown = [
        "'number': 7", "'ratio': 2.0", "'flag': True", "'nothing': None", "datetime.datetime(2020, 1, 2, 3, 4, 5, 6000",
        "datetime.timedelta(seconds=1, microseconds=500000)", "BLUE", "'maybe': None", "'either': 'x'",
        "'items': [1, 2]", "'table': {'a': 0.5}", "'loose': {'a': [1]}", "Plan(name='p'", "first=Step(at='now'",
        "steps=[Step(at='then'", "count=2", "'perhaps': Plan(name='r'", "s3://a/b.csv", "s3://a/d", "s3://a/t",
        "'untold': [1, 'a']",
    ]  # fmt: skip
    assert [part for part in shown if part not in seen] == [], seen
    assert run.root.notice == "console: http://jobs/1"


def test_what_the_sdks_server_gives(sdk_server: Served) -> None:
    kinds = {
        "number": int, "ratio": float, "text": str, "flag": bool, "nothing": type(None), "items": list[int],
        "at": datetime, "took": timedelta, "table": dict[str, int],
    }  # fmt: skip
    task = Echo(name="e.values", interface=NativeInterface.from_types({"how": str}, kinds))
    outputs = flyte.run(task, how="values").outputs()
    assert outputs[:6] == (7, 0.5, "a", True, None, [1, 2])
    assert (outputs.at.year, outputs.took, outputs.table) == (2020, timedelta(seconds=1.5), {"a": 1})


SIMPLE = NativeInterface.from_types({"how": str}, {"o0": str})


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("create raises", r"failed to create echo task with error:\s+no such job"),
        ("get raises", r"failed to get echo task with error:\s+nobody knows the job"),
        ("fails", "ended as failed: no such table"),
    ],
)
def test_what_fails_at_the_sdks_server(sdk_server: Served, how: str, told: str) -> None:
    with pytest.raises(RuntimeUserError, match=told):
        flyte.run(Echo(name="e.fails", interface=SIMPLE), how=how)


def test_an_unknown_type_at_the_sdks_server(sdk_server: Served) -> None:
    task = Echo(name="e.ecko", interface=SIMPLE, task_type="ecko")
    with pytest.raises(RuntimeUserError, match=r"no connector at .* named 'ecko \(version 0\)'; did you mean 'echo"):
        flyte.with_runcontext(env_vars={"FLYTE_CONNECTOR_ENDPOINT": sdk_server.address}).run(task, how="done")


def test_a_cancelled_run_ends_its_job_at_the_sdks_server(sdk_server: Served) -> None:
    run = flyte.with_runcontext(wait=False).run(Echo(name="e.runs", interface=SIMPLE), how="runs")
    assert soon(lambda: "console" in run.root.notice, 10)
    run.cancel()
    assert (run.phase, sdk_server.notes[-1]) == (Phase.ABORTED, "delete runs")
