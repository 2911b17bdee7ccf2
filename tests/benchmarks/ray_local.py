"""Ray on this machine: what a task adds to Ray's own start, and to a task in a running cluster. Prints a table.

Run as ``python tests/benchmarks/ray_local.py [--starts N]`` with the extra ``ray``. The same is done with plain Ray and
through flyte_nb, by turns, so that what else the machine does meets both; each figure is a median of its turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH, BATCHES = 100, 25
PLAIN = """
import os, sys, time
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
nodes = int(sys.argv[1])
begin = time.perf_counter()
import ray
context = ray.init(num_cpus=1, num_gpus=0, logging_level="WARNING", _node_ip_address="127.0.0.2",
                   object_store_memory={store}, dashboard_host="127.0.0.1")
if nodes == 2:
    from ray._private import worker
    from ray.cluster_utils import Cluster
    cluster = Cluster()
    cluster.head_node = worker._global_node
    cluster.redis_address = cluster.head_node.redis_address
    other = cluster.add_node(wait=False, num_cpus=1, num_gpus=0, object_store_memory={store},
                             node_ip_address="127.0.0.3")
    while sum(node["Alive"] for node in ray.nodes()) < 2:
        time.sleep(0.01)
started = time.perf_counter() - begin
"""
STARTED = """
ray.shutdown()
print("figures", started, time.perf_counter() - begin)
"""
SERVED = """
noop = ray.remote(lambda: None)
ray.get([noop.remote() for _ in range(10)])
print("ready", flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    for _ in range(int(line)):
        ray.get(noop.remote())
    print(time.perf_counter() - begin, flush=True)
"""
TASKS = """
import sys, time
import flyte_nb as flyte
from flyte_nb.plugins.ray import HeadNodeConfig, RayJobConfig, WorkerNodeConfig

head = HeadNodeConfig({{"object-store-memory": "{store}"}})
worker = WorkerNodeConfig("workers", 1, ray_start_params={{"object-store-memory": "{store}"}})
plain = flyte.TaskEnvironment("plain")
one = flyte.TaskEnvironment("one", plugin_config=RayJobConfig([], head))
two = flyte.TaskEnvironment("two", plugin_config=RayJobConfig([worker], head))
warm = flyte.TaskEnvironment("warm", plugin_config=RayJobConfig([], head), reusable=flyte.ReusePolicy(1, idle_ttl=9999))

@plain.task
def nothing() -> None: ...

@one.task
def on_one() -> float:
    return time.perf_counter()

@two.task
def on_two() -> float:
    return time.perf_counter()

@warm.task
def calls(n: int) -> float:
    import ray
    noop = ray.remote(lambda: None)
    ray.get(noop.remote())
    begin = time.perf_counter()
    for _ in range(n):
        ray.get(noop.remote())
    return time.perf_counter() - begin

if __name__ == "__main__":
    flyte.run(nothing)
    if sys.argv[1] in "12":
        begin = time.perf_counter()  # of the machine's clock on Linux and macOS, so the same in every process
        started = flyte.run(on_one if sys.argv[1] == "1" else on_two).outputs()[0] - begin
        print("figures", started, time.perf_counter() - begin)
    else:
        flyte.run(calls, n=10)
        print("ready", flush=True)
        for line in sys.stdin:
            begin = time.perf_counter()
            inside = flyte.run(calls, n=int(line)).outputs()[0]
            print(inside, time.perf_counter() - begin, flush=True)
"""
STORE = 100_000_000


def figures(words: list[str], folder: Path) -> list[float]:
    """Run a script, and read the figures that it prints."""
    out = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=True, env=around(folder)
    ).stdout
    return [float(word) for word in next(line for line in out.splitlines() if line.startswith("figures")).split()[1:]]


def around(folder: Path) -> dict[str, str]:
    return {**os.environ, "FLYTE_NB_HOME": str(folder / "store"), "HOME": str(folder)}


def serving(words: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start a script that answers lines, and wait until it is ready."""
    process = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, env=around(folder))  # fmt: skip
    assert process.stdout is not None
    while process.stdout.readline().strip() != "ready":
        assert process.poll() is None, "it ended"
    return process


def answered(process: subprocess.Popen[str], count: int) -> list[float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    while True:
        words = process.stdout.readline().split()
        if words and all(word.replace(".", "").replace("e-", "").isdigit() for word in words):
            return [float(word) for word in words]


def starts(count: int, folder: Path, scripts: dict[str, str]) -> dict[str, list[list[float]]]:
    """Start Ray, plain and through a task, on one node and on two, so many times each, by turns."""
    taken: dict[str, list[list[float]]] = {}
    for turn in range(count + 1):
        for nodes in "12":
            for name in ("plain", "task"):
                found = figures([scripts[name], nodes], folder)
                if turn:  # the first turn warms the disk cache
                    taken.setdefault(f"{name} {nodes}", []).append(found)
    return taken


def running(folder: Path, scripts: dict[str, str]) -> tuple[list[float], list[list[float]]]:
    """Call tasks in running clusters, plain and through a task, by turns."""
    plain, task = serving([scripts["served"], "1"], folder), serving([scripts["task"], "warm"], folder)
    try:
        by_turns = [(answered(plain, BATCH)[0], answered(task, BATCH)) for _ in range(BATCHES)]
    finally:
        for process in (plain, task):
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
    return [turn[0] for turn in by_turns], [turn[1] for turn in by_turns]


def row(what: str, ours: list[float], plain: list[float], unit: str, scale: float) -> str:
    ratio = statistics.median(one / other for one, other in zip(ours, plain, strict=True))
    figures = [f"{statistics.median(values) * scale:.2f} {unit}" for values in (ours, plain)]
    return f"| {what} | {figures[0]} | {figures[1]} | {ratio:.2f} |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="how often Ray is started in each way; 0 for not at all")
    count, began = parser.parse_args().starts, time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder, scripts = Path(name), dict[str, str]()
        plain, tasks = PLAIN.format(store=STORE), TASKS.format(store=STORE)
        for script, source in {"plain": plain + STARTED, "served": plain + SERVED, "task": tasks}.items():
            scripts[script] = str(folder / f"{script}.py")
            Path(scripts[script]).write_text(source)
        taken = starts(count, folder, scripts) if count else {}
        alone, through = running(folder, scripts)
    print("| what | through a task | plain Ray | ratio |\n|---|---|---|---|")
    for nodes, words in {"1": "one node", "2": "two nodes"}.items() if count else ():
        for place, what in enumerate((f"Ray started on {words}", f"started and stopped, {words}")):
            ours, theirs = [[figures[place] for figures in taken[f"{way} {nodes}"]] for way in ("task", "plain")]
            print(row(what, ours, theirs, "s", 1))
    print(row("a no-op in a running cluster", [f[0] for f in through], alone, "ms", 1000 / BATCH))
    print(row(f"a task of {BATCH} no-ops, recorded", [f[1] for f in through], alone, "ms", 1000))
    print(f"\nmedians of {count} starts and of {BATCHES} batches, by turns; {time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
