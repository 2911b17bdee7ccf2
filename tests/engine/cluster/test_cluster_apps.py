"""Apps at a cluster, from a real kernel against the stand-in of a control plane: served, changed, stopped, lost."""

from __future__ import annotations

import re
import shlex
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from kernels import Kernel, new_kernel

pytest.importorskip("flyte", reason="the Flyte SDK is not installed")
pytest.importorskip("uvicorn", reason="the stand-in of a control plane needs uvicorn")

from plane import Plane

DECLARED = """
import http.server

up = flyte.app.AppEnvironment("up", port=8081, command="python -m http.server 8081")
app = flyte.app.AppEnvironment(
    "hello",
    port=PORT,
    depends_on=[up],
    parameters=[flyte.app.Parameter("greeting", "hi"), flyte.app.Parameter("up", flyte.app.AppEndpoint(app_name="up"))],
    links=[flyte.app.Link("docs", "<b>Docs</b>", is_relative=True)],
    env_vars={"MODE": "careful"},
)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.server.greeting} from {__name__.partition('_')[0]}, {self.server.up}".encode())


@app.server
def serve(greeting: str, up: str):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    server.greeting, server.up = greeting, up
    server.serve_forever()
"""
CONNECTOR = """
from dataclasses import dataclass
from flyte_nb.connectors import AsyncConnector, ConnectorRegistry, Resource, ResourceMeta

@dataclass
class Job(ResourceMeta):
    id: str

class Batches(AsyncConnector[Job]):
    name = "Batch service"
    task_type_name = "batch"
    metadata_type = Job

    async def create(self, task_template, output_prefix, inputs=None, task_execution_metadata=None, **kwargs):
        return Job("NUMBER")

    async def get(self, resource_meta, **kwargs):
        return Resource("succeeded", outputs={})

    async def delete(self, resource_meta, **kwargs):
        pass

ConnectorRegistry.register(Batches())
connectors = flyte.app.ConnectorEnvironment("batches")
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


PORT = free_port()


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture(scope="module")
def kernel(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("apps")
    settings = plane.settings(folder / "home")
    with new_kernel(folder) as kernel:
        kernel.run(f"import os\nos.environ.update({settings!r})")
        kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        kernel.run(DECLARED.replace("PORT", str(PORT)))
        kernel.run('handle = flyte.serve(app, engine="cluster")')
        yield kernel


@pytest.fixture(autouse=True)
def _healed(plane: Plane) -> Iterator[None]:
    yield
    plane.heal()
    plane.apps.seconds, plane.apps.failing, plane.apps.serve = 0, set(), False


def container(plane: Plane, name: str) -> dict[str, Any]:
    """Give the container that the control plane was told of last."""
    calls = [*plane.of("AppService.Create"), *plane.of("AppService.Update")]
    told = [call.request["app"] for call in sorted(calls, key=lambda call: call.number)]
    found: dict[str, Any] = [app["spec"] for app in told if app["metadata"]["id"]["name"] == name][-1]["container"]
    return found


def test_the_handle_has_the_names_of_one_on_this_machine(kernel: Kernel, plane: Plane) -> None:
    url = f"{plane.endpoint}/apps/hello"
    assert kernel.value("isinstance(handle, flyte.AppHandle), handle.is_active(), handle.is_deactivated()") == (
        "(True, True, False)"
    )
    assert kernel.run("print(handle.name, handle.url, handle.endpoint)").printed == f"hello {url}/ {url}\n"
    assert kernel.value("handle.phase.value, handle.why, handle.revision") == "('active', '', 1)"
    assert kernel.value("handle.console").endswith("/domain/development/project/shop/apps/hello'")
    assert kernel.run("print(handle)").printed == f"<app hello: active at {url}, revision 1, on a cluster>\n"


def test_what_is_of_this_machine_says_so(kernel: Kernel) -> None:
    told = kernel.run("handle.token", fails=True).error
    assert "OnlyLocalError: token is of an app on this machine; the cluster has a sign-in of its own" in told
    assert kernel.value("[hasattr(handle, name) for name in ('token', 'link', 'replicas', 'metrics')]") == (
        "[False, False, False, False]"
    )
    assert "no attribute 'tokn'" in kernel.run("handle.tokn", fails=True).error


def test_the_card_is_that_of_any_app_and_escapes_what_people_wrote(kernel: Kernel, plane: Plane) -> None:
    cell = kernel.run("handle")
    assert re.search(rf"  address +{plane.endpoint}/apps/hello  \(behind the cluster's own sign-in\)", cell.shown)
    assert re.search(rf"  served by +shop/development at {plane.endpoint}, revision 1", cell.shown)
    assert "requests" not in cell.shown
    parts = kernel.run("from flyte_nb.widgets.app_parts import head\nprint(head(handle.record()))").printed
    for html in (cell.html, parts):
        assert "&lt;b&gt;Docs" in html or "/apps/hello/docs" in html
        assert "<b>Docs" not in html
        assert "served by" in html


def test_what_the_control_plane_is_told_serves_in_a_clean_process(kernel: Kernel, plane: Plane) -> None:
    plane.apps.serve = True
    kernel.run(f"""
