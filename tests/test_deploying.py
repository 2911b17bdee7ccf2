"""The verbs of deployments, from scripts in real processes: deploy, go back, see, prune, deployers of one's own."""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from flyte_nb.engine.store import Store

from scripts import ran, start, written

DECLARED = """
import json, sys
import flyte_nb as flyte

VALUE = {value}
base = flyte.TaskEnvironment("base", description="{value}")
env = flyte.TaskEnvironment("calc", depends_on=[base])
alone = flyte.TaskEnvironment("alone")

@env.task
def times(x: int) -> int:
    return VALUE * x

@alone.task
def same(x: int) -> int:
    return x

def told(function, *args, **kwargs):
    try:
        return repr(function(*args, **kwargs))
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"

if __name__ == "__main__":
    seen = {{}}
{main}
    print(json.dumps(seen))
"""


def script(folder: Path, main: str, value: int = 2) -> dict[str, Any]:
    """Run a script that declares environments, and then does something; give what it has seen."""
    source = DECLARED.format(value=value, main=textwrap.indent(textwrap.dedent(main), "    "))
    done = ran(["-W", "error", written(folder / "script.py", source).name], folder)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def test_each_environment_has_its_own_version(tmp_path: Path) -> None:
    first = script(tmp_path, "seen['made'] = {d.environment: d.version for d in flyte.deploy(env, alone)}")["made"]
    assert len(set(first.values())) == 1
    main = """
        made = flyte.deploy(env, alone)
        seen["made"] = {d.environment: [d.version, d.unchanged] for d in made}
        seen["called"] = [flyte.deployed("calc.times")(x=4), flyte.deployed("calc.times", version="%s")(x=4)]
        seen["again"] = [d.unchanged for d in flyte.deploy(env, alone)]
        seen["only"] = [d.unchanged for d in flyte.deploy(alone)]
        seen["history"] = [[d.environment, d.version, d.current] for d in flyte.deployments(env)]
        seen["all"] = sorted(d.environment for d in flyte.deployments())
    """
    seen = script(tmp_path, main % first["calc"], value=3)
    assert seen["made"]["alone"] == [first["alone"], True]
    assert seen["made"]["calc"][0] != first["calc"]
    assert [changed for _, changed in seen["made"].values()].count(False) == 2
    assert seen["called"] == [12, 8]
    assert seen["again"] == [True, True, True]
    assert seen["only"] == [True]
    assert seen["history"] == [["calc", seen["made"]["calc"][0], True], ["calc", first["calc"], False]]
    assert seen["all"] == ["alone", "base", "calc"]


def test_going_back(tmp_path: Path) -> None:
    script(tmp_path, "flyte.deploy(env, version='v1')", value=2)
    script(tmp_path, "flyte.deploy(env, version='v2')", value=3)
    main = """
        seen["refused"] = told(flyte.deploy, env, version="v1")
        seen["one"] = told(flyte.rollback, "base")
        seen["back"] = [repr(flyte.rollback(env)), flyte.deployed("calc.times")(x=10)]
        seen["again"] = [repr(flyte.rollback("calc", version="v1")), flyte.deployed("calc.times")(x=10)]
        seen["forth"] = [repr(flyte.rollback("calc")), flyte.deployed("calc.times")(x=10)]
        seen["unknown"] = told(flyte.rollback, "calc", version="v3")
        seen["nobody"] = told(flyte.rollback, "calk")
        seen["nothing"] = told(flyte.rollback)
        seen["task"] = told(flyte.rollback, times)
        seen["never"] = told(flyte.rollback, "alone")
        flyte.deploy(alone)
        seen["first"] = told(flyte.rollback, "alone")
        seen["both"] = told(flyte.rollback, "calc", "alone", version="v1")
        seen["current"] = {d.environment: d.version for d in flyte.deployments()}
    """
    seen = script(tmp_path, main, value=4)
    assert "version 'v1' of 'base' is deployed already, with other content" in seen["refused"]
    assert "flyte.rollback('base', version='v1')" in seen["refused"]
    assert seen["one"] == "<Deployments base@v1>"
    assert seen["back"] == ["<Deployments calc@v1>", 20]
    assert seen["again"] == ["<Deployments calc@v1 (unchanged)>", 20]
    assert seen["forth"] == ["<Deployments calc@v2>", 30]  # the one that was current before
    assert "no version of 'calc' named 'v3'; did you mean" in seen["unknown"]
    assert "did you mean 'calc'" in seen["nobody"]
    assert seen["nothing"].startswith("UsageError: nothing to go back with")
    assert seen["task"].startswith("UsageTypeError: flyte.rollback: given")
    assert seen["never"].startswith("UnknownNameError: no deployed environment named 'alone'")
    assert "'alone' has one version only" in seen["first"]
    assert "no version of 'alone' named 'v1'" in seen["both"]
    assert seen["current"]["calc"] == "v2"  # all of them go back, or none


