"""A real kernel to type cells into, with a store of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient


class Ran:
    """The outputs of one cell."""

    def __init__(self, cell: Any) -> None:
        self.outputs = cell.outputs

    @property
    def printed(self) -> str:
        """Everything written to stdout and stderr."""
        return "".join(o.text for o in self.outputs if o.output_type == "stream")

    @property
    def shown(self) -> str:
        """The text form of everything displayed."""
        return "\n".join(o.data.get("text/plain", "") for o in self.outputs if "data" in o)

    @property
    def html(self) -> str:
        """The HTML form of everything displayed."""
        return "\n".join(o.data.get("text/html", "") for o in self.outputs if "data" in o)

    @property
    def error(self) -> str:
        """The traceback as it appears; empty where the cell succeeded."""
        return "\n".join("\n".join(o.traceback) for o in self.outputs if o.output_type == "error")


class Kernel:
    """A kernel to type cells into."""

    def __init__(self, client: NotebookClient, folder: Path) -> None:
        self.client, self.folder = client, folder

    def run(self, source: str, fails: bool = False) -> Ran:
        """Run a cell; insist that it succeeds, or fails."""
        cell = nbformat.v4.new_code_cell(source)
        self.client.nb.cells.append(cell)
        self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        ran = Ran(cell)
        assert bool(ran.error) == fails, ran.error or ran.printed
        return ran

    def value(self, expression: str) -> str:
        """Give the text form of an expression."""
        return self.run(expression).shown


@contextmanager
def new_kernel(folder: Path, kind: type[NotebookClient] = NotebookClient) -> Iterator[Kernel]:
    """Start a kernel in a folder that takes its store, with a client of some kind."""
    client = kind(
        nbformat.v4.new_notebook(),
        timeout=60,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    with client.setup_kernel(env={**os.environ, "FLYTE_NB_HOME": str(folder / ".flyte_nb")}):
        yield Kernel(client, folder)
