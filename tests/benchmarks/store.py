"""How long the store takes: records written, a long history listed, values and cached results. Prints a table.

Run as ``python tests/benchmarks/store.py [RUNS]``, by default with a history of 100,000 runs of four actions each.
What can be repeated is the median of several rounds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from flyte_nb.engine.base import Action, Attempt, Phase, Run, now
from flyte_nb.engine.store import Store

RUNS = 100_000
CHILDREN = 3
ROUNDS = 15
MIB = 1 << 20


def median(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Give the median of several rounds, in milliseconds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e3


def record(store: Store, name: str) -> int:
    """Record a run as an engine does, a row per phase, and tell how many rows that was."""
    store.add_run(Run(name, "data.process", inputs="text='to be or not to be'"), "/home/me/notebook.ipynb", "")
    for number in range(CHILDREN + 1):
        action = Action(f"a{number}", "data.process", "a0" if number else None, Phase.RUNNING, now())
        store.put_action(name, action)
        action.phase, action.ended = Phase.SUCCEEDED, now()
        store.put_action(name, action)
        store.put_attempt(name, action.id, Attempt(0, action.phase, action.started, action.ended))
    return 1 + 3 * (CHILDREN + 1)


def fill(store: Store, count: int) -> tuple[float, float]:
    """Record a history; give the number of rows and the seconds until all were written."""
    rows, start = 0, time.perf_counter()
    for number in range(count):
        rows += record(store, f"process-{number:08x}")
    store.flush()
    return rows, time.perf_counter() - start


def taking(store: Store, pause: float) -> float:
    """Give the median time a row takes from its caller, in microseconds, with a pause in seconds before each."""
    taken = []
    run, action = Run("taken", "data.process"), Action("a0", "data.process", phase=Phase.RUNNING, started=now())
    store.add_run(run)
    for _ in range(300):
        start = time.perf_counter()
        store.put_action("taken", action)
        taken.append(time.perf_counter() - start)
        if pause:
            time.sleep(pause)
    return statistics.median(taken) * 1e6


def main() -> None:
    """Measure and print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        rows = [
            ("a row taken, one after another", f"{taking(store, 0):.1f} µs"),
            ("a row taken, one a millisecond", f"{taking(store, 0.001):.1f} µs"),
        ]
        written, seconds = fill(store, count)
        size = sum(path.stat().st_size for path in store.home.glob("store.db*"))
        rows += [
            (f"{count:,} runs of {CHILDREN + 1} actions recorded", f"{seconds:.1f} s, {written / seconds:,.0f} rows/s"),
            ("its file", f"{size / MIB:.0f} MiB"),
            ("the last 50 runs listed", f"{median(store.runs):.1f} ms"),
            ("the last 50 of this session", f"{median(lambda: store.runs(session=store.session)):.1f} ms"),
            ("the last 50 of a session that has none", f"{median(lambda: store.runs(session='none')):.2f} ms"),
            ("one run with its actions", f"{median(lambda: store.run('process-00000100')):.2f} ms"),
        ]
        store.close()

        def opened() -> None:
            fresh = Store(store.home)
            fresh.runs(1)
            fresh.close()

        rows.append(("opened, one run read, closed", f"{median(opened):.1f} ms"))
        small, large = [b"x" * 1_000], [b"x" * (64 * MIB)]
        store.put_cached("small", "t", "r", small)
        rows += [
            ("1 kB kept", f"{median(lambda: store.put_value('taken', 'a0', 'inputs', small)) * 1e3:.0f} µs"),
            ("1 kB read from the cache", f"{median(lambda: store.cached('small')) * 1e3:.0f} µs"),
            ("64 MiB kept", f"{median(lambda: store.put_value('taken', 'a0', 'outputs', large), 5):.0f} ms"),
            ("64 MiB read", f"{median(lambda: store.value('taken', 'a0', 'outputs'), 5):.0f} ms"),
        ]
        start = time.perf_counter()
        removed = store.tidy(keep=1_000, older_than=timedelta(0))
        rows.append((f"{removed:,} runs tidied away", f"{time.perf_counter() - start:.1f} s"))
        store.close()
    print("| what | figure |\n|---|---|")
    for name, figure in rows:
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
