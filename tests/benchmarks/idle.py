"""What the extension costs a kernel that does nothing: ``python tests/benchmarks/idle.py``.

Kernels in turn: bare, with the extension loaded, and with a task declared; memory is what each has of its own.
"""

from __future__ import annotations

import statistics
import tempfile
import time

import psutil
from jupyter_client.manager import start_new_kernel

SECONDS, TIMES = 5.0, 3
LOADED = "%load_ext flyte_nb\n"
DECLARED = f"""{LOADED}
import flyte_nb as flyte
env = flyte.TaskEnvironment("idle")
@env.task
def noop() -> None:
    return None
"""


def measured(source: str) -> tuple[float, float]:
    """Give the memory, in MiB, and the CPU time in 5 s, in milliseconds, of a kernel after a cell."""
    with tempfile.TemporaryDirectory() as folder:
        manager, client = start_new_kernel(cwd=folder)
        try:
            client.execute_interactive(source, silent=True, output_hook=lambda message: None)
            process = psutil.Process(manager.provisioner.pid)
            family = [process, *process.children(recursive=True)]
            before = sum(sum(p.cpu_times()[:2]) for p in family)
            time.sleep(SECONDS)
            cpu = sum(sum(p.cpu_times()[:2]) for p in family) - before
            return sum(p.memory_full_info().uss for p in family) / 2**20, cpu * 1000
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def main() -> None:
    """Print the table."""
    rows = {"a kernel": "import IPython, ipywidgets", "with the extension": LOADED, "and a task declared": DECLARED}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for _ in range(TIMES):
        for name, source in rows.items():
            found[name].append(measured(source))
    print(f"| what | memory | CPU in {SECONDS:.0f} s |\n|---|---|---|")
    for name, figures in found.items():
        memory, cpu = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"| {name} | {memory:.1f} MiB | {cpu:.0f} ms |")


if __name__ == "__main__":
    main()
