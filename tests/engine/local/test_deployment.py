"""Deploying into the store: unchanged environments, groups, deployers, and what goes wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.engine.base import Progress, Step
from flyte_nb.engine.local.engine import LocalEngine
from flyte_nb.engine.store import Store
from flyte_nb.errors import DeploymentError, StoreError
from flyte_nb.notebook.module import Module
from flyte_nb.plan.bundle import Bundle

from kill_points import PATH, at_any_time, at_each_point, bundle_of, deploy, values
from scripts import ran, start


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home")
    yield store
    store.close()


def row(name: str, digest: str, *needs: str) -> dict[str, Any]:
    return {"environment": name, "declaration": {"depends_on": list(needs)}, "tasks": {}, "digest": digest}


def bundle(*rows: dict[str, Any], source: str = "x = 1\n", version: str | None = None) -> Bundle:
    made = Bundle("draft", Module(source), rows)
    return Bundle(version or made.content[:12], made.module, rows)


class Told(list[Progress]):
    """What a deployment told."""

    def steps(self, environment: str) -> list[Step]:
        return [progress.step for progress in self if progress.environment == environment]


def done(store: Store, made: Bundle, told: Told | None = None, **custom: Any) -> Any:
    return asyncio.run(LocalEngine(store).deploy(made, (told if told is not None else Told()).append, custom))


# --- what is unchanged ---


def test_the_same_again_does_nothing(store: Store) -> None:
    made = bundle(row("a", "1"), row("b", "1"))
    assert [d.unchanged for d in done(store, made)] == [False, False]
    shutil.copytree(store.bundles, store.home / "copy")
    told = Told()
    again = done(store, made, told)
    assert [d.unchanged for d in again] == [True, True]
    assert [progress.step for progress in told] == [Step.UNCHANGED] * 2
    assert len(list(store.bundles.iterdir())) == 1
    assert len(store.history("a")) == 1


def test_an_unchanged_environment_keeps_its_version(store: Store) -> None:
    first = done(store, bundle(row("a", "1"), row("b", "1")))
    second = done(store, bundle(row("a", "1"), row("b", "2"), source="x = 2\n"))
    assert [(d.environment, d.unchanged) for d in second] == [("a", True), ("b", False)]
    assert second[0].version == first[0].version != second[1].version
    assert store.current() == {"a": first[0].version, "b": second[1].version}
    assert [d.unchanged for d in done(store, bundle(row("a", "1")))] == [True]  # alone, too


def test_content_that_was_there_before_has_its_version_again(store: Store) -> None:
    one, two = bundle(row("a", "1")), bundle(row("a", "2"), source="x = 2\n")
    first = done(store, one)[0].version
    done(store, two)
    (again,) = done(store, bundle(row("a", "1"), row("b", "1")))[:1]
    assert (again.version, again.unchanged, again.note) == (first, False, "back again")
    assert [(d.version == first, d.current) for d in store.history("a")] == [(False, False), (True, True)]
    assert store.history("a")[0].until is not None


def test_a_name_is_of_one_content(store: Store) -> None:
    done(store, bundle(row("a", "1"), version="v1"))
    done(store, bundle(row("a", "2"), source="x = 2\n", version="v2"))
    with pytest.raises(DeploymentError, match=r"version 'v1' of 'a' .* with other content.*flyte.rollback\('a', ver"):
        done(store, bundle(row("a", "2"), source="x = 2\n", version="v1"))
    assert store.current() == {"a": "v2"}
    (back,) = done(store, bundle(row("a", "1"), version="v1"))  # the content it had: nothing is ambiguous
    assert (back.version, back.note, store.current()) == ("v1", "back again", {"a": "v1"})


def test_another_name_for_the_same_content(store: Store) -> None:
    done(store, bundle(row("a", "1"), version="v1"))
    (named,) = done(store, bundle(row("a", "1"), version="release"))
    assert (named.version, named.unchanged) == ("release", False)
    assert [d.version for d in store.history("a")] == ["release", "v1"]


@pytest.mark.parametrize("how", ["edited", "gone"])
def test_a_bundle_that_is_broken_is_written_anew(store: Store, how: str) -> None:
    made = bundle(row("a", "1"), row("b", "1"))
    done(store, made)
    home = store.bundles / made.folder
    if how == "gone":
        shutil.rmtree(home)
    else:
        (home / "cells.py").write_text("import os")
    again = done(store, made)
    assert [d.note for d in again] == ["its bundle was edited or gone, and is written anew"] * 2
    assert (home / "cells.py").read_text() == "x = 1\n"
    assert [d.unchanged for d in done(store, made)] == [True, True]
    assert len(store.history("a")) == 1


# --- groups ---


def test_a_group_whose_deployer_fails_is_left_alone_and_others_go_on(store: Store) -> None:
    done(store, bundle(row("a", "1"), row("b", "1", "a"), row("c", "1")))

    async def fails(version: str, home: Path) -> None:
        assert (home / "cells.py").exists()
        raise ValueError("no such cluster")

    told = Told()
    changed = bundle(row("a", "2"), row("b", "2", "a"), row("c", "2"), source="x = 2\n")
    with pytest.raises(DeploymentError, match=r"not deployed.*: a, b: ValueError: no such cluster; deployed: c at"):
        done(store, changed, told, b=fails)
    assert {d.environment: d.digest for d in store.history()} == {"a": "1", "b": "1", "c": "2"}
    assert told.steps("c")[-1] is Step.DEPLOYED
    assert told.steps("a")[-1] is told.steps("b")[-1] is Step.FAILED


def test_groups_are_deployed_at_the_same_time(store: Store) -> None:
    arrived: list[str] = []

    def deployer(name: str) -> Any:
        async def meet(version: str, home: Path) -> str:
            arrived.append(name)
            while len(arrived) < 2:  # each waits for the other
                await asyncio.sleep(0.001)
            return f"{name} done"

        return meet

    made = done(store, bundle(row("a", "1"), row("b", "1")), a=deployer("a"), b=deployer("b"))
    assert [d.result for d in made] == ["a done", "b done"]


def test_a_deployer_comes_after_those_of_what_it_depends_on(store: Store) -> None:
    order: list[str] = []

    def deployer(name: str) -> Any:
        async def note(version: str, home: Path) -> None:
            await asyncio.sleep(0.01 if name == "a" else 0)
            order.append(name)

        return note

    made = bundle(row("a", "1"), row("b", "1", "a"))
    done(store, made, a=deployer("a"), b=deployer("b"))
    assert order == ["a", "b"]
    done(store, made, a=deployer("a"), b=deployer("b"))
    assert order == ["a", "b"]  # unchanged: not called


def test_an_interrupted_deployment_leaves_the_former_version(store: Store) -> None:
    done(store, bundle(row("a", "1")))
    begun = threading.Event()

    async def waits(version: str, home: Path) -> None:
        begun.set()
        await asyncio.sleep(60)

    async def interrupted() -> None:
        made = bundle(row("a", "2"), source="x = 2\n")
        job = asyncio.ensure_future(LocalEngine(store).deploy(made, lambda progress: None, {"a": waits}))
        await asyncio.to_thread(begun.wait, 10)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(interrupted())
    assert [d.digest for d in store.history()] == ["1"]
    (made,) = done(store, bundle(row("a", "2"), source="x = 2\n"))
    assert not made.unchanged


# --- other processes ---

HOLDS = """
import sqlite3, sys, time
db = sqlite3.connect("home/store.db", isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[1]))
"""


def held(folder: Path, seconds: float) -> subprocess.Popen[str]:
    process = start(["-c", HOLDS, str(seconds)], folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_store_in_use_is_waited_for(tmp_path: Path, store: Store) -> None:
    done(store, bundle(row("a", "1")))
    told = Told()
    with held(tmp_path, 2.5):
        done(store, bundle(row("a", "2"), source="x = 2\n"), told)
    waits = [str(progress) for progress in told if progress.step is Step.WAITING]
    assert waits
    assert waits[0] == f"waiting for the store {store.home}, which is in use"
    assert store.history()[0].digest == "2"


def test_a_store_in_use_for_too_long_is_given_up(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyte_nb.engine.store.file.BUSY", 1.5)
    done(store, bundle(row("a", "1")))
    with held(tmp_path, 60) as other:
        with pytest.raises(
            StoreError, match=r"locked. Another process has been writing to it for more than 1.5 s; wai"
        ):
            done(store, bundle(row("a", "2"), source="x = 2\n"))
        other.kill()
    assert store.history()[0].digest == "1"


def test_an_interrupt_while_it_waits_deploys_nothing(tmp_path: Path, store: Store) -> None:
    done(store, bundle(row("a", "1")))

    async def interrupted(other: subprocess.Popen[str]) -> None:
        waiting = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell(progress: Progress) -> None:
            if progress.step is Step.WAITING:
                loop.call_soon_threadsafe(waiting.set)

        job = asyncio.ensure_future(LocalEngine(store).deploy(bundle(row("a", "2"), source="x = 2\n"), tell, {}))
        await asyncio.wait_for(waiting.wait(), 10)
        job.cancel()
        await asyncio.sleep(0.1)
        other.kill()  # now the transaction could begin
        with pytest.raises(asyncio.CancelledError):
            await job

    with held(tmp_path, 60) as other:
        asyncio.run(interrupted(other))
    assert [d.digest for d in store.history("a")] == ["1"]


DEPLOYS = "from kill_points import *; [deploy(Store(Path('home')), v, Path('.')) for v in range({first}, {first} + 15)]"


def test_two_processes_deploy_the_same_environments(tmp_path: Path, store: Store) -> None:
    for value in range(1, 60):
        (tmp_path / f"value-{value}.txt").write_text(str(value))
    deploy(store, 1, tmp_path)
    with (
        start(["-c", DEPLOYS.format(first=10)], tmp_path, **PATH) as one,
        start(["-c", DEPLOYS.format(first=20)], tmp_path, **PATH) as two,  # half of them the same
    ):
        for process in (one, two):
            _, err = process.communicate(timeout=60)
            assert (process.returncode, err) == (0, "")
    found = values(tmp_path / "home")
    assert set(found.values()) <= {24, 34}
    assert len(store.history("a")) == 26


# --- killed ---


@pytest.mark.long
@pytest.mark.timeout(240)
def test_killed_at_each_point(tmp_path: Path) -> None:
    points = list(at_each_point(tmp_path))
    assert len(points) >= 15
    assert {"bundling begins", "bundling is in place", "a recording", "recording is done", "a deployed"} <= {
        point.phase for point in points
    }
    assert [point.group for point in points] == sorted(point.group for point in points)  # former, …, then new
    assert {point.custom for point in points} == {"former", "new"}


@pytest.mark.long
@pytest.mark.timeout(240)
def test_killed_at_any_time(tmp_path: Path) -> None:
    assert at_any_time(tmp_path, 5) >= 1


def test_what_a_killed_deployment_left_is_removed_one_day(tmp_path: Path, store: Store) -> None:
    deploy(store, 1, tmp_path)
    ran(["-c", "from kill_points import *; die_at(3, 2, Path('.'))"], tmp_path, **PATH)
    (draft,) = store.bundles.glob(".*")
    assert store.prune(timedelta(0), dry_run=False).bundles == ()  # it could be at work still
    os.utime(draft, (time.time() - 100_000,) * 2)
    assert store.prune(timedelta(0), dry_run=False).bundles == (draft,)
    assert set(values(tmp_path / "home").values()) == {1}


# --- files and disks ---


def test_a_file_that_goes_or_changes_before_it_is_copied(tmp_path: Path, store: Store) -> None:
    deploy(store, 1, tmp_path)
    made = bundle_of(2, tmp_path)
    (tmp_path / "value-2.txt").unlink()
    with pytest.raises(
        DeploymentError, match=r"value-2.txt \(included by the test\) was removed before .* deploy again"
    ):
        done(store, made)
    (tmp_path / "value-2.txt").write_text("3")
    with pytest.raises(DeploymentError, match=r"value-2.txt .* changed while it was bundled; deploy again"):
        done(store, made)
    assert set(values(tmp_path / "home").values()) == {1}
    assert [path for path in store.bundles.iterdir() if path.name.startswith(".")] == []


FULL = """
from kill_points import *
from flyte_nb.errors import DeploymentError, StoreError
import os, sys
home, room = Path(sys.argv[1]), int(sys.argv[2])
folder = home.parent
store = Store(home)
deploy(store, 1, folder)
disk = os.statvfs(home)
(home / "filler").write_bytes(b"x" * (disk.f_bavail * disk.f_frsize - room))
try:
    deploy(store, 2, Path(sys.argv[3]))
except (DeploymentError, StoreError) as error:
    print(type(error).__name__, error)
store.close()
(home / "filler").unlink()
"""


@pytest.mark.parametrize("room", [0, 12_000])
def test_a_full_disk_leaves_the_former_version(tmp_path: Path, room: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)], capture_output=True)
    if made.returncode:
        pytest.skip("a disk of a few megabytes can only be mounted by root")
    try:
        (disk / "value-1.txt").write_text("1")
        (tmp_path / "value-2.txt").write_text("2")
        done = ran(["-c", FULL, str(disk / "home"), str(room), str(tmp_path)], tmp_path, **PATH)
        assert done.returncode == 0, done.stderr
        assert "DeploymentError the bundle cannot be written to" in done.stdout or "StoreError" in done.stdout
        assert "nothing was deployed" in done.stdout or "full" in done.stdout
        assert [path for path in (disk / "home" / "bundles").iterdir() if path.name.startswith(".")] == []
        shutil.copytree(disk / "home", tmp_path / "copy")
        assert set(values(tmp_path / "copy").values()) == {1}
    finally:
        subprocess.run(["umount", str(disk)], check=True)
