"""``flyte.plan`` in real kernels: what would happen is told, and nothing happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kernels import Kernel

HELPERS = "FACTOR = 2\nUNREAD = 1\ndef helper(x):\n    return x * FACTOR"
BASE = """resources = flyte.Resources(cpu={cpu})
base = flyte.TaskEnvironment("base", resources=resources, env_vars={{"API_TOKEN": "{token}"}})
@base.task
def f(x: int) -> int:
    return helper(x)
@base.task
def g(x: int) -> int:
    return x
"""
TOP = """top = flyte.TaskEnvironment("top", depends_on=[base], include=("page.html",))
@top.task
def h(x: int) -> int:
    return f(x)
"""


@pytest.fixture
def declared(kernel: Kernel, tmp_path: Path) -> Kernel:
    """A kernel with two environments, one of which includes a file."""
    (tmp_path / "page.html").write_text("<p>one</p>")
    for cell in (HELPERS, BASE.format(cpu=1, token="t0p"), TOP):
        kernel.run(cell)
    return kernel


def plan(kernel: Kernel, arguments: str = "") -> dict[str, Any]:
    """Give a plan as JSON data."""
    printed = kernel.run(f"print(flyte.plan({arguments}).to_json())").printed
    made: dict[str, Any] = json.loads(printed[printed.index("{") :])
    return made


def changes(made: dict[str, Any]) -> dict[str, str]:
    return {change["environment"]: change["what"] for change in made["changes"]}


def change_of(made: dict[str, Any], name: str) -> dict[str, Any]:
    return next(change for change in made["changes"] if change["environment"] == name)


def test_a_plan_changes_nothing_and_is_the_same_again(declared: Kernel, tmp_path: Path) -> None:
    declared.run(
        "before = dict(flyte.current_registry()), {n: list(e.tasks) for n, e in flyte.current_registry().items()}"
    )
    files = sorted(tmp_path.rglob("*"))
    first, second = plan(declared), plan(declared)
    assert first == second
    assert changes(first) == {"base": "create", "top": "create"}
    assert (first["order"], first["waves"]) == (["base", "top"], [["base"], ["top"]])
    assert sorted(tmp_path.rglob("*")) == files
    now = "dict(flyte.current_registry()), {n: list(e.tasks) for n, e in flyte.current_registry().items()}"
    assert declared.value(f"({now}) == before") == "True"
    assert declared.run("%flyte history").shown.startswith("! nothing is deployed")


def test_what_was_deployed_is_the_same_until_something_changes(declared: Kernel, tmp_path: Path) -> None:
    declared.run("deployed = flyte.deploy(base, top)")
    made = plan(declared)
    assert changes(made) == {"base": "same", "top": "same"}
    declared.run("UNREAD = 2\n" + "other = 1")
    assert plan(declared) == made
    declared.run("FACTOR = 3")
    made = plan(declared)
    assert changes(made) == {"base": "update", "top": "update"}
    names = {task["task"]: [n["name"] for n in task["names"]] for c in made["changes"] for task in c["tasks"]}
    assert names == {"base.f": ["FACTOR"], "top.h": ["FACTOR"]}
    declared.run("FACTOR = 2")
    assert changes(plan(declared)) == {"base": "same", "top": "same"}
    (tmp_path / "page.html").write_text("<p>two</p>")
    made = plan(declared)
    assert changes(made) == {"base": "same", "top": "update"}
    assert change_of(made, "top")["files"] == [{"name": "page.html", "what": "changed"}]


def test_fields_and_tasks_one_by_one(declared: Kernel) -> None:
    declared.run("flyte.deploy(base)")
    declared.run(BASE.format(cpu=2, token="t1p").replace("def g(x: int)", "def k(x: int)"))
    declared.run("del base.tasks['base.g']")
    shown = declared.run("flyte.plan(base)")
    lines = shown.shown.splitlines()
    assert "~ base.resources.cpu  1 → 2" in lines
    assert "~ base.env_vars.API_TOKEN  '********' → '********'" in lines
    assert "+ base.k  task added" in lines
    assert "- base.g  task withdrawn" in lines
    assert not any("t0p" in text or "t1p" in text for text in (shown.shown, shown.html))
    assert not any(line.startswith("~ base.f") for line in lines)


def test_captured_values_images_and_secrets(declared: Kernel, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KNOWN_KEY=never-shown-value\n")
    declared.run("import random\ndata = [random.random() for _ in range(1000)]")
    declared.run(
        'image = flyte.Image.from_debian_base().with_pip_packages("six").with_apt_packages("ffmpeg")\n'
        'env = flyte.TaskEnvironment("env", image=image, secrets=["known-key", "no-such-key"],\n'
        '    resources=flyte.Resources(cpu=1000, disk="10Gi", shm="1Gi"))\n'
        "@env.task\ndef total() -> float:\n    return sum(data)"
    )
    made = plan(declared, "env")
    assert [(value["path"], value["size"] > 5_000) for value in made["values"]] == [("data", True)]
    assert made["values"][0]["why"] == "computed by In [5], line 2"
    (image,) = made["images"]
    assert image["state"].startswith("not built yet")
    assert "with_apt_packages('ffmpeg')" in image["missing"][0]
    assert [(s["key"], bool(s["source"])) for s in made["secrets"]] == [("known-key", True), ("no-such-key", False)]
    told = "\n".join(made["notices"])
    for text in ("cpu 1000 asked", "disk 10Gi is not enforced", "shm 1Gi is not enforced", "'no-such-key' is nowhere"):
        assert text in told
    shown = declared.run("flyte.plan(env)")
    assert not any("never-shown-value" in text for text in (shown.shown, shown.html, json.dumps(made)))


def test_a_dependency_on_a_withdrawn_environment(declared: Kernel) -> None:
    declared.run("%%flyte gone\n@task\ndef t() -> int: return 1")
    declared.run('left = flyte.TaskEnvironment("left", depends_on=[env])')
    declared.run("from flyte_nb.session import current_registry\ncurrent_registry()._entries.pop('gone')")
    error = declared.run("flyte.plan()", fails=True).error
    assert "'left'" in error
    assert "depends on 'gone', which is not declared any more" in error


def test_a_file_that_is_not_there_any_more(declared: Kernel, tmp_path: Path) -> None:
    assert changes(plan(declared))["top"] == "create"
    (tmp_path / "page.html").unlink()
    for verb in ("plan", "deploy"):
        error = declared.run(f"flyte.{verb}(top)", fails=True).error
        assert "environment 'top' includes 'page.html', which is not in" in error


def test_what_holds_an_earlier_declaration_says_so(declared: Kernel) -> None:
    declared.run(BASE.format(cpu=2, token="t0p"))
    made = plan(declared)
    assert made["notices"] == ["top holds an earlier declaration of base; the newest counts (In [5], line 2)"]


def test_what_is_deployed_and_not_declared_stays_out(declared: Kernel) -> None:
    declared.run('%%flyte\nextra = flyte.TaskEnvironment("extra")')
    declared.run("deployed = flyte.deploy(extra, top)")
    declared.run("from flyte_nb.session import current_registry\ncurrent_registry()._entries.pop('extra')")
    assert changes(plan(declared)) == {"base": "same", "top": "same"}
    assert changes(plan(declared, "base")) == {"base": "same"}


def test_a_version_that_is_taken(declared: Kernel) -> None:
    declared.run('deployed = flyte.deploy(base, version="v1")')
    declared.run("UNREAD = 8")
    assert changes(plan(declared, 'base, version="v1"')) == {"base": "same"}
    assert changes(plan(declared, 'base, version="v2"')) == {"base": "update"}
    declared.run("FACTOR = 9")
    assert any("deploying would be refused" in notice for notice in plan(declared, 'base, version="v1"')["notices"])


def test_what_is_no_environment_is_refused(declared: Kernel) -> None:
    assert "flyte.plan: given 3; accepted: environments" in declared.run("flyte.plan(3)", fails=True).error


def test_it_can_be_awaited(declared: Kernel) -> None:
    assert declared.value("(await flyte.plan.aio(base)).order") == "('base',)"


def test_nothing_declared(kernel: Kernel) -> None:
    assert "nothing to plan" in kernel.run("flyte.plan()", fails=True).error


def test_the_verb_and_the_package_of_one_name(tmp_path: Path) -> None:
    script = (
        "import flyte_nb.plan.graph\nfrom flyte_nb.plan.graph import graph_of\nimport flyte_nb as flyte\n"
        "assert callable(flyte.plan), flyte.plan\nimport flyte_nb.session\nassert callable(flyte.plan)\n"
        "from flyte_nb.plan import bundle\nprint(bundle.Bundle.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "Bundle", done.stderr


KINDS = (
    "from mod import menv\nK = 1",
    "@menv.task\ndef extra(x: int) -> int:\n    return x + K",
    "for n in ('loop-a', 'loop-b'):\n    q = flyte.TaskEnvironment(n)",
    "%%flyte one\n@task\ndef t() -> int: return 1",
    "%%flyte two\n@task\ndef t() -> int: return 2",
    "flyte.TaskEnvironment('bare')",
    "many = [flyte.TaskEnvironment(f'many-{i}') for i in range(3)]",
    "web = flyte.app.AppEnvironment(name='web', image='x')\ndef text(): return K\n"
    "@web.server\ndef serve(): return text()",
)
DIGESTS = """from flyte_nb.session import current_session
def digests(*envs):
    return {row["environment"]: row["digest"] for row in current_session().shipping.bundle(envs).environments}
