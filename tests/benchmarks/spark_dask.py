"""Spark and Dask on this machine: what a task adds to an engine's own start and end. Prints a table.

Run as ``python tests/benchmarks/spark_dask.py [--turns N]`` with the extras ``spark`` and ``dask``, or one. Each
turn starts and ends the engine in a plain process, with the same settings, and around a task that does nothing; both
take turns, so that what else the machine does meets both. Each figure is the median.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

TURNS = 5
#: what a plain process does, and what is declared; the first begins to count before it imports anything of the engine
SPARK = (
    """
import os, sys, time
begun = time.perf_counter()
os.environ.update(SPARK_LOCAL_IP="127.0.0.1", PYSPARK_PYTHON=sys.executable)
from pyspark.sql import SparkSession
from pyspark import SparkContext
conf = {"spark.master": "local[1]", "spark.driver.memory": "1228m", "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
spark = SparkSession.builder.config(map=conf).getOrCreate()
spark.stop()
gateway = SparkContext._gateway
gateway.shutdown(); gateway.proc.stdin.close(); gateway.proc.wait()
print(time.perf_counter() - begun)
""",
    """
from flyte_nb.plugins.spark import Spark
env = flyte.TaskEnvironment("bench", resources=flyte.Resources(cpu=1, memory="2Gi"),
                            plugin_config=Spark({"spark.ui.enabled": "false"}))
""",
)
DASK = (
    """
import time
if __name__ == "__main__":
    begun = time.perf_counter()
    from distributed import Client, LocalCluster
    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=1 << 30, host="127.0.0.1",
                      dashboard_address=PAGE) as cluster, Client(cluster) as client:
        client.wait_for_workers(1)
    print(time.perf_counter() - begun)
""".replace("PAGE", repr("127.0.0.1:0" if find_spec("bokeh") else None)),
    """
from flyte_nb.plugins.dask import Dask
env = flyte.TaskEnvironment("bench", resources=flyte.Resources(cpu=1, memory="1Gi"), plugin_config=Dask())
""",
)
ENGINES = {"Spark": ("pyspark", SPARK), "Dask": ("distributed", DASK)}
TASK = """
import time
import flyte_nb as flyte
{0}
bare = flyte.TaskEnvironment("bare", resources=env.resources)

@env.task
def engine() -> None:
    return None

@bare.task
def noop() -> None:
    return None

if __name__ == "__main__":
    flyte.run(noop)  # a kernel that has run a task before
    begun = time.perf_counter()
    flyte.run(engine)
    print(time.perf_counter() - begun)
"""


def seconds(script: Path, folder: str) -> float:
    """Run a script and read the last line that it prints."""
    environment = {**os.environ, "FLYTE_NB_HOME": f"{folder}/store"}
    words = [sys.executable, str(script)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, cwd=folder)
    return float(done.stdout.splitlines()[-1])


def measured(name: str, turns: int, folder: str) -> tuple[float, float]:
    """Give the medians of the plain process and of the task; the first turn only warms the disk cache."""
    plain, declared = ENGINES[name][1]
    scripts = Path(folder, f"plain_{name}.py"), Path(folder, f"task_{name}.py")
    for script, source in zip(scripts, (plain, TASK.format(declared)), strict=True):
        script.write_text(source)
    taken = [[seconds(script, folder) for script in scripts] for _ in range(turns + 1)][1:]
    alone, around = (statistics.median(turn[place] for turn in taken) for place in (0, 1))
    return alone, around


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS, metavar="N", help="how often each is done")
    turns = parser.parse_args().turns
    print("| engine | started and ended, plain | around a task | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (package, _) in ENGINES.items():
            if find_spec(package) is not None:
                alone, around = measured(name, turns, folder)
                print(f"| {name} | {alone:.2f} s | {around:.2f} s | {around / alone:.2f} |", flush=True)


if __name__ == "__main__":
    main()
