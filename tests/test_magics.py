"""The magics, typed into a real kernel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flyte_nb.cell_line import declaration, rewrite
from flyte_nb.errors import UsageError

from kernels import Kernel, new_kernel

ENV = 'env = flyte.TaskEnvironment("calc", env_vars={"MODE": "fast"})'
TASKS = """
import os
@env.task
def double(x: int) -> int:
    print("doubling", x, os.environ["MODE"])
    return 2 * x
@env.task
def leave(code: int) -> None:
    os._exit(code)
@env.task
def crash() -> None:
    import ctypes
    ctypes.string_at(0)
@env.task
def refuse(x: int) -> int:
    raise KeyError(x)
"""


def test_the_first_line_says_what_to_type_next(bare_kernel: Kernel) -> None:
    ran = bare_kernel.run("%load_ext flyte_nb")
    assert "%%flyte" in ran.printed
    assert "%flyte help" in ran.printed
    assert len(ran.printed.strip().splitlines()) == 1


def test_a_cell_says_what_it_added_changed_and_withdrew(kernel: Kernel) -> None:
    first = kernel.run('%%flyte\na = flyte.TaskEnvironment("a")\nb = flyte.TaskEnvironment("b")')
    assert "+ a  added TaskEnvironment" in first.shown
    assert "declared at In [2], line 3" in first.shown
    assert "<strong>b</strong>" in first.html
    again = kernel.run('%%flyte\na = flyte.TaskEnvironment("a", description="new")')
    assert "environment 'a' of In [2] is replaced by the one in In [3]" in again.shown
    assert "~ a.description  changed: None → 'new'" in again.shown


def test_rerunning_a_cell_withdraws_what_it_no_longer_declares(kernel: Kernel) -> None:
    source = "%%flyte\nfor name in names:\n    flyte.TaskEnvironment(name)"
    kernel.run('names = ["a", "b"]')
    kernel.run(source)
    kernel.run('names = ["a", "c"]')
    ran = kernel.run(source)
    assert "+ c  added" in ran.shown
    assert "- b  withdrawn" in ran.shown
    assert "replaced" not in ran.shown
    assert kernel.value("sorted(flyte.current_registry())") == "['a', 'c']"


def test_a_plain_cell_is_quiet_but_for_notices(kernel: Kernel) -> None:
    assert kernel.run(ENV).outputs == []
    ran = kernel.run('other = flyte.TaskEnvironment("calc")')
    assert ran.shown == "! environment 'calc' of In [2] is replaced by the one in In [3]"


def test_options_declare_the_environment_first(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%flyte my-env --cpu 2 --memory 4Gi --env MODE=fast --env API_KEY=abc --cache auto\n"
        "@task\ndef f() -> int: return 1"
    )
    assert "cpu=2" in ran.shown
    assert "f() -> int" in ran.shown
    assert "abc" not in ran.shown + ran.html
    assert (
        kernel.value("env.name, env.cache, env.env_vars['MODE'], flyte.run(f).outputs()")
        == "('my-env', 'auto', 'fast', (1,))"
    )


def test_a_task_of_an_environment_that_depends_on_another_runs(kernel: Kernel) -> None:
    kernel.run("%%flyte upstream --cpu 1")
    kernel.run("other = flyte.TaskEnvironment('other')")
    kernel.run("%%flyte downstream --depends-on upstream --depends-on other\n@task\ndef f() -> int: return 1")
    ran = kernel.run("print(flyte.run(f).outputs(), [e.name for e in env.depends_on])")
    assert ran.printed == "(1,) ['upstream', 'other']\n"
    kernel.run("flyte.deploy(env)")
    assert kernel.run("print(flyte.deployed('downstream.f')())").printed == "1\n"


def test_a_flyte_cell_may_await_and_show_its_last_value(kernel: Kernel) -> None:
    kernel.run(f"{ENV}{TASKS}")
    ran = kernel.run("%%flyte\nrun = await flyte.run.aio(double, x=4)\nrun.outputs()")
    assert "doubling 4 fast" in ran.printed
    assert "(8,)" in ran.shown


@pytest.fixture(scope="module")
def calc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel with an environment and tasks, for the cells that change nothing."""
    with new_kernel(tmp_path_factory.mktemp("calc")) as kernel:
        kernel.run(f"%load_ext flyte_nb\nimport flyte_nb as flyte\n{ENV}{TASKS}")
        yield kernel


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("%%flyte Bad_Name --cpu 2", ["TaskEnvironment.name", "'Bad_Name'", "accepted", "'bad-name'"]),
        ("%%flyte ok --cpus 2", ["unknown option '--cpus'", "'--cpu'"]),
        ("%%flyte ok --cpu lots", ["Resources.cpu", "'lots'"]),
        ("%%flyte --cpu 2", ["need the name"]),
        ("%flyte lst", ["unknown verb 'lst'", "'list'"]),
        ("%flyte show clac", ["no environment named 'clac'", "'calc'"]),
        ("%flyte run calc.duble x=1", ["no task named 'calc.duble'", "'calc.double'"]),
        ("%flyte run double x=one", ["input 'x'", "'one'", "int"]),
        ("%flyte run double y=1", ["unknown input 'y'"]),
        ("%flyte run double", ["missing input 'x'"]),
        ("%flyte deploy clac", ["no environment named 'clac'"]),
        ("%flyte deploy --engine mars", ["no engine named 'mars'", "'local'"]),
        ("flyte.TaskEnvironment(name=3)", ["TaskEnvironment.name", "given     3"]),
        ("flyte.rum", ["'rum'", "'run'"]),
    ],
)
def test_bad_input_is_one_clear_error_and_changes_nothing(calc: Kernel, cell: str, told: list[str]) -> None:
    before = calc.value("list(flyte.current_registry())")
    error = calc.run(cell, fails=True).error
    for words in told:
        assert words in error
    if "flyte.rum" not in cell:
        assert len(error.splitlines()) <= 8
        assert "flyte_nb/" not in error
    assert calc.value("list(flyte.current_registry())") == before
    assert calc.value("get_ipython().run_line_magic('flyte', 'runs').text()").count("\\n") == 0