"""


@pytest.fixture(scope="module")
def kinds(shared_kernel: Kernel) -> Kernel:
    """A kernel with environments declared in every way there is; each test compares with how it found them."""
    folder, kernel = shared_kernel.folder, shared_kernel
    (folder / "lib.py").write_text("X = 1\n")
    (folder / "mod.py").write_text(
        "import flyte_nb as flyte\nimport lib\nmenv = flyte.TaskEnvironment('menv')\n"
        "@menv.task\ndef inside(x: int) -> int:\n    return x + lib.X\n"
    )
    for cell in (*KINDS, DIGESTS):
        kernel.run(cell)
    return kernel


def test_what_an_environment_is_does_not_depend_on_what_else_is_deployed(kinds: Kernel) -> None:
    kinds.run("every = list(flyte.current_registry().values())\nwhole = digests(*every)")
    assert kinds.value("len(whole)") == "10"
    assert kinds.value("[env.name for env in every if digests(env)[env.name] != whole[env.name]]") == "[]"


@pytest.mark.parametrize(
    ("cell", "changed"),
    [
        ("K = 2", ["menv", "web"]),
        ("%%flyte one\n@task\ndef t() -> int: return 3", ["one"]),
        ("open('lib.py', 'a').write('Y = 2\\n')", ["menv"]),
        ("flyte.TaskEnvironment('bare', description='x')", ["bare"]),
        ("def text(): return -K", ["web"]),
        ("many = [flyte.TaskEnvironment(f'many-{i}') for i in range(3) if True]", ["many-0", "many-1", "many-2"]),
        ("unread = 1", []),
    ],
)
def test_what_changes_an_environment_changes_its_digest(kinds: Kernel, cell: str, changed: list[str]) -> None:
    kinds.run("before = digests(*flyte.current_registry().values())")
    kinds.run(cell)
    kinds.run("now = digests(*flyte.current_registry().values())")
    assert kinds.value("sorted(name for name in now if now[name] != before[name])") == str(changed)
