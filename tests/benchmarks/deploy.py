"""How long deploying takes: 50 environments without tasks, and 1,000; again; with a change. Prints a table.

Run as ``python tests/benchmarks/deploy.py [--flyte PYTHON]``. PYTHON is one that has the ``flyte`` package: its dry run
of the same 50 environments, with nothing sent anywhere, is timed in turns with ours. Medians, each in new processes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 5
COUNT, MANY = 50, 1_000

OURS = """
import sys, time
import flyte_nb as flyte
count = int(sys.argv[1])
envs = [flyte.TaskEnvironment(f"env-{n}") for n in range(count)]

def took(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start

if __name__ == "__main__":
    flyte.current_registry()
    dry = took(lambda: flyte.deploy(*envs, dry_run=True))
    first = took(lambda: flyte.deploy(*envs))
    again = took(lambda: flyte.deploy(*envs))
    envs[0] = flyte.TaskEnvironment("env-0", description="changed")
    print(dry, first, again, took(lambda: flyte.deploy(*envs)))
"""
SDK = """
import sys, time
import flyte
from flyte._initialize import _get_init_config
envs = [flyte.TaskEnvironment(f"env-{n}") for n in range(int(sys.argv[1]))]

if __name__ == "__main__":
    flyte.init(endpoint="dns:///localhost:1", insecure=True, project="p", domain="d")
    start = time.perf_counter()
    flyte.deploy(*envs, dry_run=True, version="v1")
    print(time.perf_counter() - start)
"""


def timed(python: str, source: str, count: int) -> list[float]:
    """Run a script in a folder and a process of its own; give the seconds that it prints."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.py"
        script.write_text(source)
        env = {**os.environ, "FLYTE_NB_HOME": f"{folder}/home", "PYTHONPATH": str(ROOT) if source == OURS else ""}
        done = subprocess.run([python, str(script), str(count)], cwd=folder, env=env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{python} failed:\n{done.stderr[-2000:]}")
        return (
            [float(word) for word in done.stdout.split()[-4:]] if source == OURS else [float(done.stdout.split()[-1])]
        )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--flyte", metavar="PYTHON", help="a Python that has the flyte package")
    python = parser.parse_args().flyte
    ours, theirs, many = [], [], []
    for _ in range(ROUNDS):  # in turns, so that a busy moment of the machine meets both
        ours.append(timed(sys.executable, OURS, COUNT))
        if python:
            theirs += timed(python, SDK, COUNT)
    for _ in range(3):
        many.append(timed(sys.executable, OURS, MANY))
    print("| what | figure |\n|---|---|")
    for count, rows in ((COUNT, ours), (MANY, many)):
        for number, name in enumerate(("planned (dry run)", "deployed", "deployed again", "one changed")):
            median = statistics.median(row[number] for row in rows)
            print(f"| {count:,} environments {name} | {median * 1e3:,.1f} ms |")
    if theirs:
        sdk = statistics.median(theirs)
        print(f"| the SDK's dry run of {COUNT} | {sdk:.2f} s |")
        for name, column in (("dry run", 0), ("deployment", 1)):
            print(f"| so many of our {name} | {sdk / statistics.median(row[column] for row in ours):,.0f} |")


if __name__ == "__main__":
    main()