def test_the_kernel_survives_what_ends_a_task(kernel: Kernel) -> None:
    kernel.run(f"{ENV}{TASKS}\nalive = object()")
    assert "exit code 3" in kernel.run("flyte.run(leave, 3)", fails=True).error
    assert "SIGSEGV" in kernel.run("flyte.run(crash)", fails=True).error
    assert kernel.value("alive is not None, flyte.run(double, 2).outputs()") == "(True, (4,))"
    shown = kernel.run("%flyte runs").shown
    assert shown.count("failed") == 2
    assert shown.count("succeeded") == 1


def test_an_exception_is_told_in_cells_and_lines(kernel: Kernel) -> None:
    kernel.run(f"{ENV}{TASKS}")
    error = kernel.run("1\nflyte.run(refuse, x=5)", fails=True).error
    assert "In [3], line 2" in error
    assert "In [2], line 16, in refuse\n    raise KeyError(x)" in error
    cause = kernel.run(
        "try: flyte.run(refuse, x=5)\nexcept flyte.errors.RuntimeUserError as e: print(e.code, repr(e.__cause__))"
    )
    assert cause.printed == "KeyError KeyError(5)\n"


def test_a_failed_cell_leaves_everything_as_it_was(kernel: Kernel) -> None:
    kernel.run(f"{ENV}{TASKS}")
    kernel.run(f'{ENV}\nflyte.TaskEnvironment("half")\n@env.task\ndef new(): ...\nraise ValueError', fails=True)
    assert kernel.value("list(flyte.current_registry())") == "['calc']"
    assert kernel.value("flyte.current_registry()['calc'].tasks.keys()") == (
        "dict_keys(['calc.double', 'calc.leave', 'calc.crash', 'calc.refuse'])"
    )


def test_rerunning_the_environments_cell_keeps_the_tasks_of_others(kernel: Kernel) -> None:
    kernel.run(ENV)
    kernel.run(TASKS)
    kernel.run('env = flyte.TaskEnvironment("calc", env_vars={"MODE": "slow"})')
    assert "doubling 1 slow" in kernel.run("flyte.run(double, 1)").printed
    assert "double" in kernel.run("%flyte list").shown


def test_deploy_from_a_cell_and_call(kernel: Kernel) -> None:
    kernel.run(f"{ENV}{TASKS}")
    assert "would deploy" in kernel.run("%flyte deploy --dry-run").shown
    assert kernel.run("%flyte list").shown.rstrip().endswith("declared")
    assert "+ calc  deployed at version" in kernel.run("%flyte deploy calc").shown
    assert "unchanged" in kernel.run("flyte.deploy(env)").shown
    kernel.run(TASKS.replace("2 * x", "3 * x"))
    assert kernel.value('flyte.deployed("calc.double")(x=5)') == "10"
    assert "+ calc  deployed at version" in kernel.run("flyte.deploy(env)").shown
    assert kernel.value('flyte.deployed("calc.double")(x=5)') == "15"
    assert "deployed at" in kernel.run("%flyte show calc").shown


