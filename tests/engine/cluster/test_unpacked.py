"""What the SDK uploads of a notebook's environments, downloaded, unpacked, imported and run as containers would."""

from __future__ import annotations

import asyncio
import io
import socket
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import written
from sdk_process import SDK, WHY, has_sdk

pytest.importorskip("connectrpc", reason="the stand-in control plane needs the Flyte SDK")
pytestmark = pytest.mark.skipif(not has_sdk(), reason=WHY)

from plane import Plane  # noqa: E402
from plane.containers import Container  # noqa: E402
from plane.notebook import Notebook  # noqa: E402

HELPER = "from flyte_nb.io import File\n\ndef doubled(x: int) -> int:\n    return 2 * x\n"
CELLS = """
%load_ext flyte_nb
import flyte_nb as flyte
from dataclasses import dataclass
from pathlib import Path
# ---
from helper import doubled
labels = {"unit": object}
factor = 3
# ---
class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def far(self) -> int:
        return doubled(self.x)

@dataclass
class Order:
    price: int
    note: str = ""
# ---
env = flyte.TaskEnvironment("geometry", image="python:3.11", include=("texts/*.txt",), env_vars={"LEVEL": "7"})

@env.task
def make(x: int) -> Point:
    return Point(x * factor)
# ---
@env.task
def told(order: Order) -> list[str]:
    import os, sys
    text = (Path(__file__).parent / "texts" / "greeting.txt").read_text()
    point = make(order.price)
    is_ours = isinstance(point, Point) and isinstance(order, Order)
    strangers = [name for name in sys.modules if name.startswith("flyte_nb")]
    return [text, str(point.far()), type(point).__module__, str(is_ours), os.environ["LEVEL"], *strangers]
# ---
import flyte as sdk, sys
made = flyte.to_flyte(env)
module = sys.modules[made.tasks["geometry.told"].func.__module__]
sdk.init_from_config(root_dir=Path(made._declaring_file).parent)
deployed = sdk.deploy(made, copy_style="all")
"""
RUN = """
context = sdk.with_runcontext(copy_style="all", interactive_mode=False)
context._interactive_mode = False  # 2.3.9 asks IPython, whatever it is told
run = context.run(made.tasks["geometry.told"], order=module.Order(5))
run.wait(quiet=True)
"""
IMPORTED = """
import sys
assert sys.path[0] == "", sys.path
module = __import__(sys.argv[1])
tasks = {name: task for env in vars(module).values() for name, task in getattr(env, "tasks", {}).items()}
print(sorted(tasks), module.Point.__module__ == sys.argv[1], module.doubled(4), sys.modules["helper"].__file__)
try:
    import flyte_nb
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("plane"), SDK) as plane:
        yield plane


@pytest.fixture(scope="module")
def notebook(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A notebook whose environment was deployed."""
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "texts").mkdir()
    (folder / "texts" / "greeting.txt").write_text("hello")
    (folder / "private.txt").write_text("not included")
    written(folder / "helper.py", HELPER)
    notebook = Notebook(folder, plane.settings(folder / "home"))
    for cell in CELLS.split("# ---"):
        notebook.run(cell)
    yield notebook
    notebook.end()


def downloaded(plane: Plane) -> bytes:
    """Give the bundle, as a container would fetch it."""
    (path,) = [call.request["path"] for call in plane.of("PUT")]  # there is but one
    with urllib.request.urlopen(f"{plane.bucket.url}/{path}") as answer:
        return bytes(answer.read())


def test_one_bundle_holds_the_module_and_what_lies_beside_it_alone(plane: Plane, notebook: Notebook) -> None:
    module = notebook.value("module.__name__")
    with tarfile.open(fileobj=io.BytesIO(downloaded(plane))) as bundle:
        names = {name for name in bundle.getnames() if not bundle.getmember(name).isdir()}
    assert {name.removeprefix("./") for name in names} == {f"{module}.py", "helper.py", "texts/greeting.txt"}


def test_a_clean_process_imports_what_was_uploaded(plane: Plane, notebook: Notebook, tmp_path: Path) -> None:
    module = notebook.value("module.__name__")
    container = Container(tmp_path / "container", ["python", "-c", IMPORTED, module], {}, SDK)
    with tarfile.open(fileobj=io.BytesIO(downloaded(plane))) as bundle:
        bundle.extractall(container.work, filter="data")
    code = asyncio.run(container.run())
    log = container.log.read_text()
    assert code == 0, log
    first, second = log.splitlines()[-2:]
    assert first == f"['geometry.make', 'geometry.told'] True 8 {container.work / 'helper.py'}"
    assert second == "no module named 'flyte_nb' in this container"


def test_a_deployed_task_runs_with_its_files_and_the_classes_of_cells(plane: Plane, notebook: Notebook) -> None:
    notebook.run(RUN)
    assert notebook.value("run.phase.value") == "succeeded", plane.log(notebook.value("run.name"))
    assert notebook.value("run.outputs()[0] == ['hello', '30', module.__name__, 'True', '7']") == "True"
    assert len(plane.bundles()) == 1  # the run takes that of the deployment


def test_the_same_declarations_again_are_the_same_upload(plane: Plane, notebook: Notebook) -> None:
    notebook.run("again = flyte.to_flyte(env)\nsdk.deploy(again, copy_style='all')")
    assert notebook.value("again is made") == "True"
    assert len(plane.of("PUT")) == 1


APP = """
app = flyte.app.AppEnvironment("door", image="python:3.11", port=PORT, include=("texts/*.txt",))

@app.server
def serve():
    import http.server
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"{doubled(factor)} {(Path(__file__).parent / 'texts' / 'greeting.txt').read_text()}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
    print("the door is open", flush=True)
    http.server.HTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""


def test_an_app_serves_from_what_was_uploaded(plane: Plane, notebook: Notebook) -> None:
    plane.apps.serve = True
    notebook.run(APP.replace("PORT", str(unused_port())))
    notebook.run("front = flyte.to_flyte(app)\nsdk.init_from_config(root_dir=Path(front._declaring_file).parent)")
    notebook.run("door = sdk.with_servecontext(copy_style='all', interactive_mode=False).serve(front)")
    with urllib.request.urlopen(notebook.value("door.endpoint")) as answer:
        assert answer.read() == b"6 hello"
    assert "the door is open" in plane.apps.containers["door"].log.read_text()
    notebook.run("door.deactivate(wait=True)")
    assert plane.apps.containers == {}


def unused_port() -> int:
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return int(end.getsockname()[1])
