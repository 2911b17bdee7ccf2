"""flyte.to_flyte: environments and tasks as the SDK's, serialised by it and loaded in processes without flyte_nb."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import surroundings, written
from sdk_process import SDK, WHY, has_sdk

needs_sdk = pytest.mark.skipif(not has_sdk(), reason=WHY)
PIPELINE = """
import flyte_nb as flyte
from flyte_nb.app import AppEnvironment, Scaling
from helper import doubled

up = flyte.TaskEnvironment("up", include=("text.txt",))
env = flyte.TaskEnvironment(
    "calc", depends_on=[up], image="python:3.11", resources=flyte.Resources(cpu=2, memory="1Gi"), env_vars={"A": "b"},
    secrets="my-key", cache="auto",
)
fast = env.clone_with("fast", resources=flyte.Resources(cpu=(4, 8), gpu="A100:2"))
app = AppEnvironment("my-app", image="python:3.11", port=9000, scaling=Scaling((1, 3)), requires_auth=False)

class Point:
    def __init__(self, x: int) -> None:
        self.x = x

@up.task
def base() -> int:
    return 3

@env.task(retries=2, timeout=60, triggers=flyte.Trigger("nightly", flyte.Cron("0 0 * * *"), inputs={"x": 1}))
def scale(x: int) -> int:
    '''Scales.'''
    return doubled(x) + Point(1).x

@fast.task(short_name="quick", interruptible=True)
async def total(values: list[int]) -> int:
    return sum(values) + base()

@app.server
def serve() -> None: ...
"""
HELPER = "from flyte_nb.io import File\n\ndef doubled(x):\n    return 2 * x\n"
SERIALISE = """
import json, sys
from pathlib import Path
import pipeline, flyte_nb as flyte
from flyte.models import SerializationContext
from flyte._internal.runtime.task_serde import translate_task_to_wire
from flyte.app._runtime.app_serde import translate_app_env_to_idl
from google.protobuf.json_format import MessageToDict

def context(env):
    root = Path(env._declaring_file).parent
    return SerializationContext(project="p", domain="d", org="o", version="v", root_dir=root)

made = {env.name: flyte.to_flyte(env) for env in (pipeline.env, pipeline.fast)}
specs = {}
for env in made.values():
    for task in env.tasks.values():
        spec = translate_task_to_wire(task, context(env))
        assert type(spec).FromString(spec.SerializeToString()) == spec
        specs[task.name] = MessageToDict(spec)
over = flyte.to_flyte(pipeline.scale.override(resources=flyte.Resources(cpu=5), retries=0))
specs["override"] = MessageToDict(translate_task_to_wire(over, context(made["calc"])))
app = flyte.to_flyte(pipeline.app)
specs["app"] = MessageToDict(translate_app_env_to_idl(app, context(app)))
folders = [str(context(one).root_dir) for one in (made["calc"], app)]
print(json.dumps({"folders": folders, "specs": specs, "needed": [e.name for e in made["calc"].depends_on]}))
"""
LOAD = """
import json, sys
from flyte._internal.resolvers.default import DefaultTaskResolver
from flyte._internal.resolvers.app_env import AppEnvResolver
words, app_words = json.loads(sys.argv[1]), sys.argv[2]
import flyte
for words in words:
    task = DefaultTaskResolver().load_task(words)
    print(task.name, type(task).__module__.partition(".")[0], task.resources.cpu)
app = AppEnvResolver().load_app_env(app_words)
print(app.name, app._server.__name__)
flyte.init()
print(flyte.run(task, **json.loads(sys.argv[3])).outputs()[0])
assert not [name for name in sys.modules if name.startswith("flyte_nb")]
"""


def ran(folder: Path, code: str, *words: str, own: bool = True) -> str:
    """Run code in a fresh process of the SDK's Python; without this package where it is not to be found."""
    around = surroundings(folder / "home")
    if not own:
        around.pop("PYTHONPATH")
    done = subprocess.run([SDK, "-c", code, *words], capture_output=True, text=True, cwd=folder, env=around)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    written(folder / "pipeline.py", PIPELINE)
    written(folder / "helper.py", HELPER)
    (folder / "text.txt").write_text("text")
    return folder


@pytest.fixture(scope="module")
def told(pipeline: Path) -> dict[str, Any]:
    """What a fresh process serialised with the SDK."""
    return dict(json.loads(ran(pipeline, SERIALISE).splitlines()[-1]))


def words_of(spec: dict[str, Any]) -> list[str]:
    args = spec["taskTemplate"]["container"]["args"]
    return list(args[args.index("--resolver") + 2 :])


@needs_sdk
def test_the_sdk_serialises_tasks(told: dict[str, Any]) -> None:
    spec = told["specs"]["calc.scale"]
    template = spec["taskTemplate"]
    asked = {row["name"]: row["value"] for row in template["container"]["resources"]["requests"]}
    assert (template["id"]["name"], template["id"]["version"], spec["environment"]["name"]) == (
        "calc.scale",
        "v",
        "calc",
    )
    assert (asked, template["container"]["image"]) == ({"CPU": "2", "MEMORY": "1Gi"}, "python:3.11")
    assert {"key": "A", "value": "b"} in template["container"]["env"]
    assert template["metadata"]["retries"] == {"retries": 2}
    assert template["metadata"]["timeout"] == "60s"
    assert template["metadata"]["discoverable"] is True
    assert template["securityContext"]["secrets"][0]["envVar"] == "MY_KEY"
    quick = told["specs"]["fast.total"]
    asked = {row["name"]: row["value"] for row in quick["taskTemplate"]["container"]["resources"]["limits"]}
    assert (quick["shortName"], asked["CPU"]) == ("quick", "8")
    assert quick["taskTemplate"]["metadata"]["interruptible"] is True
    assert told["needed"] == ["up"]