def test_without_the_extension_a_verb_watches_by_itself(bare_kernel: Kernel) -> None:
    bare_kernel.run(f"import flyte_nb as flyte\nFACTOR = 2\n{ENV}")
    bare_kernel.run(TASKS.replace("2 * x", "FACTOR * x"))
    assert "doubling 4 fast" in bare_kernel.run("print(flyte.run(double, 4).outputs())").printed
    bare_kernel.run("FACTOR = 5")
    assert "(20,)" in bare_kernel.run("print(flyte.run(double, 4).outputs())").printed


def test_loading_twice_changes_nothing(kernel: Kernel) -> None:
    ran = kernel.run("%reload_ext flyte_nb")
    assert ran.outputs == []
    assert "+ a  added" in kernel.run("%%flyte a").shown


def test_help_lists_every_verb(calc: Kernel) -> None:
    shown = calc.run("%flyte help").shown
    for verb in ("list", "show", "run", "deploy", "export", "runs", "notebook", "help"):
        assert f"%flyte {verb}" in shown
    assert "--memory" in shown


def test_a_cell_is_rewritten_on_its_own_line() -> None:
    assert rewrite(["%%flyte a --cpu 2\n", "x = 1\n"]) == [
        "import flyte_nb as _flyte; env = _flyte.TaskEnvironment('a', resources=_flyte.Resources(cpu=2)); "
        "task = env.task\n",
        "x = 1\n",
    ]
    assert rewrite(["%%flyte\n", "x = 1\n"]) == ["\n", "x = 1\n"]
    assert rewrite(["%%flytemare\n"]) == ["%%flytemare\n"]
    assert rewrite([]) == []


def test_every_option_becomes_a_setting() -> None:
    line = (
        "my-env --cpu 500m --memory 1Gi --gpu A100:1 --disk 10Gi --image python:3.11 --env A=1 --env B=2 --secret KEY "
        "--cache auto --include 'a b.txt' --description 'two words' --interruptible --depends-on other "
        "--replicas 1:3 --concurrency 2"
    )
    assert declaration(line) == (
        "import flyte_nb as _flyte; env = _flyte.TaskEnvironment('my-env', resources=_flyte.Resources(cpu='500m', "
        "memory='1Gi', gpu='A100:1', disk='10Gi'), image='python:3.11', description='two words', cache='auto', "
        "env_vars={'A': '1', 'B': '2'}, secrets=['KEY'], include=('a b.txt',), interruptible=True, "
        "reusable=_flyte.ReusePolicy(replicas=(1, 3), concurrency=2), "
        "depends_on=[_flyte.current_registry().find('other')]); task = env.task"
    )
    with pytest.raises(UsageError, match="NAME=VALUE"):
        declaration("a --env A")


def test_what_a_cell_ends_with_is_a_card_in_text_too(kernel: Kernel) -> None:
    shown = kernel.run("flyte.TaskEnvironment('ended', env_vars={'API_TOKEN': 'abc'})").shown
    assert shown.startswith("ended  (TaskEnvironment, declared at In [")
    assert "abc" not in shown
    assert kernel.value("flyte.app.AppEnvironment('site')").startswith("site  (AppEnvironment, ")


def test_a_task_at_the_end_of_a_cell_tells_its_settings_and_their_levels(kernel: Kernel) -> None:
    shown = kernel.run(
        "env = flyte.TaskEnvironment('levels', env_vars={'API_TOKEN': 'abc'})\n"
        "@env.task(retries=2)\ndef told() -> int: return 1\ntold"
    ).shown
    assert "retries = " in shown
    assert "(task)" in shown
    assert "abc" not in shown


PARENT = """
import time
@env.task
def child(i: int) -> int:
    time.sleep(2)
    print("late", flush=True)
    if i: raise ValueError("no")
    return i
@env.task
async def parent(i: int) -> int:
    return await child.aio(i)
"""


def test_a_quiet_run_with_children_shows_its_line_before_they_end(kernel: Kernel) -> None:
    kernel.run(ENV)
    kernel.run(PARENT)
    ran = kernel.run("flyte.run(parent, i=0)")
    kinds = [o.output_type for o in ran.outputs]
    assert kinds[:2] == ["display_data", "stream"]
    assert "1 of 1 actions done" in ran.outputs[0].data["text/plain"]


def test_a_failure_names_its_run(kernel: Kernel) -> None:
    kernel.run(ENV)
    kernel.run(PARENT)
    last = kernel.run("flyte.run(parent, i=1)", fails=True).error.splitlines()[-1]
    name = last.rpartition(" ")[2]
    assert last == f"run {name}: %flyte runs {name}"
    assert "a1  calc.child  failed" in kernel.run(f"%flyte runs {name}").shown


