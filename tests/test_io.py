"""Files and directories."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import flyte_nb as flyte
import pydantic
import pytest
from flyte_nb.context.records import ActionID, RawDataPath
from flyte_nb.context.task_context import TaskContext, entered
from flyte_nb.environments.interface import check_value
from flyte_nb.errors import DeclarationTypeError, InitializationError, RuntimeDataValidationError, UsageTypeError
from flyte_nb.io import DataFrame, Dir, EmptyDir, File, HashFunction


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.csv", "in/c.txt", "in/deep/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def names(files: object) -> list[str]:
    return [file.name for file in files]  # type: ignore[attr-defined]


def test_fields_and_defaults(tmp_path: Path) -> None:
    file = File(path="/x/y.csv")
    assert (file.path, file.name, file.format, file.hash) == ("/x/y.csv", "y.csv", "", None)
    assert File(tmp_path).path == str(tmp_path)
    assert File("/x", "n", "csv", "h") == File(path="/x", name="n", format="csv", hash="h")
    assert Dir(path="/x/y/").name == "y"
    assert dataclasses.replace(file, format="csv").format == "csv"
    assert pickle.loads(pickle.dumps(file)) == file


@pytest.mark.parametrize("kind", [File, Dir])
@pytest.mark.parametrize("given", [{"path": 3}, {"path": None}, {"path": "x", "name": 3}, {"path": "x", "hash": 3}])
def test_wrong_types_are_refused(kind: type, given: dict[str, object]) -> None:
    with pytest.raises(DeclarationTypeError):
        kind(**given)


def test_they_are_checked_as_inputs_with_or_without_what_they_hold() -> None:
    file = File("/x")
    assert check_value("input 'f'", file, File, "t") is file
    assert check_value("input 'f'", file, File[str], "t") is file
    assert check_value("input 'f'", [Dir("/x")], list[Dir[int]], "t") == [Dir("/x")]
    with pytest.raises(RuntimeDataValidationError):
        check_value("input 'f'", "/x", File, "t")


def test_they_are_values_of_app_parameters() -> None:
    assert flyte.app.Parameter(name="model", value=File("/x")).value == File("/x")
    assert flyte.app.Parameter(name="models", value=Dir("/x")).value == Dir("/x")


def test_open_sync_reads_and_writes(tmp_path: Path) -> None:
    file = File(tmp_path / "new" / "x.txt")
    with file.open_sync("w", encoding="utf-8") as handle:
        handle.write("grüße")
    with file.open_sync() as handle:
        assert handle.read() == "grüße".encode()
    with pytest.raises(FileNotFoundError), File(tmp_path / "nothing").open_sync() as handle:
        pass


def test_open_is_awaited_or_not(tmp_path: Path) -> None:
    file = File(tmp_path / "x.txt")

    async def use() -> None:
        async with file.open("wb") as handle:
            assert await handle.write(b"one\n") == 4
            assert handle.write(b"two\n") == 4
        async with file.open("rb") as handle:
            assert await handle.readline() == b"one\n"
            assert await handle.tell() == 4
            assert bytes(await handle.read()) == b"two\n"
            assert await handle.seek(0) == 0
            assert handle.read() == b"one\ntwo\n"
            assert handle.readable()
            handle.seek(0)
            assert list(handle) == [b"one\n", b"two\n"]
        async with file.open("r") as handle:
            assert [line async for line in handle] == ["one\n", "two\n"]
            await handle.seek(0)
            assert type(await handle.read()) is str

    asyncio.run(use())


def test_exists(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert File(tmp_path / "x").exists_sync()
    assert File(f"file://{tmp_path}/x").exists_sync()
    assert not File(tmp_path / "y").exists_sync()
    assert not File(tmp_path).exists_sync()
    assert Dir(tmp_path).exists_sync()
    assert not Dir(tmp_path / "x").exists_sync()
    assert asyncio.run(File(tmp_path / "x").exists())
    assert asyncio.run(Dir(tmp_path).exists())


def test_download_copies(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("data")
    file = File(tmp_path / "x.txt")
    copy = file.download_sync()
    assert copy != file.path
    assert Path(copy).name == "x.txt"
    Path(copy).write_text("changed")
    assert Path(file.path).read_text() == "data"
    (tmp_path / "there").mkdir()
    assert file.download_sync(tmp_path / "there") == str(tmp_path / "there" / "x.txt")
    assert file.download_sync(f"{tmp_path}/new/") == str(tmp_path / "new" / "x.txt")
    assert file.download_sync(tmp_path / "other.txt") == str(tmp_path / "other.txt")
    assert file.download_sync(file.path) == file.path
    assert Path(asyncio.run(file.download())).read_text() == "data"
    with pytest.raises(FileNotFoundError):
        File(tmp_path / "nothing").download_sync()


def test_from_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.txt").write_text("data")
    monkeypatch.chdir(tmp_path)
    assert File.from_local_sync("x.txt") == File(str(tmp_path / "x.txt"))
    assert asyncio.run(File.from_local("x.txt")).name == "x.txt"
    copied = File.from_local_sync("x.txt", f"{tmp_path}/store/key")
    assert (copied.path, copied.name) == (f"{tmp_path}/store/key", "x.txt")
    assert Path(copied.path).read_text() == "data"
    with pytest.raises(FileNotFoundError, match="no such file"):
        File.from_local_sync("nothing")


def test_new_and_named_files_outside_a_task() -> None:
    one, other = File.new_remote(), File.new_remote("x.csv")
    assert one.path != other.path
    assert other.name == "x.csv"
    assert File.named_remote("x").path == File.named_remote("x").path
    assert File.from_existing_remote("s3://b/x.csv", "key") == File("s3://b/x.csv", "x.csv", hash="key")


def test_a_task_keeps_its_files_where_its_run_does(tmp_path: Path) -> None:
    context = TaskContext(action=ActionID(name="a0"), raw_data_path=RawDataPath(str(tmp_path)))
    with entered(context):
        assert File.named_remote("x").path == f"{tmp_path}/x"
        assert File.new_remote("y").path.startswith(f"{tmp_path}/")
        assert Dir.new_remote("d").path.endswith("/d")


def test_walk(folder: Path) -> None:
    directory = Dir(folder)
    assert names(directory.walk_sync()) == ["a.csv", "b.txt", "c.txt", "d.txt"]
    assert names(directory.walk_sync(recursive=False)) == ["a.csv", "b.txt"]
    assert names(directory.walk_sync(file_pattern="*.txt")) == ["b.txt", "c.txt", "d.txt"]
    assert names(directory.walk_sync(max_depth=1)) == ["a.csv", "b.txt"]
    assert names(directory.walk_sync(max_depth=2)) == ["a.csv", "b.txt", "c.txt"]
    assert [f.path for f in directory.walk_sync()][-1] == f"{folder}/in/deep/d.txt"

    async def walked() -> list[str]:
        return [file.name or "" async for file in directory.walk(file_pattern="c*")]

    assert asyncio.run(walked()) == ["c.txt"]


def test_list_and_get(folder: Path) -> None:
    directory = Dir(folder)
    assert names(directory.list_files_sync()) == names(asyncio.run(directory.list_files())) == ["a.csv", "b.txt"]
    assert directory.get_file_sync("b.txt") == File(folder / "b.txt")
    assert directory.get_file_sync("in/c.txt") is not None
    assert directory.get_file_sync("nothing") is None
    assert asyncio.run(directory.get_file("a.csv")) is not None


def test_directories_are_downloaded_and_taken(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("t")
    assert Dir(folder).download_sync(target / "copy") == str(target / "copy")
    assert names(Dir(target / "copy").walk_sync()) == ["a.csv", "b.txt", "c.txt", "d.txt"]
    assert names(Dir(asyncio.run(Dir(folder).download())).list_files_sync()) == ["a.csv", "b.txt"]
    assert Dir.from_local_sync(folder) == Dir(folder)
    copied = asyncio.run(Dir.from_local(folder, str(target / "kept")))
    assert (copied.path, copied.name) == (str(target / "kept"), folder.name)
    assert copied.get_file_sync("in/deep/d.txt") is not None
    with pytest.raises(FileNotFoundError, match="no such directory"):
        Dir.from_local_sync(folder / "b.txt")


def test_the_empty_directory(folder: Path) -> None:
    empty: Dir[str] = Dir.empty()
    assert empty.is_empty
    assert not empty.exists_sync()
    assert empty.list_files_sync() == []
    assert empty.get_file_sync("x") is None
    assert list(Path(empty.download_sync()).iterdir()) == []
    assert not Dir(folder).is_empty
    (folder / "none").mkdir()
    assert Dir(folder / "none").is_empty


def test_a_protocol_needs_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InitializationError, match=r"s3://b/x is not a path of this machine; .*pip install fsspec"):
        File("s3://b/x").exists_sync()


def test_a_protocol_is_read_by_fsspec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class System:
        def exists(self, path: str) -> bool:
            return path == "mem://b/x"

        isdir = exists

        def open(self, path: str, mode: str) -> object:
            return (tmp_path / "x").open(mode)

        def get_file(self, path: str, target: str) -> None:
            Path(target).write_text(path)

        def walk(self, path: str, maxdepth: int | None) -> object:
            return [("b", ["in"], ["x"])]

        def unstrip_protocol(self, path: str) -> str:
            return f"mem://{path}"

    fake = SimpleNamespace(core=SimpleNamespace(url_to_fs=lambda path: (System(), path)))
    monkeypatch.setitem(sys.modules, "fsspec", fake)
    file = File("mem://b/x")
    assert file.exists_sync()
    with file.open_sync("w") as handle:
        handle.write("1")
    assert Path(file.download_sync(tmp_path / "copy")).read_text() == "mem://b/x"
    assert Dir("mem://b").list_files_sync() == [file]
    assert Dir("mem://b").get_file_sync("x") == file


def test_what_a_protocol_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def needs_more(path: str) -> object:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setitem(sys.modules, "fsspec", SimpleNamespace(core=SimpleNamespace(url_to_fs=needs_more)))
    with pytest.raises(InitializationError, match="Install s3fs"):
        File("s3://b/x").exists_sync()


@pytest.mark.parametrize(
    ("name", "compression"), [("x.gz", "gzip"), ("x.bz2", "infer"), ("x.xz", "infer"), ("x", "infer")]
)
def test_a_file_is_compressed_where_that_is_asked_for(tmp_path: Path, name: str, compression: str) -> None:
    file = File(tmp_path / name)
    with file.open_sync("w", compression=compression, encoding="utf-8") as handle:
        handle.write("grüße")
    with file.open_sync("rb", compression=compression, block_size=1, cache_type="none", cache_options={}) as handle:
        assert handle.read() == "grüße".encode()
    assert (Path(file.path).read_bytes() == "grüße".encode()) == (name == "x")
    with pytest.raises(ValueError, match="given 'zip'; accepted: gzip, bz2, xz"), file.open_sync(compression="zip"):
        pass


def test_a_hash_is_given_or_made(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")
    length = HashFunction.from_fn(lambda data: str(len(data)))
    assert File.from_local_sync(tmp_path / "x", hash_method=length).hash == "4"
    assert File.from_local_sync(tmp_path / "x", hash_method="h", chunk_size=1).hash == "h"
    assert asyncio.run(File.from_local(tmp_path / "x", hash_method="h", max_concurrency=2)).hash == "h"
    assert File.new_remote("x", "h").hash == "h"
    assert Dir.from_local_sync(tmp_path, dir_cache_key="k", batch_size=1).hash == "k"
    assert asyncio.run(Dir.from_local(tmp_path, dir_cache_key="k")).hash == "k"
    assert Dir.new_remote("d", hash="k").hash == "k"
    length.reset()
    assert length.result() == ""
    with pytest.raises(UsageTypeError, match="hash_method: given 3"):
        File.from_local_sync(tmp_path / "x", hash_method=3)  # type: ignore[arg-type]


def test_an_empty_directory_has_a_class_of_its_own() -> None:
    assert type(Dir.empty()) is EmptyDir
    assert EmptyDir().is_empty
    assert EmptyDir() == Dir.empty()


class Batch(pydantic.BaseModel):
    file: File
    files: list[File[str]] = []
    folder: Dir | None = None
    table: DataFrame | None = None


def test_they_are_fields_of_models_and_travel_in_their_json() -> None:
    batch = Batch(file=File("/x.csv"), files=[{"path": "/y"}], folder=Dir("/d"), table=DataFrame("/t", "parquet"))
    assert batch.files == [File("/y")]
    assert Batch.model_validate_json(batch.model_dump_json()) == batch
    assert check_value("x", batch.model_dump(), Batch, "t") == batch
    for wrong in ("/x", {"path": 3}, {"paths": "/x"}, {}):
        with pytest.raises(ValueError, match="file"):
            Batch(file=wrong)


def test_they_are_made_of_what_they_give() -> None:
    for value in (File("/x", hash="h"), Dir("/x"), DataFrame("/x", "csv")):
        kind = type(value)
        assert kind.model_validate(value.model_dump()) == kind.model_validate_json(value.model_dump_json()) == value
        assert kind.model_validate(value) is value
        assert check_value("x", value.model_dump(), kind, "t") == value
        with pytest.raises(DeclarationTypeError, match=r"model_validate: given 3"):
            kind.model_validate(3)
        with pytest.raises(TypeError):
            kind.model_validate({"nonsense": 1})
