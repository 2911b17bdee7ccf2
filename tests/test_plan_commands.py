"""``%flyte plan``, ``%flyte graph`` and ``flyte-nb plan``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from flyte_nb.commands import HelpAsked
from flyte_nb.plan_commands import COMMANDS

from kernels import Kernel

CELLS = """base = flyte.TaskEnvironment("base")
@base.task
def f(x: int) -> int:
    return x
top = flyte.TaskEnvironment("top", depends_on=[base])
side = flyte.TaskEnvironment("side")
"""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_verb_parses_before_it_does_anything(command: object) -> None:
    with pytest.raises(HelpAsked):
        command.function(["--help"], None)  # type: ignore[attr-defined]


def test_the_plan_of_everything_and_of_some(kernel: Kernel) -> None:
    kernel.run(CELLS)
    shown = kernel.run("%flyte plan")
    assert "+ base  create TaskEnvironment at " in shown.shown
    assert "3 to create" in shown.html
    assert "+ side" not in kernel.run("%flyte plan top").shown
    assert json.loads(kernel.run("%flyte plan top --json").shown)["order"] == ["base", "top"]
    assert json.loads(kernel.run("%flyte plan --json --version v7").shown)["version"] == "v7"
    assert "did you mean 'top'" in kernel.run("%flyte plan tap", fails=True).error.lower()


def test_the_graph_with_how_each_environment_stands(kernel: Kernel) -> None:
    assert "no environment is declared" in kernel.run("%flyte graph").shown
    kernel.run(CELLS)
    shown = kernel.run("%flyte graph")
    assert [line.split()[:4] for line in shown.shown.splitlines()[1:]] == [
        ["1", "base", "+", "declared"],
        ["1", "side", "+", "declared"],
        ["2", "top", "+", "declared"],
    ]
    assert "<svg" in shown.html
    kernel.run("%flyte deploy")
    kernel.run(CELLS.replace("return x", "return x + 1"))
    told = kernel.run("%flyte graph base").shown
    assert "~ changed" in told
    assert "= deployed at" in told  # what depends on it is there, too
    assert "side" not in told
    assert "+" not in kernel.run("%flyte graph side").shown


def test_a_graph_of_what_cannot_be_deployed_is_drawn_all_the_same(kernel: Kernel) -> None:
    kernel.run(CELLS)
    kernel.run("import threading\nlock = threading.Lock()\n@base.task\ndef stuck() -> bool:\n    return lock.locked()")
    shown = kernel.run("%flyte graph").shown
    assert shown.startswith("! how they stand cannot be told: ")
    assert "lock" in shown
    assert "top" in shown


def test_a_circle_is_told(kernel: Kernel) -> None:
    kernel.run(CELLS)
    kernel.run("base.add_dependency(top)")
    for verb in ("graph", "plan"):
        assert "in a circle: " in kernel.run(f"%flyte {verb}", fails=True).error


def command_line(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "FLYTE_NB_HOME": str(folder / ".flyte_nb")}
    return subprocess.run(
        [sys.executable, "-m", "flyte_nb", *words], capture_output=True, text=True, cwd=folder, env=environ
    )


def test_the_plan_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(
        f"import flyte_nb as flyte\n{CELLS}\nif __name__ == '__main__':\n    raise SystemExit('it ran')\n"
    )
    done = command_line(tmp_path, "plan", "pipeline.py", "--json")
    assert json.loads(done.stdout)["counts"] == {"create": 3, "update": 0, "same": 0}, done.stderr
    assert not (tmp_path / ".flyte_nb").exists()
    assert "+ base" in command_line(tmp_path, "plan", "pipeline.py", "top").stdout
    assert command_line(tmp_path, "deploy", "pipeline.py").returncode == 0
    done = command_line(tmp_path, "plan", "pipeline.py")
    assert (done.returncode, "3 unchanged" in done.stdout) == (0, True)
    (tmp_path / "pipeline.py").write_text((tmp_path / "pipeline.py").read_text().replace("return x", "return x * 2"))
    changed = json.loads(command_line(tmp_path, "plan", "pipeline.py", "--json").stdout)["changes"]
    assert {c["environment"]: c["what"] for c in changed} == {"base": "update", "side": "same", "top": "same"}


def test_the_plan_of_a_notebook(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(text) for text in ("import flyte_nb as flyte", CELLS)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "pipeline.ipynb")
    done = command_line(tmp_path, "plan", "pipeline.ipynb", "top", "--json")
    assert json.loads(done.stdout)["order"] == ["base", "top"], done.stderr
    done = command_line(tmp_path, "plan", "pipeline.ipynb", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["missing.py"], "there is no file"),
        (["notes.txt"], "accepted: a notebook (.ipynb) or a file (.py)"),
        (["empty.py"], "declares no environment"),
        (["empty.py", "--timeout", "3"], "a file has no cells"),
        (["empty.py", "--jsn"], "--json"),
    ],
)
def test_what_cannot_be_planned(tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    done = command_line(tmp_path, "plan", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