def test_help_of_one_verb_tells_its_options(calc: Kernel) -> None:
    shown = calc.run("%flyte help run").shown
    assert re.search(r"--overwrite-cache +compute kept outputs again", shown)
    assert re.search(r"--keep never\|on-failure\|always +keep inputs for %flyte rerun", shown)
    assert "for example\n  %flyte run double x=21" in shown
    assert "%flyte runs" not in shown
    assert calc.run("%flyte run --help").shown == shown
    assert "--dry-run" in calc.run("%flyte help deploy").shown
    assert "unset KEY" in calc.run("%flyte help secret").shown
    assert "did you mean 'list'" in calc.run("%flyte help lits", fails=True).error


def test_an_open_quotation_is_told_in_a_line(calc: Kernel) -> None:
    error = calc.run("%flyte show 'abc", fails=True).error
    assert error.endswith('UsageError: %flyte: no closing quotation in "show \'abc"')


def test_in_a_terminal_an_environment_is_a_card_too(calc: Kernel) -> None:
    assert calc.run("env").shown.startswith("calc  (TaskEnvironment, declared at In [")


def test_a_change_within_a_setting_is_told_as_that(kernel: Kernel) -> None:
    kernel.run("%%flyte big --memory 1Gi --replicas 1:2\npass")
    shown = kernel.run("%%flyte big --memory 2Gi --replicas 1:3\npass").shown
    assert "~ big.resources.memory  changed: '1Gi' → '2Gi'" in shown
    assert "~ big.reusable.replicas  changed: (1, 2) → (1, 3)" in shown
    assert "ReusePolicy(replicas=(1, 3))" in shown


def test_what_changed_since_a_run_and_since_the_deployment_is_told_once(kernel: Kernel) -> None:
    kernel.run(ENV)
    kernel.run("K = 1\n@env.task\ndef k() -> int: return K")
    kernel.run("flyte.run(k); flyte.deploy(env)")
    kernel.run("K = 2")
    shown = kernel.run("%flyte list").shown
    assert shown.count("K (In [") == 1
    assert "changed since the last run of k and the deployment" in shown


TERMINAL = """%load_ext flyte_nb
import flyte_nb as flyte
env = flyte.TaskEnvironment("calc")
@env.task
def child(i: int) -> int:
    import time; time.sleep(2); return i

@env.task
def parent(i: int) -> int:
    return child(i) + child(i)

flyte.run(parent, i=1)
"""


def test_a_terminal_prints_no_line_for_each_second(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "--simple-prompt"],
        input=TERMINAL, capture_output=True, text=True, timeout=60, cwd=tmp_path,
        env={**os.environ, "FLYTE_NB_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")},
    )  # fmt: skip
    assert "a2  calc.child  succeeded" in done.stdout
    assert "actions done" not in done.stdout


def test_a_deployment_tells_the_values_that_travel(kernel: Kernel) -> None:
    kernel.run(ENV)
    kernel.run("limits = [1]\nlimits.append(2)\n@env.task\ndef add() -> int: return sum(limits)")
    for line in ("%flyte deploy --dry-run", "%flyte deploy"):
        (row,) = [row for row in kernel.run(line).shown.splitlines() if row.startswith("+ limits  ")]
        assert row.endswith(", line 1")
        assert " bytes, computed by In [" in row
    assert "limits" not in kernel.run("%flyte deploy").shown


def test_environments_as_json_hide_what_is_secret(kernel: Kernel) -> None:
    kernel.run("%%flyte calc --cpu 2 --env API_TOKEN=v4lue\n@task\ndef f(x: int) -> int: return x")
    (listed,) = json.loads(kernel.run("%flyte list --json").shown)
    assert (listed["environment"], listed["tasks"]) == ("calc", {"calc.f": "(x: int) -> int"})
    shown = kernel.run("%flyte show calc --json").shown
    assert json.loads(shown)["settings"]["resources"] == "Resources(cpu=2)"
    assert "v4lue" not in shown


def test_help_of_a_flyte_line(calc: Kernel) -> None:
    shown = calc.run("%%flyte --help").shown
    assert shown.startswith("%%flyte [NAME] [options]")
    assert "--memory" in shown
    assert calc.run("%flyte help cell").shown == shown
    assert calc.run("%flyte --help").shown == calc.run("%flyte help").shown
    assert "list|clear" in calc.run("%flyte cache --help").shown
    assert "did you mean" not in calc.run("%flyte serve", fails=True).error