alone = flyte.app.AppEnvironment(
    "alone", port={free_port()}, parameters=[flyte.app.Parameter("greeting", "hi"), flyte.app.Parameter("up", "there")]
)

@alone.server
def answer(greeting: str, up: str):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", alone.get_port().port), Handler)
    server.greeting, server.up = greeting, up
    server.serve_forever()

served = flyte.serve(alone, engine="cluster")
""")
    url = kernel.run("print(served.url)").printed.strip()
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read().decode() == "hi from notebook, there"
    kernel.run("served.deactivate(wait=True)")


def test_an_app_travels_with_what_it_needs_and_says_nothing_but_that_it_serves(kernel: Kernel, plane: Plane) -> None:
    assert [call.request["app"]["metadata"]["id"]["name"] for call in plane.of("AppService.Create")[:2]] == [
        "up",
        "hello",
    ]
    told = container(plane, "hello")
    words = told["command"]
    assert words[words.index("--resolver-args") + 1].endswith(":app")
    assert {"key": "MODE", "value": "careful"} in told["env"]
    assert told["ports"] == [{"container_port": PORT}]
    assert container(plane, "up")["command"] == ["python", "-m", "http.server", "8081"]


def test_a_change_is_a_new_revision_while_the_app_runs(kernel: Kernel, plane: Plane) -> None:
    plane.apps.seconds = 1.0
    kernel.run("""
how = flyte.with_servecontext(
    mode="remote", env_vars={"MODE": "fast"}, parameter_values={"hello": {"greeting": "good evening"}}, log_level=10
)
second = how.serve(app)
""")
    assert kernel.value("second.revision, handle.revision, handle.phase.value") == "(2, 2, 'active')"
    told = container(plane, "hello")
    assert {"key": "MODE", "value": "fast"} in told["env"]
    assert {"key": "LOG_LEVEL", "value": "10"} in told["env"]
    changed = [call for call in plane.of("AppService.Update") if call.main().startswith("hello")][-1]
    assert changed.request["app"]["spec"]["inputs"]["items"][0] == {"name": "greeting", "string_value": "good evening"}
    # what was given for once is in no declaration
    kernel.run('third = flyte.serve(app, engine="cluster")')
    assert {"key": "MODE", "value": "careful"} in container(plane, "hello")["env"]
    told = kernel.run("flyte.with_servecontext(mode='remote', parameter_values={'hello': {'greting': 'x'}}).serve(app)",
                      fails=True).error  # fmt: skip
    assert "no parameter of app 'hello' named 'greting'; did you mean 'greeting'?" in told


def test_the_words_of_a_program_stay_what_they_are(kernel: Kernel, plane: Plane) -> None:
    kernel.run("""
