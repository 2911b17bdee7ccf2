"""The command line as a shell sees it: real processes of ``python -m flyte_nb``."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import nbformat
import psutil
import pytest

from scripts import is_gone, ran, soon, start, written

SCRIPT = """
import os, sys
from pathlib import Path
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="data-processing")

@env.task
def process_data(input_path: str, rows: int = 10, tags: list[str] = []) -> str:
    \"\"\"Process the data.\"\"\"
    print("processing", file=sys.stderr)
    return f"{input_path}|{rows}|{'-'.join(tags)}"

@env.task
def minmax(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)

@env.task
def calls(rows: int) -> str:
    return process_data(input_path="child", rows=rows)

@env.task
def fails(code: int) -> int:
    if code == 3:
        os._exit(3)
    raise LookupError("nothing there")

if __name__ == "__main__":
    flyte.deploy(env, version="v1")
    flyte.deploy(env, version="v1")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    written(folder / "script.py", SCRIPT)
    assert ran(["script.py"], folder).returncode == 0
    cells = [nbformat.v4.new_code_cell("n = 1", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell("import flyte_nb as flyte\nenv = flyte.TaskEnvironment(name='e')\n"
                                       "@env.task\ndef double(x: int) -> int:\n    return 2 * x"),
             nbformat.v4.new_code_cell("print(flyte.run(double, x=n).outputs())\n"
                                       "if n == 3:\n    raise OSError('three')\n"
                                       "if n == 4:\n    import time; time.sleep(60)")]  # fmt: skip
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "quickstart.ipynb")
    (folder / "text.ipynb").write_text("not json")
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), folder / "bare.ipynb")
    return folder


