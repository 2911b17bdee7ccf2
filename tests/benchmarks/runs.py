"""What a run costs on this machine, beside peers: ``python tests/benchmarks/runs.py [--peers PYTHON]``.

PYTHON is an interpreter that has some of ``flyte``, ``loky``, ``ray`` and ``distributed``; a peer that it lacks is left
out. Figures are medians. The floor is ``multiprocessing.Pipe``: a pickled value goes to a process and back.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import flyte_nb as flyte

warm = flyte.TaskEnvironment("warm", reusable=flyte.ReusePolicy((2, 2)))
cold = flyte.TaskEnvironment("cold")
CALLS, FANNED, MIB = 1000, 2000, 64


@warm.task
def noop(x: int) -> int:
    """Do nothing, in a warm worker."""
    return x


@cold.task
def cold_noop(x: int) -> int:
    """Do nothing, in a process of its own."""
    return x


@warm.task
def total(data: Any) -> float:
    """Add up an array."""
    return float(data.sum())


@cold.task
def calls(count: int) -> float:
    """Call a warm task again and again; give the median time of a call in seconds."""
    for number in range(20):
        noop(number)
    return timed(lambda: noop(1), count)


@cold.task
async def fans_out(count: int) -> float:
    """Call a warm task many times at once; give the calls per second."""
    await asyncio.gather(*(noop.aio(number) for number in range(20)))
    start = time.perf_counter()
    values = await asyncio.gather(*(noop.aio(number) for number in range(count)))
    taken = time.perf_counter() - start
    assert values == list(range(count))
    return count / taken


def timed(call: Callable[[], Any], count: int) -> float:
    """Give the median time of a call, in seconds."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def echo(connection: Any) -> None:
    """Give back whatever comes."""
    while True:
        connection.send(connection.recv())


def pipe(count: int) -> float:
    """Give the median time of a pickled value's way to a process and back, in seconds."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=echo, args=(theirs,), daemon=True)
    process.start()

    def there_and_back() -> None:
        ours.send({"x": 1})
        ours.recv()

    figure = timed(there_and_back, count)
    process.kill()
    return figure


PEERS = {
    "loky": """
from loky import get_reusable_executor
pool = get_reusable_executor(max_workers=2)
noop = lambda x: x
list(pool.map(noop, range(20)))
call = timed(lambda: pool.submit(noop, 1).result(), 500)
start = time.perf_counter(); list(pool.map(noop, range(2000))); fan = 2000 / (time.perf_counter() - start)
array = None
try:
    import numpy
    data = numpy.ones(64 << 17)
    array = timed(lambda: pool.submit(lambda d: float(d.sum()), data).result(), 9)
except ImportError: pass
print(json.dumps({"call": call, "fan": fan, "array": array}))
""",
    "ray": """
import logging, os, secrets
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
import ray
ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, object_store_memory=500_000_000)
@ray.remote
def noop(x): return x
@ray.remote
def total(data): return float(data.sum())
ray.get([noop.remote(1) for _ in range(50)])
call = timed(lambda: ray.get(noop.remote(1)), 500)
start = time.perf_counter(); ray.get([noop.remote(x) for x in range(2000)]); fan = 2000 / (time.perf_counter() - start)
array = None
try:
    import numpy
    data = numpy.ones(64 << 17)
    array = timed(lambda: ray.get(total.remote(data)), 9)
except ImportError: pass
print(json.dumps({"call": call, "fan": fan, "array": array}))
""",
    "distributed": """
if __name__ == "__main__":
    from distributed import Client, LocalCluster
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
    client = Client(cluster)
    def noop(x): return x
    client.gather(client.map(noop, range(20), pure=False))
    call = timed(lambda: client.submit(noop, 1, pure=False).result(), 200)
    start = time.perf_counter(); client.gather(client.map(noop, range(2000), pure=False))
    print(json.dumps({"call": call, "fan": 2000 / (time.perf_counter() - start), "array": None}))