def test_a_bundle_edited_on_disk_is_refused(tmp_path: Path) -> None:
    script(tmp_path, "flyte.deploy(env, version='v1')")
    main = """
        seen["called"] = told(flyte.deployed("calc.times"), x=1)
        seen["back"] = told(flyte.rollback, env, version="v1")
        seen["deployed"] = repr(flyte.deploy(env, version="v1"))
        seen["then"] = flyte.deployed("calc.times")(x=1)
    """
    damages: list[tuple[Callable[[Path], object], str]] = [
        (lambda home: (home / "cells.py").write_text("VALUE = 9"), "cells.py is changed"),
        (lambda home: (home / "json.py").write_text("evil = 1"), "json.py is added"),
        (lambda home: (home / "manifest.json").write_text("{}"), "manifest.json is changed"),
        (lambda home: (home / "cells.py").unlink(), "cells.py is gone"),
    ]
    for damage, what in damages:
        store = Store(tmp_path / "home")
        damage(store.bundles / store.deployed("calc")["bundle"])
        store.close()
        seen = script(tmp_path, main)
        assert "is not what was deployed: " in seen["called"]
        assert what in seen["called"]
        assert what in seen["back"]
        assert seen["deployed"] == "<Deployments base@v1 (unchanged), calc@v1 (unchanged)>"
        assert seen["then"] == 2  # written anew


