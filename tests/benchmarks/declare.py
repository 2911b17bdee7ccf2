"""How long declaring takes: many environments, the same ones again, and one with many dependencies. Prints a table.

Run as ``python tests/benchmarks/declare.py``. What can be
repeated is the best of several rounds.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable

import flyte_nb as flyte
from flyte_nb.widgets.environments import environment

MANY = 10_000
DEPENDENCIES = 1_000
ROUNDS = 3


def declare(count: int = MANY) -> None:
    """Declare environments as people do: with resources, variables and an image."""
    for number in range(count):
        flyte.TaskEnvironment(
            name=f"env-{number}",
            image="ghcr.io/org/image:latest",
            resources=flyte.Resources(cpu=2, memory="4Gi"),
            env_vars={"MODE": "fast"},
        )


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Give the shortest of several rounds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def growth() -> tuple[int, int]:
    """Give by how much declaring everything again grows the registry, and Python's memory in bytes."""
    gc.collect()
    tracemalloc.start()
    declare()  # the objects of one round are replaced by objects that tracemalloc sees
    gc.collect()
    known, used = len(flyte.current_registry()), tracemalloc.get_traced_memory()[0]
    declare()
    gc.collect()
    grown = len(flyte.current_registry()) - known, tracemalloc.get_traced_memory()[0] - used
    tracemalloc.stop()
    return grown


def main() -> None:
    """Measure and print the table."""
    flyte.TaskEnvironment("warm-up", resources=flyte.Resources(cpu=1))
    rows = [
        (f"{MANY:,} environments declared", f"{seconds(declare, rounds=1):.2f} s"),
        (f"{MANY:,} environments declared again", f"{seconds(declare):.2f} s"),
    ]
    entries, grown = growth()
    rows.append(("what the registry and memory grow by then", f"{entries} entries, {grown / 1024:.0f} KiB"))
    hub = flyte.TaskEnvironment("hub", depends_on=[flyte.current_registry()[f"env-{n}"] for n in range(DEPENDENCIES)])
    card = environment(hub)
    rows += [
        (f"repr with {DEPENDENCIES:,} dependencies, {len(repr(hub))} characters",
         f"{seconds(lambda: repr(hub)) * 1e6:.0f} µs"),
        (f"card with {DEPENDENCIES:,} dependencies, {len(card.html()):,} characters of HTML",
         f"{seconds(lambda: environment(hub).html()) * 1e6:.0f} µs"),
    ]  # fmt: skip
    print("| what | figure |\n|---|---|")
    for name, figure in rows:
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
