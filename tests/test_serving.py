"""flyte.serve, with_servecontext, the handle, and the verbs of apps, in real kernels and scripts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Awaitable
from pathlib import Path

import flyte_nb as flyte
import nbformat
import psutil
import pytest
from flyte_nb.app_specs import command_of
from flyte_nb.errors import DeclarationError, InitializationError, UsageError, UsageTypeError
from flyte_nb.serve_context import ServeContext

from kernels import Kernel, new_kernel
from scripts import is_gone, ran, soon, start, written

#: cells of an app that answers with what its helper gives
CELLS = (
    """
import http.server, os
app_env = flyte.app.AppEnvironment("my-api", port=8080, requires_auth=False, scaling=flyte.app.Scaling(1))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = answer(self.path).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): print("GET", self.path)
""",
    "def answer(path): return f'one {path}'",
    """
@app_env.on_startup
def up(): print("up")
@app_env.server
def run_server():
    http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
@app_env.on_shutdown
def down():
    open("down.txt", "a").write("down ")
""",
    """
import urllib.request
def get(path=""): return urllib.request.urlopen(handle.url + path, timeout=20).read().decode()
""",
)


def declare(kernel: Kernel) -> None:
    for cell in CELLS:
        kernel.run(cell)


def test_an_app_of_cells_from_first_to_last(kernel: Kernel, tmp_path: Path) -> None:
    declare(kernel)
    kernel.run("handle = flyte.serve(app_env)")
    assert kernel.value("get('x')") == "'one /x'"
    assert kernel.value(
        "isinstance(handle, flyte.AppHandle), handle.is_active(), app_env.endpoint == handle.endpoint"
    ) == ("(True, True, True)")
    # a task of the same kernel finds it, and so does %flyte
    kernel.run("env = flyte.TaskEnvironment('e')\n@env.task\ndef ask() -> str:\n    import urllib.request\n"
               "    return urllib.request.urlopen(app_env.endpoint).read().decode()")  # fmt: skip
    assert "'one /'" in kernel.value("flyte.run(ask).outputs()[0]")
    assert "GET /x" in kernel.run("%flyte logs my-api").shown
    assert "my-api" in kernel.run("%flyte apps").shown
    # serving it again changes nothing; another helper rolls it over
    assert kernel.value("pid = handle.replicas[0].pid; flyte.serve(app_env).replicas[0].pid == pid") == "True"
    rolled = kernel.run("def answer(path): return f'two {path}'\n")
    assert re.fullmatch(r"app my-api: version \w+ serves, after [\d.]+ s", rolled.shown)
    assert kernel.value("get()") == "'two /'"
    assert soon(lambda: (tmp_path / "down.txt").read_text() == "down ")
    # one that does not start leaves the old one
    kernel.run("def answer(path): return f'three {path}'\nopen('x', 'w').write('')")
    refused = kernel.run("@app_env.on_startup\ndef up(): raise OSError('no disk')").shown
    assert re.fullmatch(
        r"app my-api: the new version did not start, version \w+ goes on\n"
        r"  In \[\d+\], line 2, in up\n    def up\(\): raise OSError\('no disk'\)\n"
        r"on_startup failed: OSError: no disk",
        refused,
    )
    assert kernel.value("get(), handle.phase.value") == "('three /', 'active')"
    told = kernel.run("print(handle.logs())").printed
    assert "on_startup failed: OSError: no disk" in told
    assert re.search(r"In \[\d+\], line 2, in up", told)
    assert kernel.run("%flyte stop my-api").shown == "stopped my-api"
    assert kernel.value("handle.is_deactivated()") == "True"
    assert "no served app named 'my-api'" in kernel.run("%flyte stop my-api", fails=True).error


def test_the_live_card_and_its_text(kernel: Kernel) -> None:
    declare(kernel)
    shown = kernel.run("%flyte serve my-api")
    assert [o for o in shown.outputs if "application/vnd.jupyter.widget-view+json" in o.get("data", {})]
    text = kernel.run("%flyte serve my-api --text").shown
    assert re.search(r"my-api  \(app, active, as of [-0-9: ]+\)\n  address +http://127\.0\.0\.1:\d+/", text)
    assert "1 active" in text
    assert "service | r1: ready on port" in text
    assert "accepted: the name of an app" in kernel.run(
        "e = flyte.TaskEnvironment('tasks')\n%flyte serve tasks", fails=True
    ).error.replace("\x1b[0m", "")
    kernel.run("%flyte stop --all")


def test_pages_behind_a_hub_find_what_is_theirs_and_so_do_direct_callers(kernel: Kernel) -> None:
    kernel.run("import os, json, urllib.request\nos.environ['JUPYTERHUB_SERVICE_PREFIX'] = '/user/ada/'")
    kernel.run("from fastapi import FastAPI\nfrom flyte_nb.app.extras import FastAPIAppEnvironment\napi = FastAPI()\n"
               "@api.get('/gradio')\ndef gradio() -> str: return os.environ['GRADIO_ROOT_PATH']\n"
               "quick = FastAPIAppEnvironment(name='quick', app=api, requires_auth=False)\n"
               "handle = flyte.serve(quick)\nport = handle.url.split(':')[-1].strip('/')\n"
               "def get(path): return urllib.request.urlopen(handle.url + path).read().decode()")  # fmt: skip
    assert kernel.value("f\"url: '/user/ada/proxy/{port}/openapi.json'\" in get('docs')") == "True"
    assert kernel.value("get(f'user/ada/proxy/{port}/openapi.json') == get('openapi.json')") == "True"
    assert kernel.value("json.loads(get('gradio')) == f'/user/ada/proxy/{port}'") == "True"


def test_what_an_app_cannot_be_served_with_is_said_once(kernel: Kernel) -> None:
    declare(kernel)
    kernel.run("handle = flyte.serve(app_env)")
    told = kernel.run("@app_env.on_startup\ndef up(): nowhere()").shown
    assert re.match(r"app my-api: what is declared now cannot be served, version \w+ goes on\. .*'nowhere'", told)
    assert kernel.run("1").shown == "1"
    told = kernel.run("@app_env.on_startup\ndef up(): elsewhere()").shown
    assert "'elsewhere'" in told
    told = kernel.run('@app_env.on_startup\ndef up(): print("up")').shown
    assert re.fullmatch(r"app my-api: it is declared again as it was, version \w+ goes on", told)
    assert kernel.run("get()").shown == "'one /'"


def test_a_served_app_moves_to_another_port_if_that_is_free(kernel: Kernel) -> None:
    declare(kernel)
    kernel.run("handle = flyte.serve(app_env)")
    kernel.run("import socket\ntaken = socket.create_server(('127.0.0.1', 0))\nport = taken.getsockname()[1]")
    refused = kernel.run("flyte.with_servecontext(port=port).serve(app_env)", fails=True).error
    assert "is taken by" in refused
    assert kernel.value("get('a'), handle.phase.value") == "('one /a', 'active')"
    kernel.run("taken.close()\nhandle = flyte.with_servecontext(port=port).serve(app_env)")
    assert kernel.value("get('b'), handle.url == f'http://127.0.0.1:{port}/'") == "('one /b', True)"


def test_a_start_that_takes_long_says_so_in_the_cell(kernel: Kernel) -> None:
    declare(kernel)
    kernel.run("import time\n@app_env.on_startup\ndef up():\n    print('reading the model')\n    print(flush=True)\n"
               "    time.sleep(4)")  # fmt: skip
    cell = kernel.run("handle = flyte.serve(app_env)")
    assert re.fullmatch(r"app my-api: serves, after \d+ s", cell.shown)
    kernel.run("%flyte stop my-api")
    kernel.run("@app_env.on_startup\ndef up():\n    time.sleep(4)\n    raise OSError('no disk')")
    cell = kernel.run("flyte.serve(app_env)", fails=True)
    assert re.fullmatch(r"app my-api: did not start, after \d+ s", cell.shown)


def test_names_that_the_verbs_do_not_know(kernel: Kernel) -> None:
    declare(kernel)
    kernel.run("e = flyte.TaskEnvironment('tasks')")
    assert "no app named 'my-apy'; did you mean 'my-api'?" in kernel.run("%flyte serve my-apy", fails=True).error
    assert "no app named 'zzz'; there is 'my-api'" in kernel.run("%flyte serve zzz", fails=True).error
    assert (
        "no parameter of app 'my-api' named 'a'" in kernel.run("%flyte serve my-api --parameter a=1", fails=True).error
    )
    assert "accepted: %flyte serve --env NAME=VALUE" in kernel.run("%flyte serve my-api --env A", fails=True).error
    kernel.run("%flyte serve my-api --text")
    kernel.run("%flyte stop my-api")
    told = kernel.run("%flyte logs my-apy", fails=True).error
    assert "no run, and no app with a log, named 'my-apy'; did you mean 'my-api'?" in told


def test_the_token_is_asked_for_and_not_shown(kernel: Kernel) -> None:
    declare(kernel)
    kernel.run("app_env.requires_auth = True\nhandle = flyte.serve(app_env)")
    kernel.run("import urllib.error\ntry: get()\nexcept urllib.error.HTTPError as error: status = error.code")
    assert kernel.value("status") == "401"
    asked = "urllib.request.Request(handle.url, headers={'Authorization': f'Bearer {handle.token}'})"
    assert kernel.value(f"urllib.request.urlopen({asked}).status") == "200"
    kernel.run("os.environ['JUPYTERHUB_SERVICE_PREFIX'] = '/user/ada/'")
    assert kernel.value("handle.link('docs').partition('?')[0] == f'/user/ada/proxy/{handle.url[17:-1]}/'") == "True"
    assert "/user/ada/proxy/" in kernel.value("handle.card().text()")
    kernel.run("del os.environ['JUPYTERHUB_SERVICE_PREFIX']")
    assert kernel.value("handle.token in repr(handle) + handle.card().text() + handle.logs()") == "False"
    # a task gets it as a secret, and neither it nor what it prints shows it
    kernel.run("env = flyte.TaskEnvironment('e', secrets='my-api-token')\n@env.task\ndef ask() -> int:\n"
               "    token = os.environ['MY_API_TOKEN']; print('shown', token)\n"
               "    asked = urllib.request.Request(app_env.endpoint, headers={'Authorization': f'Bearer {token}'})\n"
               "    return urllib.request.urlopen(asked).status")  # fmt: skip
    assert "shown ***" in kernel.run("run = flyte.run(ask)").printed
    assert kernel.value("run.outputs()[0]") == "200"
    kernel.run("browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())")
    assert kernel.value("browser.open(handle.login_url).status, browser.open(handle.url).status") == "(200, 200)"


def test_a_failing_start_up_hook_names_its_cell_and_line(kernel: Kernel) -> None:
    declare(kernel)
    kernel.run("@app_env.on_startup\ndef up():\n    print('reading')\n    raise ValueError('bad model')")
    error = kernel.run("flyte.serve(app_env)", fails=True).error
    assert "on_startup failed: ValueError: bad model" in error
    assert "In [6], line 4, in up" in error
    assert "    reading" in error


def test_nothing_is_left_of_five_replicas_when_the_kernel_is_killed(kernel: Kernel, tmp_path: Path) -> None:
    declare(kernel)
    kernel.run("@app_env.on_shutdown\ndef down():\n    print('closing', flush=True)  # where nobody reads it any more\n"
               "    open('down.txt', 'a').write('down ')")  # fmt: skip
    kernel.run("app_env.scaling = flyte.app.Scaling(5)\nhandle = flyte.serve(app_env)")
    pids = json.loads(
        kernel.run("import json\nprint(json.dumps([r.pid for r in handle.replicas] + [os.getpid()]))").printed
    )
    kernel_pid = pids[-1]
    family = [p.pid for p in psutil.Process(kernel_pid).children(recursive=True)] + pids
    assert len(set(pids)) == 6
    os.kill(kernel_pid, signal.SIGKILL)
    began = time.monotonic()
    assert soon(lambda: all(map(is_gone, family)), 2.0), time.monotonic() - began
    assert (tmp_path / "down.txt").read_text() == "down " * 5


SCRIPT = """
import os, pathlib, sys, time
import http.server
import flyte_nb as flyte
first = flyte.app.AppEnvironment("first", requires_auth=False, scaling=flyte.app.Scaling(1))
second = flyte.app.AppEnvironment("second", depends_on=[first], scaling=flyte.app.Scaling(1), include=["data.txt"],
    parameters=[flyte.app.Parameter("other", flyte.app.AppEndpoint(app_name="first"), env_var="OTHER")],
    requires_auth=False)
