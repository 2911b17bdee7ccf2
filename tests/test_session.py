"""The verbs from a script: run, deploy and call what is deployed, each in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import ran, written

DECLARED = """
import asyncio, json, os, sys, threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="s", env_vars={"COLOUR": "red"})
other = flyte.TaskEnvironment(name="other", depends_on=[env])

class Pair(NamedTuple):
    low: int
    high: int

@dataclass
class Point:
    x: int

@env.task
def add(x: int, y: int = 2) -> int:
    \"\"\"Add two numbers.\"\"\"
    print("adding")
    print("to stderr", file=sys.stderr)
    return x + y

@env.task
def pair(x: int) -> Pair:
    return Pair(x, x + 1)

@env.task
def point(p: Point) -> Point:
    assert type(p) is Point
    return Point(p.x + 1)

@env.task
def boom() -> int:
    raise LookupError("nothing there")

@env.task
def colour() -> str:
    return os.environ["COLOUR"]

@other.task
def uses(x: int) -> int:
    return add(x) * 10
"""

MAIN = (
    DECLARED
    + """
def told(verb, *args, **kwargs):
    try:
        return verb(*args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def local():
    @env.task
    def inner(x: int) -> int:
        return x * 7
    return inner

async def gathered():
    runs = await asyncio.gather(*(flyte.run.aio(add, x=n) for n in range(3)))
    return [run.outputs()[0] for run in runs]

if __name__ == "__main__":
    seen = {}
    run = flyte.run(add, 1, y=5)
    seen["run"] = [run.outputs()[0], run.phase.value, run.inputs]
    seen["aio"] = asyncio.run(gathered())
    pair_run = flyte.run(pair, x=3)
    seen["pair"] = [pair_run.outputs().low, pair_run.outputs().high]
    seen["point"] = isinstance(flyte.run(point, p=Point(1)).outputs()[0], Point)
    seen["colour"] = [flyte.run(colour).outputs()[0], os.environ.get("COLOUR")]
    seen["local"] = told(lambda: flyte.run(local(), x=6).outputs()[0])
    try:
        flyte.run(boom)
    except flyte.errors.RuntimeUserError as error:
        seen["boom"] = [error.code, str(error), type(error.__cause__).__name__, error.remote_traceback]
    for name, args, inputs in [("missing", (), {}), ("unknown", (1,), {"z": 1}), ("type", ("one",), {})]:
        seen[name] = told(flyte.run, add, *args, **inputs)
    seen["not a task"] = told(flyte.run, len)
    seen["dry"] = repr(flyte.deploy(other, dry_run=True))
    seen["before"] = told(flyte.deployed, "s.add")
    seen["deploy"] = [[d.environment, d.unchanged, list(d.tasks)] for d in flyte.deploy(other)]
    seen["again"] = [d.unchanged for d in flyte.deploy(other)]
    seen["named"] = repr(flyte.deploy(env, version="v1"))
    seen["no envs"] = told(flyte.deploy)
    seen["no env"] = told(flyte.deploy, add)
    seen["engine"] = told(flyte.deploy, env, engine="lokal")
    seen["version"] = told(flyte.deploy, env, version="../x")
    Path("seen.json").write_text(json.dumps(seen))
"""
)

CALLS = """
import asyncio, json
from dataclasses import dataclass
from pathlib import Path
import flyte_nb as flyte

@dataclass
class Point:
    x: int

def told(verb, *args, **kwargs):
    try:
        return verb(*args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    add = flyte.deployed("s.add")
    seen = {
        "repr": repr(add),
        "call": add(1),
        "named": flyte.deployed("s.add", version="v1")(1, y=1),
        "aio": asyncio.run(add.aio(x=4)),
        "pair": flyte.deployed("s.pair")(1),
        "uses": flyte.deployed("other.uses")(1),
        "colour": flyte.deployed("s.colour")(),
        "point": flyte.deployed("s.point")(Point(1)) == Point(2),
        "missing": told(add),
        "type": told(add, "one"),
        "task": told(flyte.deployed, "s.ad"),
        "env": told(flyte.deployed, "t.add"),
        "version": told(flyte.deployed, "s.add", "v2"),
    }
    Path("called.json").write_text(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    written(folder / "script.py", MAIN)
    done = ran(["-W", "error", "script.py"], folder)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def seen(folder: Path, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return found


@pytest.fixture(scope="module")
def called(folder: Path, seen: dict[str, Any]) -> dict[str, Any]:
    written(folder / "calls.py", CALLS)
    done = ran(["-W", "error", "calls.py"], folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "called.json").read_text())
    return found


def test_run(seen: dict[str, Any]) -> None:
    assert seen["run"] == [6, "succeeded", "x=1, y=5"]
    assert seen["aio"] == [2, 3, 4]


def test_output_goes_where_the_callers_own_goes(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stdout == "adding\n" * 4
    assert done.stderr == "to stderr\n" * 4


def test_classes_of_the_script_come_back(seen: dict[str, Any]) -> None:
    assert seen["pair"] == [3, 4]
    assert seen["point"] is True


def test_env_vars_are_there_only(seen: dict[str, Any]) -> None:
    assert seen["colour"] == ["red", None]


def test_task_of_a_function(seen: dict[str, Any]) -> None:
    assert seen["local"] == 42


def test_failure(folder: Path, seen: dict[str, Any]) -> None:
    code, message, cause, trace = seen["boom"]
    assert (code, message, cause) == ("LookupError", "nothing there", "LookupError")
    line = MAIN.splitlines().index('    raise LookupError("nothing there")') + 1
    assert trace == f'  {folder / "script.py"}, line {line}, in boom\n    raise LookupError("nothing there")'


def test_inputs_that_do_not_fit(seen: dict[str, Any]) -> None:
    assert seen["missing"] == "InputError: missing input 'x'; accepted: (x: int, y: int = 2) -> int"
    assert seen["unknown"].startswith("InputError: unknown input 'z'")
    assert seen["type"].startswith("RuntimeDataValidationError: input 'x' of s.add: given 'one' of type str")
    assert seen["not a task"].startswith("UsageTypeError: flyte.run: given <built-in function len>; accepted: a task")


def test_deploy(seen: dict[str, Any]) -> None:
    assert [row[0] for row in seen["deploy"]] == ["s", "other"]
    assert [row[1] for row in seen["deploy"]] == [False, False]
    assert seen["deploy"][1][2] == ["other.uses"]
    assert seen["again"] == [True, True]
    assert seen["named"] == "<Deployments s@v1>"


def test_dry_run_deploys_nothing(seen: dict[str, Any]) -> None:
    assert seen["dry"].startswith("<Deployments s@")
    assert "unchanged" not in seen["dry"]
    assert seen["before"] == "UnknownNameError: no deployed task named 's.add'; there is none yet"


def test_wrong_deployments(seen: dict[str, Any]) -> None:
    assert seen["no envs"].startswith("DeploymentError: nothing to deploy")
    assert "accepted: environments" in seen["no env"]
    assert seen["engine"] == "UnknownNameError: no engine named 'lokal'; did you mean 'local'?"
    assert seen["version"].startswith("DeploymentError: version: given '../x'")


def test_deployed_from_another_process(called: dict[str, Any]) -> None:
    assert called["repr"].startswith("<deployed s.add(x: int, y: int = 2) -> int at ")
    assert [called[name] for name in ("call", "named", "aio", "uses")] == [3, 2, 6, 30]
    assert called["pair"] == [1, 2]
    assert called["colour"] == "red"
    assert called["point"] is True


def test_deployed_that_is_not_there(called: dict[str, Any]) -> None:
    assert "did you mean 's.add'" in called["task"]
    assert "did you mean 's.add'" in called["env"]
    assert "no version of 's' named 'v2'" in called["version"]
    assert called["missing"].startswith("InputError: missing input 'x'")
    assert called["type"].startswith("RuntimeDataValidationError: input 'x' of s.add: given 'one' of type str")


@pytest.mark.parametrize(
    "call",
    [
        "flyte.run(add, x=1)",
        "asyncio.run(flyte.run.aio(add, x=1))",
        "thread = threading.Thread(target=lambda: flyte.run(add, x=1)); thread.start(); thread.join()",
    ],
)
def test_script_without_a_guard_is_refused(tmp_path: Path, call: str) -> None:
    written(tmp_path / "script.py", f"{DECLARED}\n{call}\n")
    done = ran(["script.py"], tmp_path, timeout=20)
    assert 'put the call under  if __name__ == "__main__":' in done.stderr
    if "thread" not in call:
        assert done.returncode == 1


def test_script_without_a_guard_deploys_but_is_not_called(tmp_path: Path) -> None:
    written(tmp_path / "script.py", f"{DECLARED}\nprint(flyte.deploy(env, version='v1'))\n")
    assert ran(["script.py"], tmp_path).stdout == "<Deployments s@v1>\n"
    done = ran(["-c", "import flyte_nb; flyte_nb.deployed('s.add')(1)"], tmp_path, timeout=20)
    assert done.returncode == 1
    assert "the script calls flyte.deploy whenever it is imported" in done.stderr


def test_nothing_is_stored_by_what_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "script.py", f"{DECLARED}\nif __name__ == '__main__':\n    flyte.run(add, x='one')\n")
    assert ran(["script.py"], tmp_path).returncode == 1
    assert not (tmp_path / "home").exists()


def test_inputs_that_look_like_secrets_are_not_shown() -> None:
    from flyte_nb.environments.declaration import mask_inputs

    assert mask_inputs({"x": 1, "db_password": "hunter2", "url": "db://me:hunter2@host"}) == (
        "x=1, db_password='********', url='********'"
    )


def test_a_line_is_one_piece_of_output_also_where_python_is_unbuffered(folder: Path) -> None:
    script = folder / "lines.py"
    script.write_text(
        "import flyte_nb as flyte\n"
        "from flyte_nb.session import current_session\n"
        "env = flyte.TaskEnvironment('lines')\n"
        "@env.task\n"
        "def f() -> None: print('one', 'two')\n"
        "pieces = []\n"
        "if __name__ == '__main__':\n"
        "    show = lambda event: pieces.append(event.text) if event is not None and event.text else None\n"
        "    current_session().show_run = lambda: show\n"
        "    flyte.run(f)\n"
        "    print(pieces)\n"
    )
    unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=unbuffered, cwd=folder)
    assert done.stdout == "['one two\\n']\n", done.stderr


def test_the_most_specific_variables_reach_the_task(folder: Path) -> None:
    script = folder / "levels.py"
    script.write_text(
        "import os\n"
        "import flyte_nb as flyte\n"
        "env = flyte.TaskEnvironment('levels', env_vars={'MODE': 'environment'})\n"
        "@env.task\n"
        "def mode() -> str: return os.environ.get('MODE', 'none')\n"
        "@env.task\n"
        "def parent() -> str: return mode() + ' ' + mode.override(env_vars={'MODE': 'override'})()\n"
        "if __name__ == '__main__':\n"
        "    print(flyte.run(mode.override(env_vars={'MODE': 'root'})).outputs()[0], flyte.run(parent).outputs()[0])\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=folder)
    assert done.stdout == "root environment override\n", done.stderr


DEPLOYED_SETTINGS = """
import datetime, os, time
import flyte_nb as flyte

env = flyte.TaskEnvironment("strict", resources=flyte.Resources(memory="200Mi"), secrets="deployed-token")
again = flyte.RetryStrategy(1, backoff=flyte.Backoff(base=datetime.timedelta(milliseconds=10)))

@env.task(retries=again)
def attempts() -> list[str]:
    if flyte.ctx().attempt_number == 0:
        raise ConnectionError("nobody answers")
    return [os.environ["DEPLOYED_TOKEN"][:3], str(flyte.ctx().attempt_number)]

@env.task(timeout=1)
def late() -> None:
    time.sleep(60)

@env.task
def greedy() -> int:
    held = []
    for _ in range(40):
        held.append(b"x" * (32 << 20))
        time.sleep(0.02)
    return len(held)

if __name__ == "__main__":
    flyte.deploy(env)
"""
CALLS_THEM = """
import flyte_nb as flyte
print(flyte.deployed("strict.attempts")())
for name in ("late", "greedy"):
    try:
        flyte.deployed(f"strict.{name}")()
    except flyte.errors.RuntimeUserError as error:
        print(type(error).__name__)
"""


def test_what_is_deployed_runs_with_the_settings_it_was_deployed_with(tmp_path: Path) -> None:
    assert ran([str(written(tmp_path / "script.py", DEPLOYED_SETTINGS))], tmp_path).returncode == 0
    called = ran(["-c", CALLS_THEM], tmp_path, DEPLOYED_TOKEN="abc-not-shown")
    assert called.stdout == "['abc', '1']\nMaxRuntimeExceededError\nOOMError\n", called.stderr
    refused = ran(["-c", CALLS_THEM], tmp_path)
    assert "MissingSecretError" in refused.stderr
    assert "DEPLOYED_TOKEN" in refused.stderr


KEPT = """
import sys, uuid
import flyte_nb as flyte

env = flyte.TaskEnvironment("kept", cache="auto")
other = flyte.TaskEnvironment("caller", depends_on=[env])

@env.task
def made(n: int) -> str:
    return f"VERSION {uuid.uuid4().hex}"

@other.task
def calls(n: int) -> str:
    return made(n)

if __name__ == "__main__":
    flyte.deploy(other)
"""


def test_outputs_of_what_is_deployed_are_kept_for_its_code(tmp_path: Path) -> None:
    code = "import flyte_nb as f\nprint(*[f.deployed(n)(x) for n in ('kept.made', 'caller.calls') for x in (1, 1, 2)])"
    seen = []
    for version in ("one", "two"):
        assert ran([str(written(tmp_path / "s.py", KEPT.replace("VERSION", version)))], tmp_path).returncode == 0
        seen += [ran(["-c", code], tmp_path).stdout.replace(version, "").split() for _ in range(2)]
    first, again, second, _ = seen
    assert first[0] == first[1] == first[3] == first[4] != first[2] == first[5]
    assert again == first
    assert not set(first) & set(second)
