"""The life of an app in its process: start-up hook, server, shutdown hook; what they receive, and what ends them."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from pathlib import Path

import pytest
from flyte_nb.engine.local.apps.service import Service
from flyte_nb.engine.local.apps.spec import AppPhase
from flyte_nb.engine.local.apps.worker import arguments
from flyte_nb.environments.parameters import Parameter
from flyte_nb.errors import RuntimeUserError
from flyte_nb.io import File

from app_bench import SERVER, AppBench, get
from scripts import is_gone, soon

HOOKS = """
import pathlib
HERE = pathlib.Path(__file__).parent
def note(text):
    with open(HERE / "notes.txt", "a") as file: file.write(text + "\\n")

@app.on_startup
def up(): note("up")

@app.on_shutdown
def down(): note("down")
"""
ASYNC = """
import flyte_nb as flyte, asyncio, pathlib
HERE = pathlib.Path(__file__).parent
app = flyte.app.AppEnvironment("a", port=8080)
def note(text):
    with open(HERE / "notes.txt", "a") as file: file.write(text + "\\n")

@app.on_startup
async def up(model, **rest):
    global loop
    loop = asyncio.get_running_loop()
    note(f"up {model} {sorted(rest)}")

@app.server
async def serve():
    assert loop is asyncio.get_running_loop()
    async def answer(reader, writer):
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
    server = await asyncio.start_server(answer, "0.0.0.0", 8080)
    try:
        await server.serve_forever()
    finally:
        note("left")

