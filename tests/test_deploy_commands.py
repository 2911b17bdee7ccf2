"""``%flyte deploy``, ``rollback``, ``history``, ``diff`` and ``prune`` in a real kernel."""

from __future__ import annotations

import json
import re
from pathlib import Path

from kernels import Kernel, new_kernel

ENV = """
FACTOR = {factor}
env = flyte.TaskEnvironment("calc", resources=flyte.Resources(cpu={cpu}), env_vars={{"API_TOKEN": "s3cret-{cpu}"}})

@env.task
def times(x: int) -> int:
    \"\"\"Multiply.

    :param x: What is multiplied,
        by a factor.
    \"\"\"
    return FACTOR * x
"""


def test_a_declaration_that_is_only_written_otherwise(kernel: Kernel) -> None:
    kernel.run('env = flyte.TaskEnvironment("other")\nflyte.deploy(env)')
    kernel.run('env = flyte.TaskEnvironment(name="other")')
    told = kernel.run("%flyte diff other@current other").shown.splitlines()
    assert told[1:] == ["~ its declaration  changed"]


def test_versions_come_and_go(kernel: Kernel, tmp_path: Path) -> None:
    assert "nothing is deployed yet" in kernel.run("%flyte history").shown
    kernel.run(ENV.format(factor=2, cpu=1))
    assert kernel.run("%flyte deploy --version v1").shown == "+ calc  deployed at version v1: times"
    kernel.run(ENV.format(factor=3, cpu=2))
    assert "- " not in kernel.run("%flyte diff calc@v1 calc@current").shown
    assert kernel.run("%flyte diff calc@v1 calc@current").shown == "= calc@v1 and calc@v1  are the same"
    changed = kernel.run("%flyte diff calc@v1 calc")
    assert changed.shown.splitlines()[0] == "~ calc@v1 → calc (as declared)"
    assert "~ resources.cpu  1 → 2" in changed.shown
    assert "~ task times  changed: FACTOR changed" in changed.shown
    assert "s3cret" not in changed.shown + changed.html
    assert "+ calc  deployed at version v2: times" in kernel.run("%flyte deploy --version v2").shown
    assert "~ calc@v1 → calc@v2" in kernel.run("%flyte diff calc@v1 calc@v2").shown
    assert "go back" not in kernel.run("%flyte history calc").shown
    shown = kernel.run("%flyte history calc")
    first, second = shown.shown.splitlines()[1:]
    assert first.split()[:2] == ["calc", "v2"]
    assert "current until" in second
    assert "<table" in shown.html
    assert kernel.run("%flyte rollback calc").shown == "+ calc  is back at version v1"
    assert kernel.value('flyte.deployed("calc.times")(x=4)') == "8"
    error = kernel.run("%flyte deploy --version v2 --dry-run").shown
    assert error == "+ calc  would be back at version v2"
    kernel.run(ENV.format(factor=4, cpu=2))
    assert "flyte.rollback('calc', version='v2')" in kernel.run("%flyte deploy --version v2", fails=True).error
    assert "would remove" in kernel.run("%flyte prune --days 0").shown
    assert "would remove" in kernel.run("flyte.prune(days=0)").shown
    assert "calc at v2  removed" in kernel.run("%flyte prune --days 0 --apply").shown
    assert kernel.run("flyte.deployments(env)").shown.count("calc") == 1
    assert "did you mean 'calc'" in kernel.run("%flyte history calk", fails=True).error
    assert "accepted: NAME@VERSION" in kernel.run("%flyte diff calc@ calc", fails=True).error


def test_two_environments_are_compared(kernel: Kernel) -> None:
    kernel.run(ENV.format(factor=2, cpu=1))
    kernel.run('other = env.clone_with("other")\n\n@other.task\ndef times(x: int) -> int:\n    return x')
    shown = kernel.run("%flyte diff calc other").shown
    assert shown.splitlines()[0] == "~ calc (as declared) → other (as declared)"
    assert "~ task times  changed: times changed, FACTOR is gone" in shown
    assert "name" not in shown.replace("names", "")


def test_a_deployed_task_shows_what_it_takes(kernel: Kernel) -> None:
    kernel.run(ENV.format(factor=2, cpu=1))
    kernel.run("flyte.deploy(env, version='v1')")
    shown = kernel.run('flyte.deployed("calc.times")')
    assert shown.shown.splitlines()[0] == "calc.times  (deployed task, version v1)"
    assert "x        int  (What is multiplied, by a factor.)" in shown.shown
    assert "Multiply." in shown.html


