"""Times what a cluster asks of this package: ``python tests/benchmarks/cluster.py``. It needs the Flyte SDK.

It translates 1,000 environments, without tasks and with one each, and the whole of ``flyte.to_flyte`` for them: a
module is written, imported with the SDK and compared. Then it deploys 50 environments to a stand-in for a control plane
on this machine, from a notebook's kernel, and with the SDK's own ``flyte.deploy``; the uploads are counted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from kernels import new_kernel
from plane import Plane

MANY, FEW, TIMES = 1_000, 50, 3
TASK = """
@env_{n}.task
def task_{n}(x: int, y: str = "a") -> int:
    "Gives what it is given."
    return x
"""
TRANSLATE = """
from flyte_nb.engine.cluster.environments import environments_as_sdk
environments_as_sdk(list(flyte.current_registry().values()))
def timed():
    import time
    began = time.perf_counter()
    environments_as_sdk(list(flyte.current_registry().values()))
    return time.perf_counter() - began
print(min(timed() for _ in range(5)))
"""
WHOLE = """
import time
began = time.perf_counter()
made = flyte.to_flyte(*flyte.current_registry().values())
print(time.perf_counter() - began)
"""
DEPLOY = """
import time
began = time.perf_counter()
made = flyte.deploy(*flyte.current_registry().values(), engine="cluster", version={version!r})
print(time.perf_counter() - began)
"""
BY_SDK = """
import pathlib, sys, time
import flyte, declared
flyte.init(endpoint={endpoint!r}, insecure=True, project="shop", domain="development", root_dir=pathlib.Path.cwd())
envs = [value for name, value in vars(declared).items() if name.startswith("env_")]
began = time.perf_counter()
flyte.deploy(*envs, version={version!r}, copy_style="all")
print(time.perf_counter() - began)
"""


def declared(count: int, with_tasks: bool) -> str:
    """Give the text that declares so many environments, each in a statement of its own."""
    lines = [f'env_{n} = flyte.TaskEnvironment("e-{n}", image="python:3.11", resources=flyte.Resources(cpu=1))'
             for n in range(count)]  # fmt: skip
    return "\n".join(lines) + "\n" + ("".join(TASK.format(n=n) for n in range(count)) if with_tasks else "")


def last_number(printed: str) -> float:
    return float(printed.strip().splitlines()[-1])


def in_kernel(folder: Path, cells: list[str]) -> list[float]:
    """Run cells in a new kernel, and give the last numbers that they print."""
    with new_kernel(folder) as kernel:
        kernel.client.timeout = 600
        kernel.run(f"import os\nos.environ['HOME'] = {str(folder)!r}\n%load_ext flyte_nb\nimport flyte_nb as flyte")
        printed = [kernel.run(cell).printed for cell in cells]
    return [last_number(text) for cell, text in zip(cells, printed, strict=True) if "print(" in cell]


def by_sdk(folder: Path, endpoint: str, version: str) -> float:
    (folder / "declared.py").write_text("import flyte\n" + declared(FEW, True))
    code = BY_SDK.format(endpoint=endpoint, version=version)
    around = {**os.environ, "HOME": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=around)
    assert done.returncode == 0, done.stderr
    return last_number(done.stdout)


def row(what: str, seconds: list[float], more: str = "") -> None:
    print(
        f"| {what} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} | {more} |", flush=True
    )


def deployments(place: Path) -> None:
    """Deploy to a stand-in, in turns, and say what each asked of it."""
    with Plane(place / "plane") as plane:
        init = f"flyte.init(endpoint={plane.endpoint!r}, insecure=True, project='shop', domain='development')"

        def ours(folder: Path, version: str) -> float:
            return in_kernel(folder, [init, declared(FEW, True), DEPLOY.format(version=version)])[-1]

        def theirs(folder: Path, version: str) -> float:
            return by_sdk(folder, plane.endpoint, version)

        makers: dict[str, Callable[[Path, str], float]] = {"flyte_nb": ours, "the SDK's own": theirs}
        seconds: dict[str, list[float]] = {name: [] for name in makers}
        asked: dict[str, str] = {}
        for time_ in range(TIMES):
            for name, maker in makers.items():
                folder = place / f"{time_}-{name[:3]}"
                folder.mkdir()
                plane.calls.clear()
                seconds[name].append(maker(folder, f"v{time_}-{name[:3]}"))
                asked[name] = f"{len(plane.of('PUT'))} uploads, {len(plane.of('TaskService.DeployTask'))} tasks"
        for name in makers:
            row(f"deploy {FEW} environments, {name}", seconds[name], asked[name])


def main() -> None:
    """Measure and print."""
    began = time.monotonic()
    print("| what | s, median | least | most | |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for with_tasks in (False, True):
            told = "with a task each" if with_tasks else "without tasks"
            folders = [Path(place, f"{with_tasks}-{n}") for n in range(3)]
            for folder in folders:
                folder.mkdir()
            measured = [in_kernel(folder, [declared(MANY, with_tasks), TRANSLATE, WHOLE]) for folder in folders]
            row(f"translate {MANY} environments {told}", [one[-2] for one in measured])
            row(f"flyte.to_flyte of them {told}", [one[-1] for one in measured])
        deployments(Path(place))
    print(f"\nIt took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
