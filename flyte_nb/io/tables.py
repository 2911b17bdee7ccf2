"""Tables: the classes of pandas, polars and pyarrow that hold one, how they are read, written and made of each other.

None of the libraries is imported before a table of it is at hand or asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, NamedTuple

from flyte_nb.errors import InitializationError, UsageError, UsageTypeError
from flyte_nb.io.places import filesystem_of, is_local, local, open_path

__all__ = ["CSV", "PARQUET", "converted", "is_table", "kind_of", "parts", "read_part", "together", "write"]

PARQUET = "parquet"
CSV = "csv"
#: the root package and the name of a class, and the module that its library is used through
_LIBRARIES = {("pandas", "DataFrame"): "pandas", ("pyarrow", "Table"): "pyarrow", ("polars", "DataFrame"): "polars"}
ACCEPTED = "pandas.DataFrame, polars.DataFrame or pyarrow.Table"


class Formats(NamedTuple):
    """What a library does with files and with tables of other libraries."""

    read_parquet: Callable[[Any], Any]
    read_csv: Callable[[Any], Any]
    write_parquet: Callable[[Any, Any], None]
    write_csv: Callable[[Any, Any], None]
    joined: Callable[[list[Any]], Any]
    to_arrow: Callable[[Any], Any]
    from_arrow: Callable[[Any], Any]


def _pandas() -> Formats:
    pd = import_module("pandas")
    return Formats(
        pd.read_parquet,
        pd.read_csv,
        lambda table, file: table.to_parquet(file),
        lambda table, file: table.to_csv(file, index=False),
        lambda tables: pd.concat(tables, ignore_index=True),
        lambda table: import_module("pyarrow").Table.from_pandas(table),
        lambda table: table.to_pandas(),
    )


def _polars() -> Formats:
    pl = import_module("polars")
    return Formats(
        pl.read_parquet,
        pl.read_csv,
        lambda table, file: table.write_parquet(file),
        lambda table, file: table.write_csv(file),
        pl.concat,
        lambda table: table.to_arrow(),
        pl.from_arrow,
    )


def _pyarrow() -> Formats:
    pa = import_module("pyarrow")
    parquet, csv = import_module("pyarrow.parquet"), import_module("pyarrow.csv")
    return Formats(
        parquet.read_table, csv.read_csv, parquet.write_table, csv.write_csv, pa.concat_tables, _itself, _itself
    )


def _itself(table: Any) -> Any:
    return table


_FORMATS = {"pandas": _pandas, "polars": _polars, "pyarrow": _pyarrow}


def kind_of(kind: Any) -> str | None:
    """Name the library of a class of tables; None for any other class."""
    for base in getattr(kind, "__mro__", ()):
        library = _LIBRARIES.get((base.__module__.partition(".")[0], base.__name__))
        if library is not None:
            return library
    return None


def is_table(value: Any) -> bool:
    """Tell whether a value is a table of one of the libraries."""
    return kind_of(type(value)) is not None


def _formats(kind: Any) -> Formats:
    library = kind_of(kind)
    if library is None:
        shown = kind.__name__ if isinstance(kind, type) else repr(kind)[:80]
        raise UsageTypeError(f"a table as {shown}; accepted: {ACCEPTED}")
    return _FORMATS[library]()


def converted(table: Any, kind: Any) -> Any:
    """Give a table as one of another library; itself where it is one.

    Raises
    ------
    TypeError
        For a class that is not one of tables.
    InitializationError
        When pyarrow, which stands between two libraries, is not installed.
    """
    wanted = _formats(kind)
    if kind_of(type(table)) == kind_of(kind):
        return table
    with _needing_pyarrow():
        return wanted.from_arrow(_formats(type(table)).to_arrow(table))


def parts(uri: str) -> list[str]:
    """List the files of a table: the one that a path names, or those of a folder."""
    if is_local(uri):
        path = local(uri)
        found = sorted(str(file) for file in path.rglob("*") if file.is_file()) if path.is_dir() else [str(path)]
    else:
        system = filesystem_of(uri)
        names = sorted(system.find(uri)) if system.isdir(uri) else [uri]
        found = [name if "://" in name else system.unstrip_protocol(name) for name in names]
    shown = [name for name in found if not name.rpartition("/")[2].startswith(("_", "."))]
    if not shown:
        raise FileNotFoundError(f"there are no files in {uri}")
    return shown


def read_part(path: str, kind: Any, form: str) -> Any:
    """Read one file as a table.

    Raises
    ------
    InitializationError
        When pandas needs pyarrow for it, and it is not installed.
    ValueError
        For a format other than ``"parquet"`` and ``"csv"``.
    """
    formats = _formats(kind)
    read = {PARQUET: formats.read_parquet, CSV: formats.read_csv}[_known(form)]
    with _needing_pyarrow(), open_path(path, "rb") as file:
        return read(file)


def together(tables: Iterator[Any], kind: Any) -> Any:
    """Join the parts of a table."""
    every = list(tables)
    return every[0] if len(every) == 1 else _formats(kind).joined(every)


def write(table: Any, path: str, form: str) -> None:
    """Write a table to one file; raises as `read_part`."""
    formats = _formats(type(table))
    written = {PARQUET: formats.write_parquet, CSV: formats.write_csv}[_known(form)]
    with _needing_pyarrow(), open_path(path, "wb") as file:
        written(table, file)


def _known(form: str) -> str:
    if form not in ("", PARQUET, CSV):
        raise UsageError(f"DataFrame.format: given {form!r}; accepted: 'parquet', 'csv', or '' for parquet")
    return form or PARQUET


class _needing_pyarrow(AbstractContextManager[None]):  # noqa: N801 - it reads as a word of a with statement
    """Say in one sentence that pyarrow is missing."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, ImportError):
            raise InitializationError(
                "PackageMissing", "user", "this needs the package pyarrow: pip install pyarrow"
            ) from error