def test_a_later_kernel_calls_what_is_deployed(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(ENV.format(factor=2, cpu=1))
    kernel.run("flyte.deploy(env, version='v1')")
    with new_kernel(tmp_path) as later:
        later.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        assert later.value('flyte.deployed("calc.times")(x=4)') == "8"
        assert "calc" in later.run("%flyte history").shown
        assert later.run("%flyte rollback calc --version v1").shown == "= calc  unchanged at version v1"


def test_a_dependency_that_was_withdrawn_deploys_nothing(kernel: Kernel) -> None:
    source = "for name in names:\n    flyte.TaskEnvironment(name)"
    kernel.run('names = ["up", "over"]')
    kernel.run(source)
    kernel.run('env = flyte.TaskEnvironment("calc", depends_on=[flyte.current_registry().find("up")])')
    kernel.run("flyte.deploy(env, dry_run=True)")
    kernel.run('names = ["over"]')
    kernel.run(source)
    error = kernel.run("flyte.deploy(env)", fails=True).error
    assert "'calc'" in error
    assert "'up'" in error
    assert "nothing is deployed yet" in kernel.run("%flyte history").shown


def test_progress_is_one_quiet_line(kernel: Kernel) -> None:
    kernel.run(ENV.format(factor=2, cpu=1))
    kernel.run("from flyte_nb.widgets import deployments\nusual, deployments.FIRST = deployments.FIRST, 600")
    quick = kernel.run("flyte.deploy(env)")
    assert len(quick.outputs) == 1  # no more than the answer, within what is quick
    kernel.run("deployments.FIRST = usual")
    slow = kernel.run(
        "import asyncio\nfrom dataclasses import dataclass\n@dataclass(kw_only=True)\nclass Mine(flyte.Environment):\n"
        "    pass\nasync def deployer(context):\n    await asyncio.sleep(1.3)\n"
        "flyte.extend.register_deployer(Mine, deployer)\nflyte.deploy(Mine('mine'), Mine('yours'))"
    )
    assert len(slow.outputs) == 2
    assert re.search("deploying: (mine|yours) deployed", json.dumps([o.get("data") for o in slow.outputs]))
    assert "2 of 2 environments done" in slow.shown


EDITED = """
env = flyte.TaskEnvironment("edited", env_vars={"LEVEL": "a"}, queue="slow")

@env.task
def inner() -> str:
    import os
    return os.environ["LEVEL"]

@env.task
def outer() -> str:
    return f"{inner()} {env.queue}"
"""


def test_what_a_draft_applied_is_what_runs_deploys_and_is_exported(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(EDITED)
    kernel.run("%flyte deploy edited")
    kernel.run('flyte.draft(env).set("env_vars.LEVEL", "b").set("queue", "fast").apply()')
    told = "! 'edited' travels as a draft has changed it (env_vars, queue), which its source does not say"
    assert told in kernel.run("%flyte plan").shown
    assert kernel.value("flyte.run(outer).outputs()[0]").splitlines()[-1] == "'b fast'"
    for ask in ("%flyte deploy edited --dry-run", "%flyte deploy edited"):
        assert told in kernel.run(ask).shown
    assert kernel.value('flyte.deployed("edited.outer")()').splitlines()[-1] == "'b fast'"
    kernel.run("%flyte export edited.py")
    assert 'env_vars={"LEVEL": "b"}, queue="fast"' in (tmp_path / "edited.py").read_text()
    kernel.run(EDITED.replace('"a"', '"b"').replace("slow", "fast"))  # written into the source, it is the same
    shown = kernel.run("%flyte plan").shown
    assert "= 1 unchanged" in shown
    assert "travels as" not in shown


def test_comments_and_layout_are_no_change(kernel: Kernel) -> None:
    cell = ENV.format(factor=2, cpu=1)
    kernel.run(cell)
    made = kernel.run("%flyte deploy calc").shown.partition("version ")[2].partition(":")[0]
    kernel.run(
        cell.replace("    return FACTOR * x", "    # twice\n    return (FACTOR\n            * x)  # as told").lstrip()
    )
    assert kernel.run("%flyte deploy calc").shown == f"= calc  unchanged at version {made}"
    assert "out of date" not in kernel.run("%flyte list").shown
    kernel.run(cell.replace("Multiply.", "Multiply by a factor."))
    assert "~ calc  update" in kernel.run("%flyte plan").shown  # what is shown of a task is a part of it