@needs_sdk
def test_an_override_becomes_the_tasks_settings(told: dict[str, Any]) -> None:
    template = told["specs"]["override"]["taskTemplate"]
    assert template["container"]["resources"]["requests"] == [{"name": "CPU", "value": "5"}]
    assert template["metadata"]["retries"] == {}
    assert words_of(told["specs"]["override"]) == words_of(told["specs"]["calc.scale"])


@needs_sdk
def test_the_sdk_serialises_apps(told: dict[str, Any]) -> None:
    spec = told["specs"]["app"]["spec"]
    assert spec["container"]["ports"] == [{"containerPort": 9000}]
    assert spec["autoscaling"]["replicas"] == {"min": 1, "max": 3}
    assert spec["securityContext"]["allowAnonymous"] is True


@needs_sdk
def test_a_process_without_this_package_loads_and_runs_what_was_serialised(
    told: dict[str, Any], tmp_path: Path
) -> None:
    """The container's side: the words of the spec alone, in the folder that the SDK would unpack its bundle to."""
    words = [words_of(told["specs"]["calc.scale"])]
    command = told["specs"]["app"]["spec"]["container"]["command"]
    app = command[command.index("--resolver-args") + 1]
    assert {path.name for path in Path(told["folders"][0]).iterdir()} >= {"helper.py", "text.txt"}
    code = f"import sys; sys.path[:0] = {told['folders']!r}\n{LOAD}"
    shown = ran(tmp_path, code, json.dumps(words), app, '{"x": 20}', own=False).splitlines()
    assert shown == ["calc.scale flyte 2", "my-app serve", "41"]


@needs_sdk
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("env.resources = flyte.Resources(cpu=9)\nenv.tasks['calc.scale'].resources = env.resources", "resources is"),
        ("fast.clone_with('more', queue='q')", "changed.py, line 34: the installed Flyte SDK"),
        ("env.add_dependency(fast)\nfast.add_dependency(env)", "calc"),
    ],
    ids=["assigned", "clone", "cycle"],
)
def test_what_the_module_would_not_say_is_refused(tmp_path: Path, change: str, told: str) -> None:
    written(tmp_path / "changed.py", PIPELINE)
    written(tmp_path / "helper.py", HELPER)
    (tmp_path / "text.txt").write_text("text")
    if "clone_with" in change:
        written(tmp_path / "changed.py", f"{PIPELINE}\nmore = {change}\n")
        change = ""
    code = (
        f"from changed import *\nimport changed\n{change}\ntry:\n    flyte.to_flyte(env)\nexcept Exception as error:\n"
    )
    assert told in ran(tmp_path, f"{code}    print(type(error).__name__, error)")


NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
def run(cell):
    done = shell.run_cell(cell, store_history=True)
    assert done.success, done.error_before_exec or done.error_in_exec
run("%load_ext flyte_nb\\nimport flyte_nb as flyte")
run("factor = 2\\nclass Pair:\\n    def __init__(self, a: int) -> None:\\n        self.a = a")
run("%%flyte calc --cpu 1 --cache auto\\n@task\\ndef scale(x: int) -> int:\\n    return Pair(x).a * factor")
run("up = flyte.TaskEnvironment('up', depends_on=[env])\\n@up.task\\nasync def go(x: int) -> int:\\n  return scale(x)")
run("made = flyte.to_flyte(up)")
made = shell.user_ns["made"]
task = made.depends_on[0].tasks["calc.scale"]
print(made.name, [e.name for e in made.depends_on], task.resources.cpu, task.cache.behavior, task.func(4))
run("factor = 3")
again = shell.user_ns["flyte"].to_flyte(shell.user_ns["env"])
print(again.tasks["calc.scale"].func(4), again.tasks["calc.scale"].func.__module__ != task.func.__module__)
print(open(made._declaring_file).read())
print("---")
run("from flyte_nb.extras import ContainerTask\\nechoing = ContainerTask('echo', 'alpine:3', ['a'], {'x': int})\\n"
    "shell = flyte.TaskEnvironment.from_task('shell', echoing)")
run("print(sorted(flyte.to_flyte(shell).tasks))")
run("flyte.draft(env).set('resources.cpu', 7).apply()")
run("print(flyte.to_flyte(env).resources.cpu)")
"""


@needs_sdk
def test_a_notebooks_environments_come_from_the_module_of_its_cells(tmp_path: Path) -> None:
    shown = ran(tmp_path, NOTEBOOK)
    assert "up ['calc'] 1 auto 8\n12 True\n" in shown
    assert "import flyte\n" in shown
    module, _, rest = shown.partition("import flyte\n")[2].partition("---")
    assert "flyte_nb" not in module
    assert "['echo']\n" in rest
    assert rest.rstrip().endswith("\n7")  # a draft travels before the source says it


def test_without_the_sdk_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['flyte'] = None\nimport flyte_nb as flyte\n"
        "try:\n    flyte.to_flyte(flyte.TaskEnvironment('e'))\nexcept flyte.errors.InitializationError as error:\n"
        "    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=surroundings(tmp_path)
    )
    assert "pip install 'flyte_nb[cluster]'" in done.stdout, done.stderr


@needs_sdk
@pytest.mark.parametrize("given", ["1", "'calc'", "None"])
def test_anything_else_is_refused(tmp_path: Path, given: str) -> None:
    code = f"import flyte_nb as flyte\ntry:\n    flyte.to_flyte({given})\nexcept TypeError as error:\n    print(error)"
    assert "accepted: environments, or one task" in ran(tmp_path, code)
