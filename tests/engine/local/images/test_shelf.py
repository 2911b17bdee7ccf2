"""Folders by key: made once, by one process, whole or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from flyte_nb.engine.local.images.shelf import STAMP, Shelf, cache_home

from scripts import ran, soon, start

OTHER = """
import asyncio, sys, time
from pathlib import Path
from flyte_nb.engine.local.images.shelf import Shelf

async def make(folder):
    (folder / "half").touch()
    print("making", flush=True)
    while not Path(sys.argv[2]).exists():
        await asyncio.sleep(0.02)
    (folder / "half").rename(folder / "whole")

folder, made = asyncio.run(Shelf(Path(sys.argv[1])).take("key", make, lambda line: print(line, flush=True)))
print(made, *sorted(path.name for path in folder.iterdir()), flush=True)
time.sleep(float(sys.argv[3]))
"""


def filled(name: str) -> Callable[[Path], Awaitable[None]]:
    async def make(folder: Path) -> None:
        (folder / name).touch()

    return make


def take(shelf: Shelf, key: str, make: Callable[[Path], Awaitable[None]]) -> tuple[Path, bool]:
    return asyncio.run(shelf.take(key, make, print))


def left(root: Path) -> list[str]:
    """Give what lies on a shelf beside its locks."""
    return sorted(path.name for path in root.iterdir() if path.name != ".locks")


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    folder, made = take(Shelf(tmp_path), "key", filled("a"))
    assert (folder, made) == (tmp_path / "key", True)
    assert take(Shelf(tmp_path), "key", filled("b")) == (folder, False)
    assert sorted(path.name for path in folder.iterdir()) == ["a", STAMP]


def test_of_many_takers_in_one_process_one_makes_it(tmp_path: Path) -> None:
    async def slow(folder: Path) -> None:
        await asyncio.sleep(0.2)

    async def all_at_once() -> list[tuple[Path, bool]]:
        return await asyncio.gather(*(Shelf(tmp_path).take("key", slow, print) for _ in range(5)))

    assert sorted(made for _, made in asyncio.run(all_at_once())) == [False] * 4 + [True]


def test_a_failed_make_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    async def broken(folder: Path) -> None:
        (folder / "half").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        take(Shelf(tmp_path), "key", broken)
    assert left(tmp_path) == []
    assert take(Shelf(tmp_path), "key", filled("a"))[1]


def test_a_cancelled_make_leaves_nothing(tmp_path: Path) -> None:
    async def cancel() -> None:
        begun = asyncio.Event()

        async def stuck(folder: Path) -> None:
            begun.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(Shelf(tmp_path).take("key", stuck, print))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert left(tmp_path) == []


def test_another_process_is_waited_for(tmp_path: Path) -> None:
    words = ["-c", OTHER, str(tmp_path / "s"), str(tmp_path / "go"), "0"]
    with start(words, tmp_path) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "making\n"
        with start(words, tmp_path) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "waiting for the environment, which is being built already\n"
            (tmp_path / "go").touch()
            outputs = [process.communicate(timeout=20)[0] for process in (first, second)]
    assert outputs == [f"True {STAMP} whole\n", f"False {STAMP} whole\n"]


def test_what_a_killed_process_left_is_never_used(tmp_path: Path) -> None:
    with start(["-c", OTHER, str(tmp_path / "s"), "never", "0"], tmp_path) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.send_signal(signal.SIGKILL)
    (half,) = left(tmp_path / "s")
    assert half.startswith(".key.")
    folder, made = take(Shelf(tmp_path / "s"), "key", filled("a"))
    assert made
    assert left(tmp_path / "s") == ["key"]
    assert not (folder / "half").exists()


def test_a_folder_that_is_not_sound_is_made_anew(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, lambda folder: (folder / "a").exists())
    folder, _ = take(shelf, "key", filled("a"))
    (folder / "a").unlink()
    assert take(shelf, "key", filled("a")) == (folder, True)
    assert left(tmp_path) == ["key"]


def test_a_cache_that_was_removed_by_hand_is_made_anew(tmp_path: Path) -> None:
    import shutil

    take(Shelf(tmp_path / "s"), "key", filled("a"))
    shutil.rmtree(tmp_path / "s")
    folder, made = take(Shelf(tmp_path / "s"), "key", filled("a"))
    assert made
    assert Shelf(tmp_path / "s").in_use(folder)


def test_pruning_spares_what_a_living_process_uses(tmp_path: Path) -> None:
    root = tmp_path / "s"
    with start(["-c", OTHER, str(root), "/", "60"], tmp_path) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "making\n"
        assert user.stdout.readline().startswith("True")
        shelf = Shelf(root)
        assert shelf.in_use(root / "key")
        assert shelf.prune(None) == 0
        user.kill()
    assert not shelf.in_use(root / "key")
    assert shelf.prune(3600) == 0
    assert shelf.prune(None) == 1
    assert left(root) == []


def test_pruning_by_age_looks_at_the_last_use(tmp_path: Path) -> None:
    for age in ("0", "7200"):
        ran(["-c", OTHER.replace('"key"', f'"age{age}"'), str(tmp_path / "s"), "/", "0"], tmp_path)
        stamp = tmp_path / "s" / f"age{age}" / STAMP
        os.utime(stamp, (stamp.stat().st_mtime - int(age),) * 2)
    shelf = Shelf(tmp_path / "s")
    assert [path.name for path in shelf.folders()] == ["age0", "age7200"]
    assert shelf.prune(3600) == 1
    assert left(tmp_path / "s") == ["age0"]


def test_pruning_takes_what_is_half_made_but_not_what_is_being_made(tmp_path: Path) -> None:
    root = tmp_path / "s"
    with start(["-c", OTHER, str(root), "never", "0"], tmp_path) as maker:
        assert maker.stdout is not None
        maker.stdout.readline()
        shelf = Shelf(root)
        assert shelf.prune(None) == 0
        assert len(left(root)) == 1
        maker.kill()
    assert soon(lambda: shelf.prune(None) == 0 and left(root) == [])


def test_an_empty_shelf_has_nothing_to_prune(tmp_path: Path) -> None:
    assert Shelf(tmp_path / "none").prune(None) == 0
    assert Shelf(tmp_path / "none").folders() == []


def test_the_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLYTE_NB_CACHE", str(tmp_path / "own"))
    assert cache_home() == tmp_path / "own"
    monkeypatch.delenv("FLYTE_NB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "flyte_nb"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_home() == Path.home() / ".cache" / "flyte_nb"
