"""How long the log of cells and the slice of a task take in a long notebook. Prints a table.

Run as ``python tests/benchmarks/slicing.py [--cells N] [--statements N]``. The notebook is made up: imports, constants,
functions that call one another, classes, plots, in cells of ten statements; its tasks read a share of them each. Times
are medians; memory is what the log holds, as ``tracemalloc`` counts it.
"""

from __future__ import annotations

import argparse
import ast
import gc
import statistics
import sys
import time
import tracemalloc
from types import ModuleType

from flyte_nb.environments.base import listen
from flyte_nb.environments.declaration import Declaration
from flyte_nb.notebook.cells import Cell, CellLog
from flyte_nb.notebook.slicer import Slicer
from flyte_nb.notebook.slicing import module_for
from flyte_nb.registry import Registry

HEAD = """import json, math
import collections as col
import flyte_nb as flyte
env = flyte.TaskEnvironment("bench")
class Row:
    size: int = 3
    def total(self, xs): return sum(xs) * self.size
"""
KINDS = (
    "limit_{i} = {i}",
    "names_{i} = ['a', 'b', {{'k': {i}}}]",
    "def work_{i}(x: int, y=limit_{i}) -> int:\n    total = [x * k for k in range(y)]\n"
    "    return math.floor(sum(total)) + limit_{i}",
    "def walk_{i}(n):\n    return work_{i}(n) + (walk_{j}(n - 1) if n else 0)",
    "class Step_{i}(Row):\n    weight = limit_{i}\n    def run(self, xs):\n"
    "        return self.total(xs) + work_{i}(len(names_{i}))",
    "print_{i} = [str(x) for x in names_{i} if x]",
    "for k_{i} in range(2): last_{i} = k_{i}",
    "len(f'{{limit_{i}}} of {{names_{i}!r:>10}}')",
    "text_{i} = 'row ' + str(limit_{i})",
    "def show_{i}(*args, title='t', **options):\n    return json.dumps([title, args, text_{i}, Step_{i}().run([1])])",
)


def notebook(cells: int, statements: int) -> list[str]:
    """Give the cells of a made-up notebook."""
    made = [HEAD]
    per_cell = statements // cells
    flat = [KINDS[n % len(KINDS)].format(i=n // 10, j=max(0, n // 10 - 1)) for n in range(statements)]
    made += ["\n".join(flat[n : n + per_cell]) for n in range(0, statements, per_cell)]
    last = statements // 10 - 1
    made.append(f"@env.task\ndef few(x: int) -> str:\n    return show_{last}(x)")
    made.append(f"@env.task\ndef many(x: int) -> int:\n    return walk_{last}(x)")
    return made


class Bench:
    """A kernel that has run the notebook, and the log of it."""

    def __init__(self, cells: list[str]) -> None:
        self.main = sys.modules["__main__"] = ModuleType("__main__")
        self.namespace = vars(self.main)
        self.log, self.registry = CellLog(), Registry()
        self.parsing, self.logging = [], []
        listen(self.registry)
        for number, source in enumerate(cells, start=1):
            exec(compile(source, f"<cell {number}>", "exec"), self.namespace)
            start = time.perf_counter()
            ast.parse(source)
            middle = time.perf_counter()
            self.log.record(Cell(source, number, f"<cell {number}>"), configurable=self.is_declared)
            end = time.perf_counter()
            self.parsing.append(middle - start)
            self.logging.append(end - middle)

    def is_declared(self, name: str) -> bool:
        return isinstance(self.namespace.get(name), Declaration)

    def once(self, task: str) -> float:
        start = time.perf_counter()
        module_for(self.log, self.namespace, names=[task])
        return time.perf_counter() - start


def median(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:.3f} ms"


def again(bench: Bench, task: str, change: str = "") -> list[float]:
    """Time the module of a task asked for again and again; ``change`` is executed before each."""
    slicer, times = Slicer(bench.log), []
    slicer.module_for(bench.namespace, names=[task])
    for _ in range(200 if not change else 20):
        exec(change, bench.namespace)
        start = time.perf_counter()
        slicer.module_for(bench.namespace, names=[task])
        times.append(time.perf_counter() - start)
    return times


def memory(cells: list[str]) -> float:
    """Give the bytes that the log of some cells holds, for each byte of source."""
    gc.collect()
    tracemalloc.start()
    log = CellLog()
    for number, source in enumerate(cells, start=1):
        log.record(Cell(source, number))
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held / sum(map(len, cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--statements", type=int, default=5000)
    asked = parser.parse_args()
    cells = notebook(asked.cells, asked.statements)
    bench = Bench(cells)
    cost = [log - parse for log, parse in zip(bench.logging, bench.parsing, strict=True)]
    few, many = ([bench.once(task) for _ in range(15)] for task in ("few", "many"))
    sizes = [len(ast.parse(module_for(bench.log, bench.namespace, names=[t]).source).body) for t in ("few", "many")]
    print(f"{asked.cells} cells, {asked.statements} statements, {sum(map(len, cells)) >> 10} KiB of source")
    print("\n| what | figure |\n|---|---|")
    print(f"| logging a cell of {asked.statements // asked.cells} statements, its parse left out | {median(cost)} |")
    print(f"| slicing a task that reads {sizes[0]} statements | {median(few)} |")
    print(f"| slicing a task that reads {sizes[1]} statements | {median(many)} |")
    print(f"| the same module again, {sizes[0]} statements | {median(again(bench, 'few'))} |")
    print(f"| the same module again, {sizes[1]} statements | {median(again(bench, 'many'))} |")
    change = f"names_{asked.statements // 10 - 1}.append(1)"
    print(f"| after a constant was changed in place | {median(again(bench, 'few', change))} |")
    print(f"| memory of the log, for each byte of source | {memory(cells):.0f} bytes |")
    print(f"| the same for a tenth of the cells | {memory(cells[: len(cells) // 10]):.0f} bytes |")


if __name__ == "__main__":
    main()
