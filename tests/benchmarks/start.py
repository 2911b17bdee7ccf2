"""How long it takes to get going: imports, the extension, an isolated run. Prints a table for the README.

Run as ``python tests/benchmarks/start.py [--flyte PYTHON]``; PYTHON is an interpreter that has the ``flyte`` package,
to measure its import in the same run. Each figure is the median of several fresh processes, or of several calls.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

TIMES = 15
BARE = "pass"
TIMED = "import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
EXTENSION = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
t = time.perf_counter(); shell.run_line_magic("load_ext", "flyte_nb"); took = time.perf_counter() - t
print(took)
"""
RUN = """
import time
import flyte_nb as flyte
env = flyte.TaskEnvironment("bench")
@env.task
def noop() -> None:
    return None
if __name__ == "__main__":
    flyte.run(noop)
    for _ in range({times}):
        t = time.perf_counter(); flyte.run(noop); print(time.perf_counter() - t)
"""


def seconds(command: list[str], folder: str) -> list[float]:
    """Run a command and read the times that it prints, one a line; other lines do not count."""
    environment = {**os.environ, "FLYTE_NB_HOME": f"{folder}/store", "IPYTHONDIR": f"{folder}/ipython"}
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=folder).stdout
    return [float(line) for line in out.splitlines() if line.replace(".", "").replace("e-", "").isdigit()]


def in_turn(commands: dict[str, list[str]], folder: str) -> dict[str, float]:
    """Give the median of each command over fresh processes, the commands taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(TIMES + 1):
        for name, command in commands.items():
            figures = seconds(command, folder)
            taken[name] += figures if turn else []  # the first turn warms the disk cache
    return {name: statistics.median(figures) for name, figures in taken.items()}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flyte", metavar="PYTHON", help="an interpreter that has the flyte package")
    flyte = parser.parse_args().flyte
    with tempfile.TemporaryDirectory() as folder:
        commands = {"`import flyte_nb`": [sys.executable, "-c", TIMED.format(code="import flyte_nb")]}
        if flyte:
            commands["`import flyte` (the SDK)"] = [flyte, "-c", TIMED.format(code="import flyte")]
        commands["`%load_ext flyte_nb`"] = [sys.executable, "-c", EXTENSION]
        medians = in_turn(commands, folder)
        script = f"{folder}/bench.py"
        with open(script, "w") as file:
            file.write(RUN.format(times=TIMES))
        medians["isolated no-op run, a new process each"] = statistics.median(seconds([sys.executable, script], folder))
    ours = medians["`import flyte_nb`"]
    print("| what | median of 15 | ratio |\n|---|---|---|")
    for name, figure in medians.items():
        ratio = f"{ours / figure:.2f}" if "(the SDK)" in name else ""
        print(f"| {name} | {figure * 1000:.0f} ms | {'flyte_nb / flyte = ' + ratio if ratio else ''} |")


if __name__ == "__main__":
    main()
