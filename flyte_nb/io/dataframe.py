"""DataFrame: one table, of whatever library, as an input or an output of a task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from flyte_nb.context.task_context import current_context
from flyte_nb.environments.values import Misfit
from flyte_nb.errors import UsageError, UsageTypeError
from flyte_nb.io import tables
from flyte_nb.io.hashing import hashed
from flyte_nb.io.places import new_place
from flyte_nb.io.reference import Reference

__all__ = ["DataFrame"]


@dataclass(repr=False, eq=False)
class DataFrame(Reference):
    """A table of pandas, polars or pyarrow: one at hand, or a reference to files.

    ``await frame.open(pandas.DataFrame).all()`` gives it as the class that is asked for; nothing is read before that.
    One that a task returns is written where the run keeps its data and travels as a reference. A task whose input is
    annotated with a class of tables takes a ``DataFrame`` too.

    Parameters
    ----------
    uri : str, optional
        A file, or a folder of files; with a protocol (``s3://…``) it is read with fsspec, which has to be installed.
    format : str
        ``"parquet"``, which an empty one stands for, or ``"csv"``.
    hash : str, optional
        Stands for its content.

    Raises
    ------
    DeclarationTypeError
        When a field is of the wrong type.
    """

    uri: str | None = None
    format: str = ""
    hash: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._table: Any = None
        self._kind: Any = None
        self._is_written = False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DataFrame):
            return NotImplemented
        return self._fields() == other._fields() and self._table is other._table

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self._table is None:
            return super().__repr__()
        rows, columns = self._table.shape
        return f"DataFrame({tables.kind_of(type(self._table))} table, {rows} x {columns})"

    def _fields(self) -> tuple[str | None, ...]:
        return self.uri, self.format, self.hash

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_table": None if self._is_written else self._table, "_kind": None}

    # --- made of a table ---

    @classmethod
    def wrap_df(cls, val: Any = None, uri: str | None = None) -> DataFrame:
        """Wrap a table at hand.

        Parameters
        ----------
        val : table, optional
            Of pandas, polars or pyarrow.
        uri : str, optional
            Where it is written when a task returns it; where the run keeps its data by default.

        Raises
        ------
        TypeError
            For something that is not a table.
        """
        if val is not None and not tables.is_table(val):
            raise UsageTypeError(f"DataFrame.wrap_df: given {type(val).__name__}; accepted: {tables.ACCEPTED}")
        made = cls(uri)
        made._table = val
        return made

    @classmethod
    def from_df(cls, val: Any = None, uri: str | None = None) -> DataFrame:
        """Wrap a table at hand; the older name of `wrap_df`."""
        return cls.wrap_df(val, uri)

    @classmethod
    def from_local_sync(
        cls, df: Any, columns: Any = None, remote_destination: str | None = None, hash_method: Any = None
    ) -> DataFrame:
        """Take a table at hand, and write it where a destination is given.

        Parameters
        ----------
        df : table
            Of pandas, polars or pyarrow.
        columns : mapping, optional
            The types of its columns, for people; they are not checked.
        remote_destination : str, optional
            Where to write it, as parquet.
        hash_method : str or HashFunction, optional
            Its hash, or what gives it.

        Raises
        ------
        TypeError
            For something that is not a table.
        """
        made = cls.wrap_df(df, remote_destination)
        made.hash = hashed(hash_method, lambda: df)
        if remote_destination is not None:
            made._write(remote_destination)
        return made

    @classmethod
    async def from_local(
        cls, df: Any, columns: Any = None, remote_destination: str | None = None, hash_method: Any = None
    ) -> DataFrame:
        """Do as `from_local_sync`, in a thread."""
        from asyncio import to_thread

        return await to_thread(cls.from_local_sync, df, columns, remote_destination, hash_method)

    @classmethod
    def from_existing_remote(
        cls,
        remote_path: str,
        format: str | None = None,  # noqa: A002 - the Flyte SDK's name
        **kwargs: Any,
    ) -> DataFrame:
        """Refer to files that are there already; nothing is read.

        Parameters
        ----------
        remote_path : str
            A file, or a folder of files.
        format : str, optional
            ``"parquet"`` by default, or ``"csv"``.
        """
        return cls(str(remote_path), format or "", **kwargs)

    # --- asked for ---

    @property
    def val(self) -> Any:
        """The table at hand; None for a reference."""
        return self._table

    @classmethod
    def columns(cls) -> dict[str, type]:
        """Give the types of the columns where the class says them; it says none."""
        return {}

    @classmethod
    def column_names(cls) -> list[str]:
        """List the columns where the class says them; it says none."""
        return list(cls.columns())

    def open(self, dataframe_type: Any) -> DataFrame:
        """Say as what it is wanted: ``pandas.DataFrame``, ``polars.DataFrame`` or ``pyarrow.Table``; give itself."""
        self._kind = dataframe_type
        return self

    def all_sync(self) -> Any:
        """Give the whole table, as the class that ``open`` was told.

        Raises
        ------
        ValueError
            When ``open`` was not called, or there is no table.
        FileNotFoundError
            When there are no such files.
        """
        kind = self._wanted()
        if self._table is not None:
            return tables.converted(self._table, kind)
        return tables.together(self._parts(kind), kind)

    async def all(self) -> Any:
        """Do as `all_sync`, in a thread."""
        from asyncio import to_thread

        return await to_thread(self.all_sync)

    async def iter(self) -> AsyncIterator[Any]:
        """Give an async iterator over its parts: a table for each of its files, or the one at hand."""
        kind = self._wanted()

        async def every() -> AsyncIterator[Any]:
            for table in (tables.converted(self._table, kind),) if self._table is not None else self._parts(kind):
                yield table

        return every()

    def _wanted(self) -> Any:
        if self._kind is None:
            raise UsageError("a DataFrame is opened first: frame.open(pandas.DataFrame).all()")
        if self._table is None and self.uri is None:
            raise UsageError("the DataFrame holds no table and refers to no file")
        return self._kind

    def _parts(self, kind: Any) -> Any:
        return (tables.read_part(path, kind, self.format) for path in tables.parts(str(self.uri)))

    # --- as a value of a task ---

    @classmethod
    def flyte_value_from(cls, value: Any) -> Any:
        """Take an input or an output: one that a running task gives away is written, and refers to its file."""
        if tables.is_table(value):
            raise Misfit(value, cls, reason="wrap it: flyte.io.DataFrame.wrap_df(…)")
        if isinstance(value, cls) and current_context.get() is not None:
            value._leave()
        return value

    def flyte_value_as(self, kind: Any) -> Any:
        """Give it as a class of tables, where a task asks for one."""
        if tables.kind_of(kind) is None:
            return self
        self._kind = kind
        return self.all_sync()

    def _leave(self) -> None:
        if self._table is None or self._is_written:
            return
        try:
            self._write(self.uri or new_place("table"))
        except Exception:  # columns that the format cannot hold, or nothing installed that writes it
            if self.uri is not None:
                raise  # it was asked for

    def _write(self, uri: str) -> None:
        tables.write(self._table, uri, self.format)
        self.uri, self.format, self._is_written = str(uri), self.format or tables.PARQUET, True
