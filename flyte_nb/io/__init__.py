"""Files, directories and tables as inputs and outputs of tasks."""

from flyte_nb.io.dataframe import DataFrame
from flyte_nb.io.directory import Dir, EmptyDir
from flyte_nb.io.file import File
from flyte_nb.io.hashing import HashFunction
from flyte_nb.io.tables import PARQUET

__all__ = ["PARQUET", "DataFrame", "Dir", "EmptyDir", "File", "HashFunction"]
