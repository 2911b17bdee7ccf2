"""What ordering and planning cost: ``python tests/benchmarks/plan.py [--flyte PYTHON] [--environments N]``.

PYTHON is an interpreter that has the Flyte SDK; its ``plan_deploy`` orders the same graphs, each in a process of its
own, as it may not come to an end. Without it that column stays empty. Figures are medians of five; the making of the
environments is not counted. The plan is of one notebook in an IPython shell of this process: an environment with one
task each, all of which read one helper.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

_GRAPHS = """
def independent(n):
    return [make(f"e{i}", []) for i in range(n)]

def chain(n):
    made = [make("e0", [])]
    for i in range(1, n):
        made.append(make(f"e{i}", [made[-1]]))
    return [made[-1]]

def ladder(n):
    layer = [make("l0-a", []), make("l0-b", [])]
    for i in range(1, n):
        layer = [make(f"l{i}-{side}", list(layer)) for side in "ab"]
    return layer
"""
_THEIRS = f"""
import sys, time, statistics
import flyte
from flyte._deploy import plan_deploy
def make(name, needs):
    return flyte.TaskEnvironment(name=name, depends_on=needs)
{_GRAPHS}
roots = globals()[sys.argv[1]](int(sys.argv[2]))
times = []
for _ in range(5):
    start = time.perf_counter()
    plan_deploy(*roots)
    times.append(time.perf_counter() - start)
print(statistics.median(times))
"""
ROWS = (
    ("independent", 1_000),
    ("chain", 900),
    ("ladder", 18),
    ("chain", 5_000),
    ("ladder", 1_000),
    ("independent", 100_000),
)
PATIENCE = 60.0  # seconds for the SDK


def median(work: Callable[[], object], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def ours(kind: str, count: int) -> float:
    from flyte_nb.environments.base import Environment, listen
    from flyte_nb.environments.task import TaskEnvironment
    from flyte_nb.plan.graph import graph_of

    listen(None)
    names: dict[str, object] = {"make": lambda name, needs: TaskEnvironment(name, depends_on=needs)}
    exec(_GRAPHS, names)
    roots: list[Environment] = names[kind](count)  # type: ignore[operator]
    return median(lambda: graph_of(roots))


def theirs(python: str, kind: str, count: int) -> str:
    command = [python, "-c", _THEIRS, kind, str(count)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"more than {PATIENCE:.0f} s, making included"
    if done.returncode:
        named = (line.partition(":")[0] for line in done.stderr.splitlines() if re.match(r"[\w.]+Error", line))
        return next(named, f"fails, exit code {done.returncode}")
    return told(float(done.stdout))


def told(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def plans(count: int) -> list[tuple[str, str]]:
    """Time the plan of a notebook of many environments."""
    os.environ["FLYTE_NB_HOME"] = tempfile.mkdtemp()
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()

    def run(source: str) -> None:
        shell.run_cell(source, store_history=True).raise_error()

    run("%load_ext flyte_nb\nimport flyte_nb as flyte")
    run("FACTOR = 2\nUNREAD = 1\ndef helper(x): return x * FACTOR")
    for start in range(0, count, 10):
        run("".join(
            f"e{i} = flyte.TaskEnvironment('env-{i}', resources=flyte.Resources(cpu=1))\n"
            f"@e{i}.task\ndef t{i}(x: int) -> int:\n    return helper(x) + {i}\n"
            for i in range(start, start + 10)
        ))  # fmt: skip
    import flyte_nb as flyte

    first = median(flyte.plan, 1)
    flyte.deploy(*flyte.current_registry().values())
    same = median(flyte.plan)
    run("UNREAD = 2\n@e0.task\ndef t0(x: int) -> int:\n    return helper(x) - 1\n")
    one = median(flyte.plan, 1)
    run("FACTOR = 3")
    return [
        ("nothing deployed yet, the first plan of the kernel", told(first)),
        ("nothing changed", told(same)),
        ("one task changed, the first plan after its cell ran", told(one)),
        ("a constant that all tasks read changed, the same", told(median(flyte.plan, 1))),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flyte", metavar="PYTHON", help="an interpreter that has the Flyte SDK")
    parser.add_argument("--environments", type=int, default=1_000)
    asked = parser.parse_args()
    print("| order of | flyte_nb | the SDK's plan_deploy |\n|---|---|---|")
    for kind, count in ROWS:
        peer = theirs(asked.flyte, kind, count) if asked.flyte else ""
        print(f"| {kind}, {count:,} | {told(ours(kind, count))} | {peer} |", flush=True)
    print(f"\n| plan of {asked.environments:,} environments of one notebook | time |\n|---|---|")
    command = [sys.executable, __file__, "--plans", str(asked.environments)]
    print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, end="")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--plans"]:  # in a process of its own: the registry is that of a process
        for what, figure in plans(int(sys.argv[2])):
            print(f"| {what} | {figure} |")
    else:
        main()
