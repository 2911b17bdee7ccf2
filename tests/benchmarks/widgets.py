"""What views with controls cost: ``python tests/benchmarks/widgets.py [NAME ..]``, NAME one of the measures below.

Each measure has a kernel of its own, whose widgets are moved by the messages of a front end, without a browser: a time
is from a message that is sent to the kernel's being idle again, the median of a few. Bytes are those of the comm
messages that the kernel sends meanwhile. A further measure is a function that gives rows, and its place in MEASURES.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from kernels import Kernel  # noqa: E402 - from the folder above
from widget_client import WidgetClient, widget_kernel  # noqa: E402

Rows = Iterator[tuple[str, str, str]]  # what is measured, its time, its bytes
COUNT = 1_000
SETUP = "%load_ext flyte_nb\nimport flyte_nb as flyte\nfrom flyte_nb.widgets.interactive import open_views"
CLOSE = "for view in open_views(): view.close()"


def measured(client: WidgetClient, work: Callable[[], object], times: int = 5) -> tuple[str, str]:
    """Time something a few times, and count what the kernel sends for it."""
    taken, sent = [], []
    for _ in range(times):
        before, start = client.traffic, time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
        sent.append(client.traffic - before)
    return f"{statistics.median(taken) * 1e3:.0f} ms", f"{statistics.median(sent) / 1e3:,.1f} kB"


def declare(kernel: Kernel, count: int = COUNT) -> None:
    """Declare environments with a task each, all of which read one helper."""
    kernel.run(SETUP)
    kernel.run("FACTOR = 2\nUNREAD = 1\ndef helper(x): return x * FACTOR")
    for start in range(0, count, 10):
        kernel.run("".join(
            f"e{i} = flyte.TaskEnvironment('env-{i}', resources=flyte.Resources(cpu=1))\n"
            f"@e{i}.task\ndef t{i}(x: int) -> int:\n    return helper(x) + {i}\n"
            for i in range(start, min(start + 10, count))
        ))  # fmt: skip


def browser(kernel: Kernel, client: WidgetClient) -> Rows:
    """The browser of many environments: shown, searched, turned, kept up to date."""
    declare(kernel)
    yield f"browser: {COUNT:,} environments on screen", *measured(client, lambda: kernel.run("flyte.browse()"))
    kernel.run(CLOSE)
    kernel.run("_ = flyte.deploy(*flyte.current_registry().values())")
    yield "the same, all of them deployed", *measured(client, lambda: kernel.run(f"{CLOSE}\nflyte.browse()"))
    search = client.found(description="search")[-1]
    texts = iter(["1", "12", "123", "12", "1"] * 2)
    yield "a key in its search", *measured(client, lambda: client.set(search, value=next(texts)))
    client.set(search, value="")
    following = client.found(description="Next page")[-1]
    yield "its next page", *measured(client, lambda: client.click(following))
    numbers = iter(range(100))
    yield "a cell that changes none", *measured(client, lambda: kernel.run(f"UNREAD = {next(numbers)}"))
    redone = "e{0} = flyte.TaskEnvironment('env-{0}', resources=flyte.Resources(cpu={1}))"
    yield "a cell that changes one", *measured(client, lambda: kernel.run(redone.format(300, next(numbers) + 2)))
    kernel.run(CLOSE)
    yield (
        "a cell that changes one, no browser open",
        *measured(client, lambda: kernel.run(redone.format(300, next(numbers) + 2))),
    )


def plans(kernel: Kernel, client: WidgetClient) -> Rows:
    """The panel of a plan: shown and deployed."""
    declare(kernel, 20)
    yield "plan panel: 20 environments on screen", *measured(client, lambda: kernel.run(f"{CLOSE}\nflyte.plan()"))
    kernel.run(CLOSE)
    declare(kernel)
    kernel.run("flyte.plan()")

    def deploy() -> None:
        client.click(client.found(description="Deploy")[-1])
        client.wait(lambda: "✓ deployed" in client.html(), timeout=300)

    yield f"{COUNT:,} environments deployed by its button", *measured(client, deploy, 1)


def clones(kernel: Kernel, client: WidgetClient) -> Rows:
    """The panel of a clone: shown, and typed into."""
    declare(kernel, 1)
    yield "clone panel on screen", *measured(client, lambda: kernel.run(f"{CLOSE}\nflyte.preview_clone(e0, 'big')"))
    memory = client.found(description="memory")[-1]
    texts = iter(["8", "8G", "8Gi", "8Gix", "8Gi"] * 2)
    yield "a key in its memory, checked", *measured(client, lambda: client.set(memory, value=next(texts)))


MEASURES = {measure.__name__: measure for measure in (browser, plans, clones)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}; all by default")
    names = parser.parse_args().names or list(MEASURES)
    print("| what | time | sent |\n|---|---|---|")
    for name in names:
        with tempfile.TemporaryDirectory() as folder, widget_kernel(Path(folder)) as (kernel, client):
            for row in MEASURES[name](kernel, client):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