def test_what_a_task_writes_into_its_folder_is_no_edit(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("hello")
    main = """
        reads = flyte.TaskEnvironment("reads", include=["data.txt"])
        flyte.deploy(reads)
    """
    script(tmp_path, main)
    (home,) = (path for path in (tmp_path / "home" / "bundles").iterdir() if (path / "data.txt").exists())
    (home / "out.csv").write_text("1")
    assert script(tmp_path, "seen['again'] = [d.unchanged for d in flyte.deploy(flyte.TaskEnvironment("
                            "'reads', include=['data.txt']))]")["again"] == [True]  # fmt: skip


def test_a_large_bundle_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    for name, size in (("model.bin", 90 << 20), ("data.bin", 30 << 20), ("small.txt", 10)):
        with (tmp_path / name).open("wb") as out:
            out.truncate(size)
    main = """
        large = flyte.TaskEnvironment("large", include=["model.bin", "data.bin", "small.txt"])
        seen["refused"] = told(flyte.deploy, large)
        seen["dry"] = told(flyte.deploy, large, dry_run=True)
        seen["allowed"] = told(flyte.deploy, large, allow_large=True)
    """
    seen = script(tmp_path, main)
    assert "DeploymentError: the bundle has 120.0 MiB, more than 100.0 MiB; nothing was deployed" in seen["refused"]
    lines = seen["refused"].splitlines()[1:]
    assert [line.split()[2] for line in lines[:2]] == ["model.bin", "data.bin"]
    assert "allow_large=True, --allow-large" in lines[-1]
    assert seen["dry"] == seen["refused"]
    assert seen["allowed"].startswith("<Deployments large@")


def test_pruning(tmp_path: Path) -> None:
    script(tmp_path, "flyte.deploy(env, version='v1')", value=2)
    script(tmp_path, "flyte.deploy(env, version='v2')", value=3)
    main = """
        seen["young"] = told(flyte.prune)
        seen["dry"] = [[d.environment, d.version] for d in flyte.prune(days=0).versions]
        seen["still"] = len(flyte.deployments("calc"))
        gone = flyte.prune(days=0, dry_run=False)
        seen["gone"] = [sorted(d.version for d in gone.versions), len(gone.bundles), gone.size > 0]
        seen["left"] = [d.version for d in flyte.deployments("calc")]
        seen["called"] = flyte.deployed("calc.times")(x=1)
        seen["wrong"] = told(flyte.prune, days=-1)
    """
    seen = script(tmp_path, main, value=3)
    assert "versions=()" in seen["young"]
    assert sorted(seen["dry"]) == [["base", "v1"], ["calc", "v1"]]
    assert (seen["still"], seen["gone"], seen["left"], seen["called"]) == (2, [["v1", "v1"], 1, True], ["v2"], 3)
    assert seen["wrong"].startswith("UsageError: flyte.prune(days=): given -1")
    assert len(list((tmp_path / "home" / "bundles").iterdir())) == 1


HOLDS = """
import flyte_nb as flyte
task = flyte.deployed("calc.times", version="v1")
print("held", flush=True)
input()
print(task(x=1))
"""


def test_what_a_running_process_uses_is_not_pruned(tmp_path: Path) -> None:
    import subprocess
    import sys

    from scripts import surroundings

    script(tmp_path, "flyte.deploy(env, version='v1')", value=2)
    script(tmp_path, "flyte.deploy(env, version='v2')", value=3)
    env = surroundings(tmp_path / "home")
    with subprocess.Popen([sys.executable, "-c", HOLDS], cwd=tmp_path, env=env, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        pruned = "made = flyte.prune(days=0, dry_run=False); seen['made'] = [len(made.versions), list(made.kept)]"
        count, kept = script(tmp_path, pruned, value=3)["made"]
        assert count == 0
        assert sorted(kept) == [f"{name} at v1: a running process uses it" for name in ("base", "calc")]
        assert process.communicate("\n")[0] == "2\n"
    assert script(tmp_path, pruned, value=3)["made"] == [2, []]


# --- deployers ---

DEPLOYER = """
    import asyncio
    from dataclasses import dataclass

    @dataclass(kw_only=True)
    class Cluster(flyte.Environment):
        nodes: int = 1

    @dataclass(kw_only=True)
    class Large(Cluster):
        pass

    calls = []

    async def deployer(context):
        told = context.serialization_context
        calls.append([context.environment.name, context.dryrun, bool(told.version), told.root_dir is not None])
        if context.environment.nodes == 3:
            await asyncio.sleep(1.3)  # without news for longer than a second
        if context.environment.nodes > 10:
            raise RuntimeError("too many nodes")
        return f"{context.environment.name} with {context.environment.nodes}"

    flyte.extend.register_deployer(Cluster, deployer)
    assert flyte.extend.get_deployer(Large) is deployer
    seen["none"] = told(flyte.extend.get_deployer, flyte.TaskEnvironment)
    seen["wrong"] = told(flyte.extend.register_deployer, int, deployer)
    seen["no"] = told(flyte.extend.register_deployer, Cluster, None)
"""


def test_deployers_of_ones_own(tmp_path: Path) -> None:
    main = f"""{DEPLOYER}
    one, two = Cluster("one", nodes=2), Large("two", nodes=3)
    uses = flyte.TaskEnvironment("uses", depends_on=[one])
    flyte.deploy(one, dry_run=True)
    seen["results"] = {{d.environment: d.result for d in flyte.deploy(uses, two, alone)}}
    flyte.deploy(uses, two)
    seen["calls"] = sorted(calls[1:])
    seen["dry"] = calls[0]
    calls.clear()
    one = Cluster("one", nodes=20)
    uses = flyte.TaskEnvironment("uses", depends_on=[one], description="changed")
    two = Large("two", nodes=4)
    seen["failed"] = told(flyte.deploy, uses, two)
    seen["current"] = {{d.environment: d.digest[:6] for d in flyte.deployments()}}
    seen["after"] = [len(flyte.deployments(name)) for name in ("one", "uses", "two")]
    """
    seen = script(tmp_path, main)
    assert seen["none"].startswith("ValueError: no deployer is registered for TaskEnvironment")
    assert "accepted: a class derived from Environment" in seen["wrong"]
    assert "accepted: an async function" in seen["no"]
    assert seen["results"] == {"one": "one with 2", "uses": None, "two": "two with 3", "alone": None}
    assert seen["calls"] == [["one", False, True, True], ["two", False, True, True]]  # not again when unchanged
    assert seen["dry"] == ["one", True, True, False]
    assert "RuntimeError: too many nodes" in seen["failed"]
    assert "; deployed: two at " in seen["failed"]
    assert seen["after"] == [1, 1, 2]  # all or nothing, in each group


# --- calling ---

WARM = """
import flyte_nb as flyte
env = flyte.TaskEnvironment("warm", reusable=flyte.ReusePolicy(replicas=(3, 4)))

@env.task
def waits(seconds: float, label: str = "a") -> str:
    \"\"\"Wait a little.

    Args:
        seconds: How long it
            takes.
        label (str): What is given back.
    \"\"\"
    import time
    time.sleep(seconds)
    return label

if __name__ == "__main__":
    flyte.deploy(env)
"""


def test_a_call_starts_one_worker(tmp_path: Path) -> None:
    assert ran([written(tmp_path / "script.py", WARM).name], tmp_path).returncode == 0
    most = 0
    with start(["-m", "flyte_nb", "call", "warm.waits", "--seconds", "1.5"], tmp_path) as process:
        while process.poll() is None:
            with_children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            zygotes = [one for one in with_children if "zygote" in " ".join(_command(one))]
            workers = [one for one in with_children if _parent(one) in {z.pid for z in zygotes}]
            most = max(most, len(workers))
            time.sleep(0.02)
        assert process.communicate()[0] == "a\n"
    assert most == 1


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


def test_inputs_are_shown(tmp_path: Path) -> None:
    assert ran([written(tmp_path / "script.py", WARM).name], tmp_path).returncode == 0
    told = ran(["-m", "flyte_nb", "call", "warm.waits", "--help"], tmp_path).stdout
    assert "--seconds  float  (How long it takes.)" in told
    assert "--label    str = 'a'  (What is given back.)" in told
    assert "returns    str" in told
    assert "Wait a little." in told
    assert "Args" not in told


# --- the command line ---


def flyte_nb(folder: Path, *words: str) -> Any:
    return ran(["-m", "flyte_nb", *words], folder)


def test_deploying_a_file(tmp_path: Path) -> None:
    written(tmp_path / "script.py", DECLARED.format(value=2, main="    raise SystemExit('it is loaded, not run')"))
    done = flyte_nb(tmp_path, "deploy", "script.py", "--version", "v1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("+ ")
    assert done.stderr.splitlines()[0] == "flyte-nb deploy: bundling begins"
    assert "flyte-nb deploy: calc deployed at version v1" in done.stderr
    assert flyte_nb(tmp_path, "call", "calc.times", "--x", "4").stdout == "8\n"
    assert set(flyte_nb(tmp_path, "deploy", "script.py", "calc", "--dry-run").stdout.split()) >= {"unchanged", "v1"}
    assert "did you mean 'calc'" in flyte_nb(tmp_path, "deploy", "script.py", "calk").stderr
    assert "did you mean 'script.py'" in flyte_nb(tmp_path, "deploy", "scrip.py").stderr
    assert "accepted: a notebook (.ipynb) or a file (.py)" in flyte_nb(tmp_path, "deploy", "script.txt").stderr
    assert "-p and --timeout are for a notebook" in flyte_nb(tmp_path, "deploy", "script.py", "-p", "a=1").stderr
    written(tmp_path / "empty.py", "x = 1")
    assert "empty.py declares no environment" in flyte_nb(tmp_path, "deploy", "empty.py").stderr
    written(tmp_path / "runs.py", DECLARED.format(value=2, main="    pass") + "\nflyte.deploy(env)\n")
    assert "whenever it is imported" in flyte_nb(tmp_path, "deploy", "runs.py").stderr
    written(tmp_path / "script.py", DECLARED.format(value=3, main="    pass"))
    refused = flyte_nb(tmp_path, "deploy", "script.py", "--version", "v1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "with other content" in refused.stderr
    assert flyte_nb(tmp_path, "deploy", "script.py", "--version", "v2").returncode == 0
    assert "~ task times  changed: VALUE changed" in flyte_nb(tmp_path, "diff", "calc@v1", "calc@current").stdout
    assert "calc  is back at version v1" in flyte_nb(tmp_path, "rollback", "calc").stdout
    assert flyte_nb(tmp_path, "call", "calc.times", "--x", "4").stdout == "8\n"
    assert flyte_nb(tmp_path, "history", "calc").stdout.count("current") == 2
    assert "would remove" in flyte_nb(tmp_path, "prune", "--days", "0").stdout
    assert "removed" in flyte_nb(tmp_path, "prune", "--days", "0", "--apply").stdout
    assert flyte_nb(tmp_path, "history", "calc").stdout.count("calc") == 1


def test_deploying_a_notebook(tmp_path: Path) -> None:
    import nbformat

    def notebook(*cells: str) -> None:
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(made, tmp_path / "p.ipynb")

    task = "env = flyte.TaskEnvironment('calc')\n@env.task\ndef times(x: int) -> int:\n    return 2 * x"
    notebook("import flyte_nb as flyte", task)
    done = flyte_nb(tmp_path, "deploy", "p.ipynb", "--version", "v1")
    assert (done.returncode, done.stdout) == (0, "+ calc  deployed at version v1: times\n"), done.stderr
    assert "# deploy what p.ipynb declares" in done.stderr
    assert flyte_nb(tmp_path, "call", "calc.times", "--x", "4").stdout == "8\n"
    assert "unchanged" in flyte_nb(tmp_path, "deploy", "p.ipynb").stdout
    notebook("import flyte_nb as flyte", task.replace("2 *", "3 *"))
    refused = flyte_nb(tmp_path, "deploy", "p.ipynb", "--version", "v1")
    assert refused.returncode == 1
    assert "flyte-nb deploy: DeploymentError: version 'v1' of 'calc' is deployed already" in refused.stderr
    notebook("import flyte_nb as flyte", "1 / 0")
    assert "ZeroDivisionError" in flyte_nb(tmp_path, "deploy", "p.ipynb").stderr
    notebook("1")
    assert "declares no environment" in flyte_nb(tmp_path, "deploy", "p.ipynb").stderr
    assert os.listdir(tmp_path / "home" / "bundles") != []


@pytest.mark.parametrize("verb", ["deploy", "rollback", "history", "diff", "prune"])
def test_each_verb_has_a_page(tmp_path: Path, verb: str) -> None:
    done = flyte_nb(tmp_path, verb, "--help")
    assert done.returncode == 0, done.stderr
    assert f"flyte-nb {verb}" in done.stdout


# --- drafts ---

DRAFTED = """
import flyte_nb as flyte
env = flyte.TaskEnvironment("drafted", queue="slow")

@env.task
def told() -> str:
    return str(env.queue)

flyte.draft(env).set("queue", "fast").apply()
if __name__ == "__main__":
    flyte.deploy(env)
    print(flyte.deployed("drafted.told")())
"""


def test_a_draft_in_a_script_holds_in_the_process_of_the_task_too(tmp_path: Path) -> None:
    done = ran([written(tmp_path / "script.py", DRAFTED).name], tmp_path)
    assert done.stdout.split()[-1:] == ["fast"], done.stderr
