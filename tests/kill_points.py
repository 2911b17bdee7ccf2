"""Deployments that are killed at every point: whatever comes of it, the former or the new version is whole.

``python tests/benchmarks/kill_points.py`` prints what `at_each_point` finds as a table.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flyte_nb.deployed_tasks import Deployed
from flyte_nb.engine.base import Progress
from flyte_nb.engine.local.engine import LocalEngine
from flyte_nb.engine.store import Store
from flyte_nb.environments.base import listen
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.notebook.module import Module
from flyte_nb.plan.bundle import Bundle, bundle_for
from flyte_nb.plan.files import shipped
from flyte_nb.plan.seal import insist_whole

from scripts import start

#: two environments that depend on each other, one that depends on nothing, one that has a deployer of its own
NAMES = ("a", "b", "c", "d")
SOURCE = """
import flyte_nb as flyte
from pathlib import Path

VALUE = {value}
"""
PART = """
{name} = flyte.TaskEnvironment("{name}")

@{name}.task
def {name}_value() -> tuple[int, int]:
    return VALUE, int((Path(__file__).parent / "value.txt").read_text())
"""


class Point(NamedTuple):
    """What became of a deployment that was killed at one point."""

    phase: str
    group: str
    alone: str
    custom: str


def bundle_of(value: int, folder: Path) -> Bundle:
    """Make a bundle whose tasks return a value, from their module and from a file beside it."""
    before = listen(None)
    file = folder / f"value-{value}.txt"
    if not file.exists():
        file.write_text(str(value))
    a = TaskEnvironment("a", description=f"{value}")
    envs = [a, TaskEnvironment("b", depends_on=[a], description=f"{value}"),
            TaskEnvironment("c", description=f"{value}"), TaskEnvironment("d", description=f"{value}")]  # fmt: skip

    def task() -> tuple[int, int]:
        raise NotImplementedError

    for env in envs:
        task.__name__ = task.__qualname__ = f"{env.name}_value"
        env.task(task)
    listen(before)
    source = SOURCE.format(value=value) + "".join(PART.format(name=name) for name in NAMES)
    return bundle_for(envs, Module(source), files=[shipped("value.txt", file, "included by the test", True)])


async def custom(version: str, home: Path) -> None:
    """Deploy an environment in a way of one's own."""
    await asyncio.sleep(0.3)  # longer than the others take, so that the table has one order


def deploy(store: Store, value: int, folder: Path, tell: object = lambda progress: None) -> None:
    """Deploy the environments with a value."""
    engine = LocalEngine(store)
    asyncio.run(engine.deploy(bundle_of(value, folder), tell, {"d": custom}))  # type: ignore[arg-type]


def die_at(number: int, value: int, folder: Path) -> None:
    """Deploy, and be killed at the step of a number; at the end, tell that there are no more."""
    told = 0

    def tell(progress: Progress) -> None:
        nonlocal told
        told += 1
        if told == number:
            print(f"at {str(progress).partition(' at version')[0]}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    deploy(Store(folder / "home"), value, folder, tell)
    print("done", flush=True)


def die_any_time(folder: Path) -> None:
    """Deploy one value after the other, until killed."""
    store = Store(folder / "home")
    print("ready", flush=True)
    for value in range(10, 1_000_000):
        deploy(store, value, folder)


def values(home: Path) -> dict[str, int]:
    """Call every task of the current versions, in real workers, and insist that none is half of two versions."""
    store = Store(home)
    engine, found = LocalEngine(store), dict[str, int]()

    async def call() -> None:
        for name in NAMES:
            row = store.deployed(name)
            insist_whole(store.bundles / row["bundle"], row["seal"])
            run = await engine.run(Deployed(f"{name}.{name}_value", row, store).work((), {}), lambda event: None)
            assert run.error is None, run.error
            one, other = run.outputs()
            assert one == other == int(row["declaration"]["description"]), (name, one, other, row)
            found[name] = one
        await engine.stop()

    asyncio.run(call())
    assert found["a"] == found["b"], found  # they became current together
    return found


def at_each_point(folder: Path, first: int = 1) -> Iterator[Point]:
    """Kill deployments at one point after the other, each upon a whole version, and give what is found afterwards."""
    store = Store(folder / "home")
    deploy(store, 1, folder)
    store.close()
    former = values(folder / "home")
    for number in range(first, 1000):
        new = number + 1
        with start(["-c", f"from kill_points import *; die_at({number}, {new}, Path('.'))"], folder, **PATH) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGKILL), err
        found = values(folder / "home")
        words = {name: "new" if found[name] == new else "former" for name in NAMES}
        assert all(found[name] in (new, former[name]) for name in NAMES), (found, former)
        if process.returncode == 0:
            assert set(words.values()) == {"new"}
            return
        former = found
        yield Point(out.strip().removeprefix("at "), words["a"], words["c"], words["d"])


def at_any_time(folder: Path, times: int, seed: int = 1) -> int:
    """Kill deployments at times drawn at random; give how many different versions were found, each of them whole."""
    store, chance, found = Store(folder / "home"), random.Random(seed), set[int]()
    deploy(store, 1, folder)
    store.close()
    for _ in range(times):
        with start(["-c", "from kill_points import *; die_any_time(Path('.'))"], folder, **PATH) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.0, 0.4))
            process.kill()
            process.communicate()
        found.add(values(folder / "home")["a"])
    return len(found)


PATH = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), str(Path(__file__).parent), *sys.path[1:]])}
