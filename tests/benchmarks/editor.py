"""The editor of an environment in a kernel: until its messages are there, their bytes, and a key typed in a field.

python tests/benchmarks/editor.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from widget_client import widget_kernel

TIMES = 15
DECLARED = """
import flyte_nb as flyte
env = flyte.TaskEnvironment("bench", resources=flyte.Resources(cpu=1, memory="1Gi"), env_vars={"LEVEL": "info"})

@env.task
def work(x: int) -> int:
    return x
"""


def main() -> None:
    """Measure, and print a line for each."""
    first, later, typed = [], [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder, widget_kernel(Path(folder)) as (kernel, client):
            kernel.run("%load_ext flyte_nb")
            kernel.run(DECLARED)
            started = time.perf_counter()
            kernel.run("%flyte edit bench")
            first.append(time.perf_counter() - started)
            opening = client.traffic, client.messages
            for number in range(TIMES):
                kernel.run("editor.close()" if number else "1")
                client.widget_state.clear()
                started = time.perf_counter()
                kernel.run("editor = flyte.edit(env); editor")
                later.append(time.perf_counter() - started)
            memory = client.one(description="memory")
            client.traffic = 0
            for number in range(TIMES):
                started = time.perf_counter()
                client.set(memory, value=f"{number + 2}Gi")
                typed.append(time.perf_counter() - started)
            a_key = client.traffic // TIMES
    print(f"the first editor of a kernel on screen   {statistics.median(first) * 1e3:.0f} ms")
    print(f"a further one                            {statistics.median(later) * 1e3:.0f} ms")
    print(f"  its messages                           {opening[0] / 1024:.1f} KiB in {opening[1]}")
    print(f"a key typed, checked and answered        {statistics.median(typed) * 1e3:.1f} ms, {a_key:,} bytes")


if __name__ == "__main__":
    main()
