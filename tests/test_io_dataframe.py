"""DataFrame: tables of pandas, polars and pyarrow, at hand or as files."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.context.records import ActionID, RawDataPath
from flyte_nb.context.task_context import TaskContext, entered
from flyte_nb.environments.values import check_value
from flyte_nb.errors import DeclarationTypeError, RuntimeDataValidationError, UsageTypeError
from flyte_nb.io import PARQUET, DataFrame, HashFunction

from scripts import ran, written

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")
TABLES = [pd.DataFrame, pl.DataFrame, pa.Table]
ROWS = {"a": [1, 2], "b": ["x", "ü"]}


def table(kind: Any) -> Any:
    return pa.table(ROWS) if kind is pa.Table else kind(ROWS)


def rows(held: Any) -> dict[str, list[Any]]:
    if isinstance(held, pd.DataFrame):
        return {str(name): list(held[name]) for name in held}
    made: dict[str, list[Any]] = held.to_pydict() if isinstance(held, pa.Table) else held.to_dict(as_series=False)
    return made


@pytest.fixture
def context(tmp_path: Path) -> TaskContext:
    return TaskContext(action=ActionID(name="a0"), raw_data_path=RawDataPath(f"{tmp_path}/data"))


def test_the_fields_are_those_of_a_reference() -> None:
    frame = DataFrame("/x", PARQUET, "h")
    assert (frame.uri, frame.format, frame.hash, frame.val) == ("/x", "parquet", "h", None)
    assert frame == DataFrame(uri="/x", format="parquet", hash="h")
    assert frame != DataFrame("/x")
    assert DataFrame.from_existing_remote("s3://b/x", format="csv") == DataFrame("s3://b/x", "csv")
    assert (DataFrame.columns(), DataFrame.column_names()) == ({}, [])
    assert repr(DataFrame("/x")) == "DataFrame(uri='/x')"
    with pytest.raises(DeclarationTypeError, match=r"DataFrame\.uri"):
        DataFrame(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("wanted", TABLES)
def test_a_table_at_hand_is_given_as_any_class(kind: Any, wanted: Any) -> None:
    frame = DataFrame.wrap_df(table(kind))
    opened = frame.open(wanted)
    assert opened is frame
    assert type(opened.all_sync()) is wanted
    assert rows(asyncio.run(opened.all())) == ROWS
    assert (opened.all_sync() is frame.val) == (kind is wanted)


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("wanted", TABLES)
def test_files_are_written_and_read(tmp_path: Path, kind: Any, wanted: Any, form: str, context: TaskContext) -> None:
    frame = DataFrame.wrap_df(table(kind), uri=f"{tmp_path}/new/x")
    frame.format = form
    with entered(context):
        check_value("output o0", frame, DataFrame, "t")
    assert rows(DataFrame(f"{tmp_path}/new/x", form).open(wanted).all_sync()) == ROWS


def test_a_folder_is_one_table_or_many_parts(tmp_path: Path) -> None:
    for name in ("1.parquet", "2.parquet"):
        pd.DataFrame(ROWS).to_parquet(tmp_path / name)
    (tmp_path / "_SUCCESS").touch()
    frame = DataFrame(str(tmp_path)).open(pd.DataFrame)
    assert rows(frame.all_sync())["a"] == [1, 2, 1, 2]
    assert list(frame.all_sync().index) == [0, 1, 2, 3]

    async def parts(of: DataFrame) -> list[int]:
        return [len(part) async for part in await of.iter()]

    assert asyncio.run(parts(frame)) == [2, 2]
    assert asyncio.run(parts(DataFrame.wrap_df(pd.DataFrame(ROWS)).open(pa.Table))) == [2]
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="no files in"):
        DataFrame(str(tmp_path / "none")).open(pd.DataFrame).all_sync()


def test_a_storage_is_read_with_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    made = DataFrame.from_local_sync(pd.DataFrame(ROWS), remote_destination="memory://tables/x.parquet")
    assert fsspec.filesystem("memory").exists("/tables/x.parquet")
    assert rows(DataFrame(made.uri).open(pl.DataFrame).all_sync()) == ROWS
    assert rows(DataFrame("memory://tables").open(pa.Table).all_sync()) == ROWS


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="opened first"):
        DataFrame("/x").all_sync()
    with pytest.raises(ValueError, match="opened first"):
        asyncio.run(DataFrame("/x").iter())
    with pytest.raises(ValueError, match="holds no table"):
        DataFrame().open(pd.DataFrame).all_sync()
    with pytest.raises(FileNotFoundError):
        DataFrame(str(tmp_path / "nothing")).open(pd.DataFrame).all_sync()
    with pytest.raises(TypeError, match=r"a table as dict; accepted: pandas\.DataFrame"):
        DataFrame.wrap_df(pd.DataFrame()).open(dict).all_sync()
    with pytest.raises(ValueError, match="given 'orc'; accepted: 'parquet', 'csv'"):
        DataFrame("/x", "orc").open(pd.DataFrame).all_sync()
    with pytest.raises(UsageTypeError, match="given list; accepted: pandas"):
        DataFrame.wrap_df([1])


def test_a_table_is_taken_with_its_hash(tmp_path: Path) -> None:
    held = pd.DataFrame(ROWS)
    assert DataFrame.from_df(held).val is held
    assert DataFrame.from_local_sync(held, hash_method="h").hash == "h"
    length = HashFunction.from_fn(lambda frame: str(len(frame)))
    written_one = asyncio.run(DataFrame.from_local(held, None, f"{tmp_path}/x", length))
    assert (written_one.uri, written_one.format, written_one.hash) == (f"{tmp_path}/x", "parquet", "2")
    assert Path(f"{tmp_path}/x").exists()


def test_an_output_becomes_a_reference_and_an_input_stays_at_hand(context: TaskContext) -> None:
    frame = DataFrame.wrap_df(pd.DataFrame(ROWS))
    assert check_value("input 'x'", frame, DataFrame, "t") is frame
    assert frame.uri is None
    assert rows(pickle.loads(pickle.dumps(frame)).open(pd.DataFrame).all_sync()) == ROWS
    with entered(context):
        check_value("output o0", [frame], list[DataFrame], "t")
    assert frame.uri is not None
    assert frame.uri.startswith(context.raw_data_path.path)
    there = pickle.loads(pickle.dumps(frame))
    assert there.val is None
    assert rows(there.open(pd.DataFrame).all_sync()) == ROWS


def test_what_parquet_cannot_hold_travels_as_it_is(context: TaskContext) -> None:
    mixed = pd.DataFrame({"a": [1, "x", None]}, dtype=object)
    frame = DataFrame.wrap_df(mixed)
    with entered(context):
        check_value("output o0", frame, DataFrame, "t")
        assert frame.uri is None
        there = pickle.loads(pickle.dumps(frame))
        with pytest.raises(pa.ArrowInvalid):
            check_value("output o0", DataFrame.wrap_df(mixed, f"{context.raw_data_path.path}/x"), DataFrame, "t")
    assert there.val.equals(mixed)


def test_a_class_of_tables_takes_a_dataframe_and_a_dataframe_no_bare_table() -> None:
    frame = DataFrame.wrap_df(table(pl.DataFrame))
    assert rows(check_value("x", frame, pd.DataFrame, "t")) == ROWS
    assert rows(check_value("x", [frame], list[pa.Table], "t")[0]) == ROWS
    with pytest.raises(RuntimeDataValidationError, match=r"wrap it: flyte\.io\.DataFrame\.wrap_df"):
        check_value("x", table(pd.DataFrame), DataFrame, "t")
    with pytest.raises(RuntimeDataValidationError, match="given 3 of type int; accepted: DataFrame"):
        check_value("x", 3, DataFrame, "t")


def test_the_repr_says_what_it_holds() -> None:
    assert repr(DataFrame.wrap_df(table(pl.DataFrame))) == "DataFrame(polars table, 2 x 2)"


SOURCE = """
import asyncio
import flyte_nb as flyte
import pandas as pd
import polars as pl
import pyarrow as pa

