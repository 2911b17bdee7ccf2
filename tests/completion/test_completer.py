"""Completion as a front end asks for it: of a real kernel, with jedi and without, and of IPython in a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

CELL = """%load_ext flyte_nb
import flyte_nb as flyte
from typing import Literal
from flyte_nb.session import current_session
current_session().secrets.set("of-session", "v4lue")
calc = flyte.TaskEnvironment("calc")
keyed = flyte.TaskEnvironment("keyed", secrets=["api-key"])
@calc.task
def double(x: int, fast: bool = False, mode: Literal["up", "down"] = "up") -> int: return 2 * x
@calc.task
def twin() -> int: return 1
@keyed.task
def twin() -> int: return 2
flyte.deploy(calc, version="v1")
flyte.run(double, x=1)
flyte.with_runcontext(name="named").run(double, x=1)
"""
Complete = Callable[[str], tuple[list[str], str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    (folder / "my pipeline").mkdir()
    (folder / "pipeline.py").write_text("")
    (folder / ".hidden").write_text("")
    return folder


OPTIONS = {
    "jedi": [],
    "no jedi": ["--IPCompleter.use_jedi=False"],
    "one line at a time": ["--IPythonKernel.use_experimental_completions=False", "--IPCompleter.use_jedi=False"],
}


@pytest.fixture(scope="module", params=OPTIONS.values(), ids=OPTIONS)
def complete(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Complete]:
    """Ask a kernel what may stand at the end of some code; gives that, and what it stands in place of."""
    home = {**os.environ, "FLYTE_NB_HOME": str(tmp_path_factory.mktemp("home"))}
    words = ["--IPKernelApp.log_level=CRITICAL", *request.param]
    manager, client = start_new_kernel(cwd=str(folder), env=home, extra_arguments=words)

    def ask(code: str) -> tuple[list[str], str]:
        found = client.complete(code, reply=True, timeout=30)["content"]
        assert found["status"] == "ok"
        return found["matches"], code[found["cursor_start"] : found["cursor_end"]]

    try:
        done = client.execute_interactive(CELL, timeout=60, output_hook=lambda message: None)
        assert done["content"]["status"] == "ok", done["content"]
        yield ask
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("%flyte ru", ["run", "runs"]),
        ("x = 1\n  y = %flyte ru", ["run", "runs"]),
        ("%flyte show ", ["calc", "keyed", "--json", "--help"]),
        ("%flyte show C", ["calc"]),
        ("%flyte show calc@", []),
        ("%flyte diff calc@", ["calc@current", "calc@v1"]),
        ("%flyte deploy calc ke", ["keyed"]),
        ("%flyte history ", ["calc", "--help"]),
        ("%flyte rollback ke", []),
        ("%flyte rollback calc --version ", ["v1"]),
        ("%flyte deploy calc --version ", ["v1"]),
        ("%flyte deploy --dry", ["--dry-run"]),
        ("%flyte run ca", ["calc.double", "calc.twin"]),
        ("%flyte run do", ["double"]),
        ("%flyte run tw", []),
        ("%flyte run double x=1 m", ["mode="]),
        ("%flyte run double mode=", ["mode=up", "mode=down"]),
        ("%flyte run double --fast=", []),
        ("%flyte run calc.double fast=t", ["fast=true"]),
        ("%flyte run double --engine ", ["local", "inline", "cluster"]),
        ("%flyte run double --keep=on", ["--keep=on-failure"]),
        ("%flyte runs na", ["named"]),
        ("%flyte logs named --action ", ["a0"]),
        ("%flyte secret ", ["set", "list", "unset", "--help"]),
        ("%flyte secret set ", ["api-key", "of-session", "--group", "--help"]),
        ("%flyte cache clear d", []),
        ("%flyte cache clear calc.d", ["calc.double"]),
        ("%flyte export pi", ["pipeline.py"]),
        ("%flyte export my", ["my\\ pipeline/"]),
        ("%flyte clone ca", ["calc"]),
        ("%flyte clone calc new --reset env", ["env_vars"]),
        ("%flyte clone calc new --gpu H200:1", ["H200:1"]),
        ("%flyte help re", ["rerun"]),
        ("%flyte serve ", ["--port", "--env", "--parameter", "--text", "--help"]),
        ("%%flyte my-env --memory 3", ["3Gi", "3Mi", "3Ti", "3Ki", "3G", "3M", "3T", "3k"]),
        ("%%flyte my-env --cpu 250", ["250", "250m"]),
        ("%%flyte my-env --gpu H200:", [f"H200:{n}" for n in range(1, 9)]),
        ("%%flyte my-env --cache ", ["auto", "override", "disable"]),
        ("%%flyte my-env --depends-on k", ["keyed"]),
        ("%%flyte my-env --secret a", ["api-key"]),
        ("%%flyte my-env --replicas 1:", ["1:2", "1:3", "1:4"]),
        ("%%flyte my-env --env A=1 --env", ["--env"]),
        ("%%flyte my-env --cpu 1 --cp", []),
        ("%%flyte my-env --description ", []),
    ],
)  # fmt: skip
def test_a_line_completes(complete: Complete, code: str, found: list[str]) -> None:
    texts, replaced = complete(code)
    typed = code.rpartition(" ")[2]
    assert replaced == typed
    assert texts == (found or [typed]), "nothing else is offered on such a line"


def test_other_lines_are_left_to_ipython(complete: Complete) -> None:
    assert complete("doub")[0] == ["double"]
    assert "%flyte" in complete("%fly")[0]
    assert complete("%%flyte my-env\ndoub")[0] == ["double"]
    assert "run" not in complete("x = 1\n%%flyte ru")[0]


def test_no_value_of_a_secret_is_offered(complete: Complete) -> None:
    for code in ("%flyte secret set ", "%%flyte a --secret ", "%%flyte a --env "):
        assert "v4lue" not in "".join(complete(code)[0])


TERMINAL = """
import json, sys
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from IPython.terminal.ptutils import IPythonPTCompleter
from prompt_toolkit.document import Document
shell = TerminalInteractiveShell.instance()
shell.run_cell("%load_ext flyte_nb\\nimport flyte_nb as flyte\\nenv = flyte.TaskEnvironment('calc')")
shell.run_line_magic("reload_ext", "flyte_nb")
completer = IPythonPTCompleter(shell=shell)
def texts(text):
    return [c.text for c in completer.get_completions(Document(text, len(text)), None)]
lines = ["%flyte show ", "%%flyte a --memory 4G", "%flyte se", "%%flyte a --env "]
print(json.dumps([texts(line) for line in lines]))
"""


def test_in_a_terminal(folder: Path) -> None:
    surroundings = {**os.environ, "FLYTE_NB_HOME": str(folder / ".home"), "IPYTHONDIR": str(folder / ".ipython")}
    script = [sys.executable, "-c", TERMINAL]
    done = subprocess.run(script, capture_output=True, text=True, cwd=folder, timeout=60, env=surroundings)
    assert done.returncode == 0, done.stderr
    found: Any = json.loads(done.stdout.splitlines()[-1])
    assert found == [["calc", "--json", "--help"], ["4Gi", "4G"], ["serve", "secret"], []]
