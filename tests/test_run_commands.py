"""The verbs that run tasks and look at what is kept, typed into a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import Kernel, new_kernel

CELL = """
import os, threading
env = flyte.TaskEnvironment("calc", cache="auto")
plain = flyte.TaskEnvironment("plain")
@env.task
def double(x: int) -> int:
    print("doubling", x)
    return 2 * x
@plain.task
def parent(x: int) -> int:
    print("parent of", x)
    return child(x) + 1
@plain.task
def child(x: int) -> int:
    print("child of", x)
    return -x
@plain.task
def divides(x: int, by: int = 0) -> int:
    here = os.getpid()
    return x // by
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with new_kernel(tmp_path_factory.mktemp("commands")) as made:
        made.run("%load_ext flyte_nb\nimport flyte_nb as flyte")
        made.run(CELL)
        yield made


def test_run_and_look(kernel: Kernel) -> None:
    shown = kernel.run("%flyte run parent x=3 --name first").shown
    assert "first" in shown
    assert "plain.child  succeeded" in shown
    assert "plain.child  succeeded" in kernel.run("%flyte runs first").shown
    assert "first" in kernel.run("%flyte runs --last 1").shown
    assert kernel.run("%flyte logs first").shown.splitlines() == ["parent of 3", "child of 3"]
    assert kernel.run("%flyte logs first --action a1").shown.strip() == "child of 3"
    error = kernel.run("%flyte logs frist", fails=True).error
    assert "no run, and no app with a log, named 'frist'; did you mean 'first'" in error


def test_kept_outputs(kernel: Kernel) -> None:
    assert "no outputs are kept" in kernel.run("%flyte cache").shown
    assert "doubling 4" in kernel.run("%flyte run double x=4").printed
    again = kernel.run("%flyte run double x=4")
    assert "doubling" not in again.printed
    assert "kept outputs" in again.shown
    assert "doubling 4" in kernel.run("%flyte run double x=4 --overwrite-cache").printed
    assert "calc.double" in kernel.run("%flyte cache list").shown
    assert "1 kept output cleared" in kernel.run("%flyte cache clear calc.double").shown
    assert "doubling 4" in kernel.run("%flyte run double x=4").printed


def test_a_changed_helper_is_noticed(kernel: Kernel) -> None:
    kernel.run("factor = 10\ndef scaled(x): return factor * x\n@env.task\ndef scales(x: int) -> int: return scaled(x)")
    assert kernel.value("flyte.run(scales, 2).outputs()") == "(20,)"
    assert kernel.value("flyte.run(scales, 2).root.cached") == "True"
    kernel.run("factor = 100")
    assert kernel.value("flyte.run(scales, 2).outputs()") == "(200,)"
    kernel.run("def scaled(x): return factor * x + 1")
    assert kernel.value("flyte.run(scales, 2).outputs()") == "(201,)"


def test_a_failed_run_is_run_again_in_this_process(kernel: Kernel) -> None:
    kernel.run("%flyte run divides x=1 --name broken --keep on-failure", fails=True)
    failed = kernel.run("%flyte rerun broken", fails=True)
    assert "division" in str(failed.error)
    kernel.run("@plain.task\ndef divides(x: int, by: int = 0) -> int: return os.getpid()")
    assert kernel.value("flyte.rerun('broken').outputs()[0] == os.getpid()") == "True"


def test_secrets(kernel: Kernel) -> None:
    assert "no secret is set" in kernel.run("%flyte secret").shown


def test_images(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"os.environ['FLYTE_NB_CACHE'] = {str(tmp_path)!r}")
    assert "no environment was made" in kernel.run("%flyte images").shown
    assert "0 environments removed" in kernel.run("%flyte images prune").shown


def test_help_tells_all_of_them(kernel: Kernel) -> None:
    shown = kernel.run("%flyte help").shown
    for verb in ("run", "rerun", "runs", "logs", "cache", "images", "secret"):
        assert f"%flyte {verb}" in shown


def test_a_secret_of_the_session_gets_into_no_module(kernel: Kernel) -> None:
    kernel.run("from flyte_nb.session import current_session\ncurrent_session().secrets.set('mine', 'v4lue-0f-mine')")
    kernel.run("greeting = 'v4lue-0f-mine'\n@plain.task\ndef greets() -> str: return greeting")
    refused = kernel.run("flyte.run(greets)", fails=True)
    assert "SliceError" in str(refused.error)
    assert "v4lue-0f-mine" not in str(refused.error)


def test_values_that_travel_are_told(kernel: Kernel) -> None:
    kernel.run("table = [n * n for n in range(1000)]\n@plain.task\ndef looks_up(n: int) -> int: return table[n]")
    shown = kernel.run("%flyte run looks_up n=3 --name lookup").shown
    assert "table travels by value: " in shown
    assert " KiB, from In [" in shown
    assert "table travels by value" in kernel.run("%flyte runs lookup").shown
