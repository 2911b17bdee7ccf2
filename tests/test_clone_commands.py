"""``%flyte clone``, previews and drafts in a real kernel, and what a terminal sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kernels import Kernel, Ran
from scripts import surroundings

BASE = """# base
files = !echo one
base = flyte.TaskEnvironment(
    "base-env",
    resources=flyte.Resources(cpu=1, memory="2Gi"),  # small
    env_vars={"LEVEL": "info"},
)
@base.task
def double(x: int) -> int:
    return 2 * x
"""
PAYLOAD = "\nprint([p for p in get_ipython().payload_manager.read_payload() if p['source'] == 'set_next_input'])"


@pytest.fixture
def declared(kernel: Kernel) -> Kernel:
    kernel.run(BASE)
    return kernel


@pytest.fixture(scope="module")
def unchanged(shared_kernel: Kernel) -> Kernel:
    """A kernel with the environment, for lines that are refused."""
    shared_kernel.run(BASE)
    return shared_kernel


def offered(ran: Ran) -> tuple[str, bool]:
    """Give the code that a cell offered, and whether it replaces that cell."""
    (payload,) = eval(ran.printed)
    return payload["text"], payload["replace"]


def test_a_clone_is_previewed_and_its_code_offered(declared: Kernel) -> None:
    ran = declared.run("p = %flyte clone base-env gpu-env --gpu A100:1 --memory 16Gi --env A=1\nprint(p)")
    assert "~ resources.memory  '2Gi' → '16Gi'" in ran.printed
    assert "not declared yet" in ran.printed
    assert "gpu-env" not in declared.value("list(flyte.current_registry())")
    text, replaces = offered(declared.run("%flyte clone base-env gpu-env --gpu A100:1 --memory 16Gi" + PAYLOAD))
    assert not replaces
    assert text.startswith("gpu_env = base.clone_with(")
    declared.run(text)
    assert declared.value("gpu_env.resources") == "Resources(cpu=1, memory='16Gi', gpu='A100:1')"


def test_a_clone_is_declared_where_it_is_asked_for(declared: Kernel) -> None:
    shown = declared.run("%flyte clone base-env plain-env --reset env_vars --apply").shown
    assert "declared at In [3], line 1" in shown
    assert declared.value("flyte.current_registry()['plain-env'].env_vars") in ("", "None")
    assert "from base-env" in shown


def test_a_clone_that_was_declared_by_the_line_is_a_definition(declared: Kernel) -> None:
    declared.run("%flyte clone base-env big-env --env MORE=2 --apply")
    declared.run("import os\n@big_env.task\ndef both() -> str:\n    return os.environ['LEVEL'] + os.environ['MORE']")
    assert declared.value("flyte.run(both).outputs()").endswith("('info2',)")
    declared.run("%flyte export made.py")
    assert 'big_env = base.clone_with("big-env"' in declared.run("print(open('made.py').read())").printed


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("base-env b --memory 16", "refused: memory: given '16' (it would be 16 bytes"),
        ("base-env B", "for example to 'b'"),
        ("base-env b --reset imag", "did you mean 'image'"),
    ],
)
def test_what_is_refused_is_shown_and_nothing_offered(unchanged: Kernel, line: str, told: str) -> None:
    ran = unchanged.run(f"x = %flyte clone {line}\nprint(x)")
    assert told in ran.printed
    assert unchanged.run("x = 1" + PAYLOAD).printed == "[]\n"
    assert "accepted" in unchanged.run(f"%flyte clone {line} --apply", fails=True).error


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("bas-env b", "did you mean 'base-env'"),
        ("base-env", "the following arguments are required: DST"),
        ("base-env b --gpus 1", "did you mean '--gpu'"),
        ("base-env b --replicas x", "--replicas: given 'x'"),
        ("base-env b --depends-on nobody", "'nobody'"),
    ],
)
def test_a_line_that_is_wrong_says_how(unchanged: Kernel, line: str, told: str) -> None:
    assert told in unchanged.run(f"%flyte clone {line}", fails=True).error


def test_replicas_mean_what_the_kind_of_environment_has(declared: Kernel) -> None:
    declared.run("app = flyte.app.AppEnvironment('app', scaling=flyte.app.Scaling((1, 2), scaledown_after=60))")
    declared.run("%flyte clone base-env warm --replicas 1:3 --concurrency 2 --apply")
    declared.run("%flyte clone app wide --replicas 2:5 --concurrency 9 --apply")
    value = declared.value("flyte.current_registry()['warm'].reusable")
    assert "replicas=(1, 3), concurrency=2" in value.replace("\n", "").replace("            ", " ")
    assert declared.value("flyte.current_registry()['wide'].scaling.replicas") == "(2, 5)"


def test_an_applied_preview_is_an_ordinary_clone(declared: Kernel) -> None:
    declared.run("preview = flyte.preview_clone(base, 'twin', queue='q')")
    declared.run("twin = preview.apply()\n@twin.task\ndef triple(x: int) -> int:\n    return 3 * double(x)")
    assert declared.value("twin.place.line, str(twin.place)") == "(1, 'In [4], line 1')"
    assert declared.value("flyte.run(triple, x=2).outputs()").endswith("(12,)")


def test_a_draft_rewrites_its_cell(declared: Kernel) -> None:
    declared.run("draft = flyte.draft(base).set('resources.memory', '8Gi').set('env_vars.MORE', '1')")
    text, replaces = offered(declared.run("draft.offer()" + PAYLOAD))
    expected = BASE.replace('"2Gi"', '"8Gi"').replace('"info"}', '"info", "MORE": "1"}')
    assert (text, replaces) == (expected, False)
    assert offered(declared.run("draft.offer(replace=True)" + PAYLOAD)) == (expected, True)
    declared.run(text)
    assert declared.value("base == draft.proposed") == "True"
    assert declared.value("flyte.run(double, x=2).outputs()").endswith("(4,)")


def test_a_draft_that_is_applied_changes_what_runs(declared: Kernel) -> None:
    declared.run("new = flyte.draft(base).set('env_vars.LEVEL', 'debug').apply()")
    declared.run("import os\n@new.task\ndef level() -> str:\n    return os.environ['LEVEL']")
    assert declared.value("flyte.run(level).outputs()").endswith("('debug',)")
    assert declared.value("str(new.place)") == "'In [2], line 3'"
    declared.run("x = 1")  # a cell that declares nothing withdraws nothing
    assert declared.value("flyte.current_registry()['base-env'] is new") == "True"
    assert '"LEVEL": "debug"' in declared.run("print(flyte.draft(base).code())").printed


def test_a_failed_cell_takes_an_applied_draft_back(declared: Kernel) -> None:
    declared.run("flyte.draft(base).set('queue', 'q').apply()\n1 / 0", fails=True)
    assert declared.value("flyte.current_registry()['base-env'] is base, double.parent_env() is base") == "(True, True)"


def test_a_magic_line_is_rewritten_as_a_line(kernel: Kernel) -> None:
    kernel.run("%%flyte warm-env --cpu 1 --env A=1\n@env.task\ndef f() -> int:\n    return 1")
    kernel.run("draft = flyte.draft(env).set('resources.memory', '8Gi').set('env_vars.A', '2').set('cache', 'auto')")
    text = kernel.run("print(draft.code())").printed
    assert text.splitlines()[0] == "%%flyte warm-env --cpu 1 --env A=2 --memory 8Gi --cache auto"
    kernel.run(text)
    assert kernel.value("env == draft.proposed") == "True"
    text = kernel.run("draft = flyte.draft(env).set('queue', 'q')\nprint(draft.code())").printed
    assert text.startswith("%%flyte\nenv = flyte.TaskEnvironment(")
    kernel.run(text)
    assert kernel.value("env == draft.proposed, list(env.tasks)") == "(True, ['warm-env.f'])"


def test_one_within_the_body_of_a_magic_cell(kernel: Kernel) -> None:
    kernel.run("%%flyte\n\nenv = flyte.TaskEnvironment('body-env')")
    text = kernel.run("print(flyte.draft(env).set('queue', 'q').code())").printed
    assert text == "%%flyte\n\nenv = flyte.TaskEnvironment('body-env', queue=\"q\")\n"


def test_a_helper_of_another_cell_gets_code_to_add(declared: Kernel) -> None:
    declared.run("def make(name):\n    return flyte.TaskEnvironment(name, queue='q')")
    declared.run("made = make('made-env')")
    declared.run("draft = flyte.draft(made).set('queue', 'r')")
    assert "by the function make()" in declared.value("draft.code().reason")
    declared.run(offered(declared.run("draft.offer()" + PAYLOAD))[0])
    assert declared.value("flyte.current_registry()['made-env'] == draft.proposed") == "True"


def test_what_another_magic_ran_gets_code_to_add(kernel: Kernel) -> None:
    kernel.run("%%time\nenv = flyte.TaskEnvironment('timed-env')")
    kernel.run("%time other = flyte.TaskEnvironment('other-env')")
    for variable in ("env", "other"):
        code = kernel.run(f"c = flyte.draft({variable}).set('queue', 'q').code()\nprint(c)\nprint(repr(c))").printed
        assert 'TaskEnvironment(name="' in code
        assert "cannot be rewritten" in code


def test_clones_are_compared_as_html_that_fits(declared: Kernel) -> None:
    html = declared.run(
        "a = flyte.preview_clone(base, 'a', description='<i>x</i>')\nflyte.compare_clones(a, base)"
    ).html
    assert "&lt;i&gt;" in html
    assert len(html) < 20_000


def test_in_a_terminal_the_code_is_printed(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(
        "import flyte_nb as flyte\n"
        "base = flyte.TaskEnvironment('base-env')\n"
        "flyte.preview_clone(base, 'big', resources=flyte.Resources(cpu=8)).offer()\n"
        "print(flyte.draft(base).set('queue', 'q').offer())\n"
    )
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, env=surroundings(tmp_path / "home")
    )
    assert ran.returncode == 0, ran.stderr
    assert 'big = base.clone_with("big", resources=flyte.Resources(cpu=8))\n' in ran.stdout
    assert "base = flyte.TaskEnvironment('base-env', queue=\"q\")\n" in ran.stdout