def flyte_nb(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return ran(["-m", "flyte_nb", *words], folder)


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return flyte_nb(folder, "call", *words)


# --- call ---


def test_call(folder: Path) -> None:
    done = call(folder, "data-processing.process_data", "--input_path", "a b", "--tags", '["x", "y"]')
    assert (done.returncode, done.stdout, done.stderr) == (0, "a b|10|x-y\n", "processing\n")
    done = call(folder, "data-processing.minmax", "--values=[2, 1.5]", "--version=v1")
    assert (done.returncode, done.stdout) == (0, "1.5\n2.0\n")


def test_call_of_a_task_that_calls_a_task(folder: Path) -> None:
    assert call(folder, "data-processing.calls", "--rows", "4").stdout == "child|4|\n"


def test_call_that_fails(folder: Path) -> None:
    done = call(folder, "data-processing.fails", "--code", "1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        '    raise LookupError("nothing there")',
        "flyte-nb: LookupError: nothing there",
    ]
    done = call(folder, "data-processing.fails", "--code", "3")
    assert done.returncode == 1
    assert "ended with exit code 3" in done.stderr


def test_help_of_a_task(folder: Path) -> None:
    done = call(folder, "data-processing.process_data", "--help")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "data-processing.process_data  (deployed task, version v1)",
        "  --input_path  str",
        "  --rows        int = 10",
        "  --tags        list[str] = []",
        "  returns       str",
        "  what it does:",
        "    Process the data.",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["call", "data-processing.proces_data"], "did you mean 'data-processing.process_data'"),
        (["call", "data-procesing.process_data"], "did you mean 'data-processing.process_data'"),
        (["call", "data-processing.process_data", "--version", "v2"], "did you mean 'v1'"),
        (
            ["call", "data-processing.process_data"],
            "missing input 'input_path'; accepted: (input_path: str, rows: int = 10,",
        ),
        (["call", "data-processing.process_data", "--input_pth", "x"], "unknown input 'input_pth'"),
        (["call", "data-processing.process_data", "x"], "given 'x'; accepted: --INPUT VALUE"),
        (["call", "data-processing.process_data", "--input_path"], "--input_path needs a value"),
        (["call", "data-processing.process_data", "--rows", "1", "--rows", "2"], "--rows is given twice"),
        (["call", "data-processing.calls", "--rows", "many"], "input 'rows': given 'many'; accepted: int"),
        (["call"], "name a task"),
        (["cal"], "did you mean 'call'"),
        (["run", "quikstart.ipynb"], "did you mean 'quickstart.ipynb'"),
        (["run", "text.ipynb"], "it is not JSON"),
        (["run", "script.py"], "is not a notebook"),
        (["run", "quickstart.ipynb", "-p", "m=1"], "has no parameter 'm'"),
        (["run", "quickstart.ipynb", "-p", "n"], "given 'n'; accepted: -p NAME=VALUE"),
        (["run", "quickstart.ipynb", "-p", "n=1", "-p", "n=2"], "'n' is given twice"),
        (["run", "bare.ipynb", "-p", "n=1"], "takes no parameters"),
        (["run", "quickstart.ipynb", "--timout", "3"], "did you mean '--timeout'"),
        (["run", "quickstart.ipynb", "--timeout", "soon"], "--timeout: given"),
        (["run", "quickstart.ipynb", "--timeout", "-1"], "--timeout: given"),
        (["run", "bare.ipynb", "-o", "."], "cannot be written"),
        (["run"], "required: NOTEBOOK"),
        (["runs", "--last", "few"], "invalid int value"),
    ],
)
def test_used_wrongly(folder: Path, words: list[str], told: str) -> None:
    done = flyte_nb(folder, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("flyte-nb")


@pytest.mark.parametrize("words", [["help"], ["--help"], [], ["run", "--help"], ["call", "--help"], ["runs", "-h"]])
def test_help(folder: Path, words: list[str]) -> None:
    done = flyte_nb(folder, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "run" in done.stdout or "call" in done.stdout


# --- run ---


def test_run(folder: Path) -> None:
    done = flyte_nb(folder, "run", "quickstart.ipynb", "-p", "n=21", "-o", "out/done.ipynb")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "quickstart.ipynb: 4 cells, 1 run"
    assert "e.double" in done.stdout
    assert [line.split()[:2] for line in done.stderr.splitlines()] == [["ok", f"[{n}/4]"] for n in range(1, 5)]
    out = nbformat.read(folder / "out" / "done.ipynb", 4)
    assert out.cells[-1].outputs[0].text == "(42,)\n"
    assert "outputs" in nbformat.read(folder / "quickstart.ipynb", 4).cells[-1]


def test_run_with_a_failing_cell(folder: Path) -> None:
    done = flyte_nb(folder, "run", "quickstart.ipynb", "-p", "n=3", "-o", "failed.ipynb")
    assert done.returncode == 1
    assert "cell 4:\n    print(flyte.run(double, x=n).outputs())" in done.stderr
    assert "OSError: three" in done.stderr
    assert "\x1b[" not in done.stderr
    assert done.stdout.splitlines()[-1] == "quickstart.ipynb: 3 cells, 1 run"
    out = nbformat.read(folder / "failed.ipynb", 4)
    assert [o.output_type for o in out.cells[-1].outputs] == ["stream", "error"]


def test_run_that_takes_too_long(folder: Path) -> None:
    done = flyte_nb(folder, "run", "quickstart.ipynb", "-p", "n=4", "-o", "late.ipynb", "--timeout", "2")
    assert done.returncode == 1
    assert "CellTimeoutError" in done.stderr
    assert "failed [4/4]" in done.stderr
    assert nbformat.read(folder / "late.ipynb", 4).cells[-1].outputs[0].text == "(8,)\n"


def test_runs(folder: Path) -> None:
    call(folder, "data-processing.minmax", "--values", "[1]")
    done = flyte_nb(folder, "runs", "--last", "1")
    assert done.returncode == 0
    assert "data-processing.minmax" in done.stdout
    assert "v1" in done.stdout


def test_runs_as_json(folder: Path) -> None:
    call(folder, "data-processing.calls", "--rows", "2")
    (run,) = json.loads(flyte_nb(folder, "runs", "--last", "1", "--json").stdout)
    assert (run["task"], run["phase"]) == ("data-processing.calls", "succeeded")
    one = json.loads(flyte_nb(folder, "runs", run["run"], "--json").stdout)
    assert {**run, "actions": one["actions"]} == one
    assert [action["task"] for action in one["actions"]] == ["data-processing.calls", "data-processing.process_data"]


def test_one_run(folder: Path) -> None:
    call(folder, "data-processing.calls", "--rows", "2")
    name = flyte_nb(folder, "runs", "--last", "1").stdout.splitlines()[1].split()[0]
    done = flyte_nb(folder, "runs", name)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{name}  (data-processing.calls, succeeded")
    assert "a1  data-processing.process_data  succeeded" in done.stdout
    other = flyte_nb(folder, "runs", "nosuch")
    assert (other.returncode, other.stdout) == (2, "")
    assert "no run named 'nosuch'" in other.stderr


@pytest.mark.parametrize("word", ["version", "--version"])
def test_version(folder: Path, word: str) -> None:
    done = flyte_nb(folder, word)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"flyte_nb \d+\.\d+\.\d+\n", done.stdout)


def test_runs_where_there_are_none(tmp_path: Path) -> None:
    done = flyte_nb(tmp_path, "runs")
    assert done.returncode == 0
    assert "no run is recorded here yet" in done.stdout
    assert not (tmp_path / "home").exists()


def test_run_that_is_interrupted(folder: Path) -> None:
    with start(["-m", "flyte_nb", "run", "quickstart.ipynb", "-p", "n=4", "-o", "cut.ipynb"], folder) as process:
        assert process.stderr is not None
        for _ in range(3):
            process.stderr.readline()
        kernels = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read().splitlines()[-1] == "flyte-nb: interrupted"
    assert kernels
    assert soon(lambda: all(is_gone(kernel.pid) for kernel in kernels))