env = flyte.TaskEnvironment(name="e")

@env.task
def make(n: int) -> flyte.io.DataFrame:
    return flyte.io.DataFrame.wrap_df(pd.DataFrame({"a": list(range(n))}))

@env.task
async def total(frame: flyte.io.DataFrame) -> int:
    return int((await frame.open(pl.DataFrame).all())["a"].sum())

@env.task
def plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame + 1

@env.task
def arrow(table: pa.Table, frame: pl.DataFrame) -> tuple[pa.Table, pl.DataFrame]:
    return table, frame

@env.task
async def parent(n: int) -> int:
    return await total(await make.aio(n))

if __name__ == "__main__":
    made = flyte.run(make, 4).outputs()[0]
    print(made.format, made.val, made.open(pa.Table).all_sync().num_rows)
    print(flyte.run(total, made).outputs()[0], flyte.run(parent, 5).outputs()[0])
    print(flyte.run(total, flyte.io.DataFrame.wrap_df(pd.DataFrame({"a": [1, 2]}))).outputs()[0])
    for given in (made, pd.DataFrame({"a": [1]})):
        print(list(flyte.run(plain, given).outputs()[0]["a"]))
    table, frame = flyte.run(arrow, pa.table({"a": [1]}), pl.DataFrame({"a": [2]})).outputs()
    print(table.to_pydict(), frame.to_dict(as_series=False))
"""


def test_tables_travel_between_processes(tmp_path: Path) -> None:
    done = ran([str(written(tmp_path / "tables.py", SOURCE))], tmp_path, timeout=110)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "parquet None 4", "6 10", "3", "[1, 2, 3, 4]", "[2]", "{'a': [1]} {'a': [2]}",
    ]  # fmt: skip


def test_no_library_is_imported_before_it_is_needed() -> None:
    code = (
        "import flyte_nb as flyte, sys; flyte.io.DataFrame('/x')\n"
        "print({'pandas', 'polars', 'pyarrow', 'fsspec'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