@app.on_shutdown
async def down(): note(f"down {loop is asyncio.get_running_loop()}")
"""


def notes(bench: AppBench) -> list[str]:
    file = bench.folder / "notes.txt"
    return file.read_text().splitlines() if file.exists() else []


def pid_of(service: Service) -> int:
    return service.records[0].pid


def test_hooks_in_order_and_shutdown_when_it_is_stopped(bench: AppBench) -> None:
    service = bench.serve(bench.spec(SERVER + HOOKS))
    assert notes(bench) == ["up"]
    assert get(service)[0] == 200
    bench.stop()
    assert notes(bench) == ["up", "down"]


def test_async_hooks_share_one_loop_and_receive_parameters_by_name(bench: AppBench) -> None:
    parameters = (Parameter("model", "m"), Parameter("b", "2"), Parameter("a", "1"))
    service = bench.serve(bench.spec(ASYNC, parameters=parameters))
    assert get(service) == (200, "hi")
    bench.stop()
    assert notes(bench) == ["up m ['a', 'b']", "left", "down True"]


def test_shutdown_after_the_server_raised_and_after_sigterm(bench: AppBench) -> None:
    service = bench.serve(bench.spec(SERVER + HOOKS))
    os.kill(pid_of(service), signal.SIGTERM)
    assert soon(lambda: notes(bench)[:2] == ["up", "down"], 10)
    bench.stop()
    with pytest.raises(RuntimeUserError, match="the server failed: ZeroDivisionError"):
        bench.serve(bench.spec(SERVER.replace("def serve():", "def serve():\n    1 / 0") + HOOKS))
    assert notes(bench)[-2:] == ["up", "down"]


def test_a_start_up_hook_that_raises_is_told_with_its_line_and_the_end_of_the_log(bench: AppBench) -> None:
    hook = textwrap.dedent("""
    @app.on_startup
    def up():
        print("loading the model")
        raise OSError("no such model")
    """)
    with pytest.raises(RuntimeUserError) as caught:
        bench.serve(bench.spec(SERVER + hook))
    assert "on_startup failed: OSError: no such model" in str(caught.value)
    assert "\n    loading the model" in str(caught.value)
    assert "app1.py, line" in caught.value.remote_traceback
    assert 'raise OSError("no such model")' in caught.value.remote_traceback
    assert "a" not in bench.engine.apps.services


def test_definitions_that_do_not_load(bench: AppBench) -> None:
    with pytest.raises(RuntimeUserError, match="loading its definitions failed: ModuleNotFoundError"):
        bench.serve(bench.spec(SERVER + "import no_such_module"))


def test_a_start_up_hook_that_hangs(bench: AppBench) -> None:
    hang = "@app.on_startup\ndef up(): time.sleep(60)"
    with pytest.raises(RuntimeUserError, match=r"on_startup did not end within 0\.8 s"):
        bench.serve(bench.spec(SERVER + hang, limits={"activate": 0.8, "server": 0.3}))


def test_a_server_that_never_listens_and_one_that_listens_elsewhere(bench: AppBench) -> None:
    limits = {"activate": 1.5, "server": 0.3}
    with pytest.raises(RuntimeUserError, match=r"nothing listens on port 8080 within 1\.5 s"):
        bench.serve(bench.spec(SERVER.replace("http.server.Thr", "time.sleep(60) or http.server.Thr"), limits=limits))
    other = SERVER.replace('("0.0.0.0", 8080)', '("127.0.0.1", 28451)')
    with pytest.raises(RuntimeUserError, match="it listens on 28451: declare port=28451"):
        bench.serve(bench.spec(other, limits=limits))


def test_a_server_that_exits_says_its_code(bench: AppBench) -> None:
    quits = SERVER.replace("def serve():", "def serve():\n    print('bad config'); os._exit(4)")
    with pytest.raises(RuntimeUserError, match=r"its process ended with exit code 4(.|\n)*bad config"):
        bench.serve(bench.spec(quits))
    leaves = SERVER.replace("def serve():", "def serve():\n    import sys; sys.exit(5)")
    with pytest.raises(RuntimeUserError, match=r"the server failed: it called sys\.exit\(5\)"):
        bench.serve(bench.spec(leaves))
    with pytest.raises(RuntimeUserError, match="its server returned"):
        bench.serve(bench.spec(SERVER.replace("def serve():", "def serve():\n    return")))


def test_a_shutdown_hook_that_hangs_or_raises_holds_nothing_up(bench: AppBench) -> None:
    hang = "@app.on_shutdown\ndef down():\n    print('closing'); time.sleep(60)"
    service = bench.serve(bench.spec(SERVER + hang, limits={"shutdown": 0.5}))
    pid, began = pid_of(service), time.monotonic()
    bench.stop()
    assert is_gone(pid)
    assert time.monotonic() - began < 5
    assert "on_shutdown did not end within 0.5 s" in bench.log(service)
    service = bench.serve(bench.spec(SERVER + "@app.on_shutdown\ndef down(): raise KeyError('gone')"))
    bench.stop()
    assert "on_shutdown failed: KeyError: 'gone'" in bench.log(service)


def test_a_server_that_does_not_heed_still_has_its_shutdown_hook_called(bench: AppBench) -> None:
    stubborn = SERVER.replace("    http.server.Thr", "    s = http.server.Thr").replace(
        ".serve_forever()", "\n    while True:\n        try: s.serve_forever()\n        except BaseException: pass"
    )
    service = bench.serve(bench.spec(stubborn + HOOKS, limits={"server": 0.5}))
    pid = pid_of(service)
    bench.stop()
    assert is_gone(pid)
    assert notes(bench) == ["up", "down"]
    assert "its server did not end within 0.5 s" in bench.log(service)


def test_what_the_app_s_code_learns_of_where_it_runs(bench: AppBench, tmp_path: Path) -> None:
    told = textwrap.dedent("""
    @app.on_startup
    def up(conf: flyte.io.File):
        here = flyte.app.ctx()
        print("told", here.mode, here.project, os.path.isdir(here.raw_data_path), type(conf).__name__)
        print("given", flyte.app.get_parameter("conf"), os.environ["CONF"], os.environ["OWN"])
    """)
    conf = tmp_path / "conf.json"
    conf.write_text("{}")
    parameters = (Parameter("conf", File(path=str(conf)), env_var="CONF"),)
    spec = bench.spec(SERVER + told, parameters=parameters, env_vars={"OWN": "1"}, project="p")
    service = bench.serve(spec)
    assert "r1 | told local p True File" in bench.log(service)
    assert f"r1 | given {conf} {conf} 1" in bench.log(service)
    assert "CONF" not in os.environ
    assert service.phase is AppPhase.ACTIVE


def test_arguments_of_hooks() -> None:
    given = {"a": "1", "b": "2"}
    assert arguments(lambda: None, given) == {}
    assert arguments(lambda a: None, given) == {"a": "1"}
    assert arguments(lambda **kw: None, given) == given
    assert arguments(lambda other=None, **kw: None, given) == given
