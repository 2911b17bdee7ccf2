"""Files and directories as inputs and outputs of tasks."""

from flyte_nb.io.directory import Dir
from flyte_nb.io.file import File

__all__ = ["Dir", "File"]