""",
    "flyte": """
import flyte
env = flyte.TaskEnvironment("e")
@env.task
def noop(x: int) -> int: return x
@env.task
async def fan(n: int) -> float:
    start = time.perf_counter(); list([v async for v in flyte.map.aio(noop, range(n))])
    return n / (time.perf_counter() - start)
if __name__ == "__main__":
    flyte.init()
    for _ in range(5): flyte.run(noop, 1)
    call = timed(lambda: flyte.run(noop, 1), 100)
    print(json.dumps({"call": call, "fan": flyte.run(fan, 500).outputs()[0], "array": None}))
""",
}
HEAD = """import json, statistics, time
from collections.abc import Callable
from typing import Any
"""


def peer(python: str, name: str) -> dict[str, float | None]:
    """Measure a peer with another interpreter; nothing where it lacks the package."""
    source = (
        HEAD + "from typing import Any\nfrom collections.abc import Callable\n" + inspect.getsource(timed) + PEERS[name]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "peer.py")
        with open(path, "w") as file:
            file.write(source)
        try:
            done = subprocess.run([python, path], capture_output=True, text=True, timeout=300, cwd=folder,
                                  env={**os.environ, "HOME": folder})  # fmt: skip
        except subprocess.TimeoutExpired:
            return {}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def own() -> dict[str, float]:
    """Measure flyte_nb."""
    import numpy

    flyte.run(cold_noop, x=1)
    for _ in range(20):
        flyte.run(noop, x=1)
    data = numpy.ones(MIB << 17)
    flyte.run(total, data=data)
    return {
        "pipe": statistics.median(pipe(2000) for _ in range(3)),
        "cold": timed(lambda: flyte.run(cold_noop, x=1), 30),
        "run": timed(lambda: flyte.run(noop, x=1), 500),
        "array": timed(lambda: flyte.run(total, data=data), 9),
        "call": statistics.median(flyte.run(calls, CALLS).outputs()[0] for _ in range(3)),
        "fan": statistics.median(flyte.run(fans_out, FANNED).outputs()[0] for _ in range(3)),
    }


def row(what: str, figure: str, *beside: str) -> str:
    """Give a row of the table."""
    return f"| {what} | {figure} | {', '.join(filter(None, beside))} |"


def told(name: str, found: dict[str, Any], key: str, unit: str = "ms") -> str:
    """Word a peer's figure; empty where there is none."""
    value = found.get(key)
    if value is None:
        return ""
    return f"{name} {value:,.0f}/s" if unit == "/s" else f"{name} {value * 1e3:.2f} ms"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has flyte, loky, ray, distributed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["FLYTE_NB_HOME"] = home
        try:
            ours = own()
        finally:
            from flyte_nb.session import current_session  # not above: every worker executes this file

            current_session().close()  # before the folder of its store goes
    peers = {name: peer(options.peers, name) for name in PEERS} if options.peers else {}
    each = lambda key, unit="ms": [told(name, found, key, unit) for name, found in peers.items()]  # noqa: E731
    floor = ours["pipe"] * 1e3
    print("| what | flyte_nb | beside |\n|---|---|---|")
    print(row("a warm task called from a task", f"{ours['call'] * 1e3:.3f} ms", f"a bare pipe {floor:.3f} ms: "
              f"{ours['call'] / ours['pipe']:.1f} times"))  # fmt: skip
    print(row("`flyte.run` of a warm task, recorded", f"{ours['run'] * 1e3:.2f} ms", *each("call")))
    print(row("`flyte.run` in a process of its own", f"{ours['cold'] * 1e3:.1f} ms"))
    print(row(f"{FANNED:,} calls fanned out", f"{ours['fan']:,.0f}/s", *each("fan", "/s")))
    print(row(f"an array of {MIB} MiB in, its sum out", f"{ours['array'] * 1e3:.0f} ms", *each("array")))


if __name__ == "__main__":
    main()