words = flyte.app.AppEnvironment("words", args=["python", "-c", "print('a  b; c')", "$HOME"])
with flyte.serve(words, engine="cluster") as one: pass
""")
    args = container(plane, "words")["args"]
    assert shlex.split(" ".join(args)) == ["python", "-c", "print('a  b; c')", "$HOME"]
    assert kernel.value("one.phase.value") == "'stopped'"


def test_connectors_of_cells_travel_and_may_change(kernel: Kernel, plane: Plane) -> None:
    pytest.importorskip("grpc", reason="connectors need the extra connectors")
    for number in ("1", "2"):
        kernel.run(CONNECTOR.replace("NUMBER", number))
        ran = kernel.run('flyte.deploy(connectors, engine="cluster")')
        assert "VERSION" not in ran.printed
        told = container(plane, "batches")
        module = told["command"][told["command"].index("--resolver-args") + 1].partition(":")[0]
        assert told["args"] == ["c0", "--port", "8080", "--prometheus_port", "9092", "--modules", module]
    assert len(plane.of("AppService.Create")) >= 2
    kernel.run('server = flyte.serve(connectors, engine="cluster")')
    assert kernel.value("server.record().has_pages, server.is_active()") == "(False, True)"
    kernel.run("server.delete()")


def test_an_app_that_is_not_active_in_time_is_still_there(kernel: Kernel, plane: Plane) -> None:
    plane.apps.seconds = 600
    kernel.run('late = flyte.app.AppEnvironment("late", args="python -m http.server 8080")')
    cell = kernel.run('flyte.with_servecontext(mode="remote", activate_timeout=2).serve(late)', fails=True)
    assert "RuntimeUserError (AppNotReady): app 'late' is not active after 2 s, but starting: deploying." in cell.error
    assert "/apps/late" in cell.error
    assert "app late: did not start, after" in cell.shown
    assert kernel.run("%flyte stop late --engine cluster").shown == (
        "stopped late at the cluster; it stays there and can be started again"
    )
    assert re.search(r"^late +stopped ", kernel.run("%flyte apps --engine cluster").shown, re.MULTILINE)


def test_an_app_that_fails_says_why(kernel: Kernel, plane: Plane) -> None:
    plane.apps.failing = {"broken"}
    kernel.run('broken = flyte.app.AppEnvironment("broken", args="python -m http.server 8080")')
    told = kernel.run('flyte.serve(broken, engine="cluster")', fails=True).error
    assert "RuntimeUserError (AppFailed): app 'broken' has failed: the container ended with 1. Its page: http" in told
    assert re.search(r"^broken +failed ", kernel.run("%flyte apps --engine cluster").shown, re.MULTILINE)


def test_an_app_that_somebody_deleted_has_stopped(kernel: Kernel, plane: Plane) -> None:
    kernel.run('lost = flyte.app.AppEnvironment("lost", args="python -m http.server 8080")')
    kernel.run('gone = flyte.serve(lost, engine="cluster")')
    del plane.apps.known["lost"]
    assert kernel.value("gone.phase.value, gone.why") == "('stopped', 'it was deleted at the cluster')"
    assert kernel.value("gone.deactivate(wait=True) is gone") == "True"
    assert (
        "UsageError: app 'lost' was deleted at the cluster; serve it again"
        in kernel.run("gone.activate()", fails=True).error
    )
    assert "it was deleted at the cluster" in kernel.run("gone").shown
    kernel.run("gone.delete()")
    told = kernel.run("%flyte stop loost --engine cluster", fails=True).error
    assert "no app in shop/development named 'loost'" in told


def test_an_app_that_cannot_be_stopped_goes_on(kernel: Kernel, plane: Plane) -> None:
    with plane.refusing():
        told = kernel.run("handle.deactivate(wait=True)", fails=True).error
        assert f"UnionRpcError (Unreachable): stopping app 'hello': {plane.endpoint} does not answer" in told
        card = kernel.run("handle").shown
        assert "hello  (app, active, as of" in card
        assert re.search(r"  state +cannot be asked for now: looking at app 'hello'", card)
    assert kernel.value("handle.is_active()") == "True"
    kernel.run("handle.deactivate(wait=True)")
    assert kernel.value("handle.phase.value, handle.activate(wait=True).phase.value") == "('stopped', 'active')"


def test_a_cluster_may_be_away_for_a_while_as_an_app_starts(kernel: Kernel, plane: Plane) -> None:
    kernel.run("handle.deactivate(wait=True)")
    plane.apps.seconds = 2.0
    before = len(plane.of("AppService.Update"))

    def go_away() -> None:
        while len(plane.of("AppService.Update")) == before:
            time.sleep(0.05)
        time.sleep(0.5)
        with plane.refusing():
            time.sleep(6)  # longer than the SDK tries a call again itself

    away = threading.Thread(target=go_away)
    away.start()
    assert kernel.value("handle.activate(wait=True).phase.value") == "'active'"
    away.join()


def test_somebody_hears_when_an_app_stands_otherwise(kernel: Kernel, plane: Plane) -> None:
    kernel.run("import threading\nheard = threading.Event()\nleave = handle.observe(heard.set)")
    kernel.run("other = flyte.serve(app, engine='cluster')\n_ = other.deactivate()")
    assert kernel.value("heard.wait(30)") == "True"
    kernel.run("leave(); handle.activate(wait=True)")


def test_the_log_has_what_the_containers_print(kernel: Kernel, plane: Plane) -> None:
    assert kernel.value("handle.logs()") == "''"
    plane.apps.serve = True
    kernel.run(f"""
talks = flyte.app.AppEnvironment("talks", port={free_port()})

@talks.server
def talk():
    for word in ("one", "two", "<b>three</b>"):
        print(word, flush=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", talks.get_port().port), Handler).serve_forever()

talking = flyte.serve(talks, engine="cluster")
""")
    assert kernel.value("talking.logs(last=2)") == r"'[r1] two\n[r1] <b>three</b>'"
    assert kernel.run("%flyte logs talks --engine cluster --last 1").shown == "[r1] <b>three</b>"
    kernel.run("_ = talking.deactivate(wait=True)")


def test_what_the_context_does_not_take(kernel: Kernel) -> None:
    told = kernel.run("flyte.with_servecontext(engine='cluster', port=80)", fails=True).error
    assert "it is of this machine, and the app is for a cluster" in told
    told = kernel.run("flyte.with_servecontext('local', engine='cluster')", fails=True).error
    assert "engine='cluster' is given too" in told
    assert "name one app of the cluster" in kernel.run("%flyte stop --all --engine cluster", fails=True).error
