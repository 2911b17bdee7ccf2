"""Storage: paths of this machine and of storages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from flyte_nb import storage
from flyte_nb.context.records import ActionID, RawDataPath
from flyte_nb.context.task_context import TaskContext, entered


def test_paths() -> None:
    assert storage.is_remote("s3://b/x")
    assert not storage.is_remote("file:///x")
    assert not storage.is_remote(Path("/x"))
    assert storage.join("s3://b/", "/x/", "y") == "s3://b/x/y"
    assert storage.join("/x") == "/x"
    assert storage.get_random_local_path("a/b.csv").name == "b.csv"
    assert storage.get_random_local_path() != storage.get_random_local_path()
    assert storage.get_random_local_directory().is_dir()


@pytest.mark.parametrize("remote", [False, True])
def test_files_go_and_come(tmp_path: Path, remote: bool) -> None:
    if remote:
        pytest.importorskip("fsspec")
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "x").write_text("data")
    there = f"memory://{tmp_path}/there" if remote else f"{tmp_path}/there"

    async def use() -> None:
        assert await storage.put(str(tmp_path / "in" / "deep" / "x"), f"{there}/x", chunk_size=1) == f"{there}/x"
        assert storage.exists_sync(f"{there}/x")
        assert await storage.exists(f"{there}/x")
        assert not await storage.exists(f"{there}/y")
        assert Path(await storage.get(f"{there}/x", tmp_path / "back")).read_text() == "data"
        assert Path(await storage.get(f"{there}/x")).read_text() == "data"
        await storage.put(str(tmp_path / "in"), f"{there}/folder", recursive=True)
        folder = await storage.get(f"{there}/folder", tmp_path / "copy", recursive=True)
        assert (Path(folder) / "deep" / "x").read_text() == "data"
        async with storage.open(f"{there}/x") as file:
            assert bytes(await file.read()) == b"data"

    asyncio.run(use())


def test_streams_are_written_and_read(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    async def use() -> None:
        for data in (chunks(), b"abcd"):
            path = await storage.put_stream(data, to_path=f"{tmp_path}/new/x")
            assert [chunk async for chunk in storage.get_stream(path, 3)] == [b"abc", b"d"]
        context = TaskContext(action=ActionID(name="a0"), raw_data_path=RawDataPath(f"{tmp_path}/data"))
        with entered(context):
            assert (await storage.put_stream(b"x", name="y")).startswith(f"{tmp_path}/data/")

    asyncio.run(use())


def test_file_systems_are_fsspecs() -> None:
    fsspec = pytest.importorskip("fsspec")
    assert storage.get_underlying_filesystem("memory") is fsspec.filesystem("memory")
    assert storage.get_underlying_filesystem(path="memory://x") is fsspec.filesystem("memory")
    assert "file" in storage.get_underlying_filesystem(anonymous=True).protocol