env = flyte.TaskEnvironment("e")

@env.task
def made() -> str: return "of a run"

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(self.server.told).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass

def serve(told):
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler)
    server.told = told
    server.serve_forever()

@first.server
def serve_first(): serve("first")

@second.server
def serve_second():
    import urllib.request
    serve([urllib.request.urlopen(os.environ["OTHER"]).read().decode(), first.endpoint == os.environ["OTHER"],
           pathlib.Path("data.txt").read_text()])

@first.on_shutdown
def down():
    with open(os.environ["NOTES"], "a") as file: file.write("down ")

def get(handle):
    import urllib.request
    return urllib.request.urlopen(handle.url).read().decode()
"""


def test_apps_of_a_script_that_depend_on_each_other_and_end_with_it(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("included")
    main = """
if __name__ == "__main__":
    handle = flyte.with_servecontext(env_vars={"NOTES": os.environ["NOTES"]}).serve(second)
    print(get(handle))
    print("OTHER" in os.environ)
"""
    written(tmp_path / "apps.py", SCRIPT + main)
    done = ran(["apps.py"], tmp_path, NOTES=str(tmp_path / "notes.txt"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['first', True, 'included']\nFalse\n"
    assert (tmp_path / "notes.txt").read_text() == "down "
    assert not list((tmp_path / "home" / "apps").glob("*/*"))


def test_an_app_that_is_given_the_address_of_another_is_given_its_token(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("included")
    main = """
if __name__ == "__main__":
    from flyte_nb.session import current_session
    secrets = current_session().secrets
    handle = flyte.serve(second)
    print(get(handle), "*** is printed" in handle.logs(), "OTHER_TOKEN" in os.environ, secrets.status("first-token"))
    print(flyte.serve(first).token in handle.logs() + repr(secrets) + repr(second) + repr(first))
    flyte.serve(first).deactivate(wait=True)
    print(secrets.status("first-token"))
"""
    script = SCRIPT.replace('"first", requires_auth=False', '"first", requires_auth=True')
    calls = 'import urllib.request\n    serve([urllib.request.urlopen(os.environ["OTHER"])'
    shows = """import urllib.request
    print(os.environ['OTHER_TOKEN'], 'is printed')
    shown = {'Authorization': 'Bearer ' + os.environ['OTHER_TOKEN']}
    serve([urllib.request.urlopen(urllib.request.Request(os.environ['OTHER'], headers=shown))"""
    assert calls in script
    script = script.replace(calls, shows)
    written(tmp_path / "apps.py", script + main)
    done = ran(["apps.py"], tmp_path, NOTES=str(tmp_path / "notes.txt"))
    assert done.returncode == 0, done.stderr
    of_app, none = "[('first-token', None, 'FIRST_TOKEN', 'app first')]", "[('first-token', None, 'FIRST_TOKEN', None)]"
    assert done.stdout.splitlines() == [f"['first', True, 'included'] True False {of_app}", "False", none]


def test_contexts_and_parameters_of_a_script(tmp_path: Path) -> None:
    main = """
third = flyte.app.AppEnvironment("third", requires_auth=False, parameters=[
    flyte.app.Parameter("text"), flyte.app.Parameter("output", flyte.app.RunOutput(type="string", task_name="e.made"))])

@third.server
async def serve_third():
    import asyncio
    from flyte_nb.app import get_parameter
    async def answer(reader, writer):
        await reader.readuntil(b"\\r\\n\\r\\n")
        body = f"{get_parameter('text')} {get_parameter('output')} {os.environ['A']}".encode()
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    await (await asyncio.start_server(answer, "0.0.0.0", 8080)).serve_forever()

async def main():
    await flyte.run.aio(made)
    try: await flyte.serve.aio(third)
    except ValueError as error: print(error)
    how = flyte.with_servecontext(env_vars={"A": "1"}, parameter_values={"third": {"text": "given"}})
    handle = await how.serve.aio(third)
    async with handle.ephemeral_ctx() as inside:
        print(get(inside), inside.is_active())
    print(handle.is_deactivated())
    with handle: print(get(handle))
    print(handle)

if __name__ == "__main__":
    import asyncio
    asyncio.run(main())
"""
    written(tmp_path / "apps.py", SCRIPT + main)
    (tmp_path / "data.txt").write_text("")
    done = ran(["apps.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("parameter 'text' of app 'third' has no value; give one in its declaration, or with")
    assert lines[1:4] == ["given of a run 1 True", "True", "given of a run 1"]
    assert lines[4].startswith("<app third: stopped at http://127.0.0.1:")


def test_apps_are_served_from_a_shell_until_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("included")
    written(tmp_path / "apps.py", SCRIPT)
    words = ["-m", "flyte_nb", "serve", "apps.py", "first"]
    process = start(words, tmp_path, NOTES=str(tmp_path / "notes.txt"))
    assert process.stdout is not None
    assert process.stderr is not None
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\n", process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "service | r1: ready on port" in err
    assert (tmp_path / "notes.txt").read_text() == "down "


def test_an_app_of_a_notebook_is_served_from_a_shell(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in ("import flyte_nb as flyte", *CELLS[:3])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "apps.ipynb")
    process = start(["-m", "flyte_nb", "serve", "apps.ipynb", "my-api"], tmp_path)
    assert process.stdout is not None
    link = process.stdout.readline()
    assert urllib.request.urlopen(link.strip()).read() == b"one /"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "r1 | GET /" in err
    assert (tmp_path / "down.txt").read_text() == "down "


def test_the_shutdown_hook_is_called_when_the_kernel_is_shut_down(tmp_path: Path) -> None:
    with new_kernel(tmp_path) as kernel:
        kernel.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        declare(kernel)
        kernel.run("handle = flyte.serve(app_env)")
        pids = [p.pid for p in psutil.Process(int(kernel.value("os.getpid()"))).children(recursive=True)]
        asyncio.run(as_a_front_end(kernel.client.km.shutdown_kernel(now=False)))
    assert (tmp_path / "down.txt").read_text() == "down "
    assert soon(lambda: all(map(is_gone, pids)))


async def as_a_front_end(shutdown: Awaitable[None]) -> None:
    await shutdown


def test_a_connector_environment_runs_our_connector_server() -> None:
    env = flyte.app.ConnectorEnvironment("batch", include=["my_connector"])
    assert command_of(env) == (sys.executable, "-m", "flyte_nb.connectors.server", "--port", "8080",
                             "--prometheus_port", "9092", "--modules", "my_connector")  # fmt: skip


def test_an_app_that_speaks_http2_cannot_ask_for_a_token_at_its_gateway() -> None:
    app = flyte.app.AppEnvironment("grpc-app", port=flyte.app.Port(8080, "h2c"), args="serve")
    with pytest.raises(UsageError, match=r"'grpc-app' speaks HTTP/2.* say requires_auth=False, and .* a token itself"):
        flyte.serve(app)


def test_parameters_of_a_context_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # a cluster may be configured in that of whoever runs the tests
    monkeypatch.delenv("FLYTECTL_CONFIG", raising=False)
    with pytest.raises(DeclarationError, match="health_check_path"):
        ServeContext(health_check_path="health")
    with pytest.raises(DeclarationError, match="cluster_pool"):
        ServeContext(cluster="c", cluster_pool="gpus")
    with pytest.raises(DeclarationError, match="activate_timeout"):
        ServeContext(activate_timeout=-1)
    with pytest.raises(TypeError):
        flyte.with_servecontext(nonsense=1)
    with pytest.raises(InitializationError, match=r"no cluster is known|needs the Flyte SDK"):
        flyte.with_servecontext("remote").serve(flyte.app.AppEnvironment("a"))
    with pytest.raises(UsageTypeError, match="accepted: an AppEnvironment"):
        flyte.serve(flyte.TaskEnvironment("e"))  # type: ignore[arg-type]
