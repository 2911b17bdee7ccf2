"""``flyte-nb run`` and ``export``: a notebook in a fresh kernel, with its progress told."""

from __future__ import annotations

import contextlib
import re
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_nb.cli.progress import Progress
from flyte_nb.commands import Parser, export_options, key_values
from flyte_nb.engine.store import Store, home_for
from flyte_nb.errors import UsageError
from flyte_nb.headless import CellFailed, Executed, execute, value_of
from flyte_nb.notebook.export import check_target
from flyte_nb.widgets.runs import runs

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["executed", "export", "notebook_options", "run", "tell_cell"]

FAILED = 1
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def run(words: list[str]) -> int:
    """Run a notebook, and sum up what it did."""
    parser = Parser(prog="flyte-nb run")
    notebook_options(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="OUT.ipynb", help="where to write the executed notebook")
    options = parser.parse_args(words)
    if options.output is not None:
        _check_writable(options.output)
    done = executed(options)
    if options.output is not None:
        _write(done.notebook, options.output)
    _summarise(done, options.notebook)
    return FAILED if done.error is not None else 0


def notebook_options(parser: Parser) -> None:
    """Add what every verb takes that runs a notebook."""
    parser.add_argument("notebook", type=Path, metavar="NOTEBOOK", help="the notebook")
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", dest="parameters",
                        help="a value for a name that the cell tagged 'parameters' binds")  # fmt: skip
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="how long a cell may take")


def executed(options: Any, then: str = "") -> Executed:
    """Run a notebook with its progress told."""
    parameters = {name: value_of(text) for name, text in key_values(options.parameters, "-p NAME=VALUE").items()}
    with Progress(options.notebook.name) as progress:
        return execute(options.notebook, parameters, options.timeout, progress, then)


def export(words: list[str]) -> int:
    """Run a notebook, then write its definitions as a module."""
    parser = Parser(prog="flyte-nb export")
    notebook_options(parser)
    parser.add_argument("module", type=Path, metavar="OUT.py", help="the module to write")
    export_options(parser)
    options = parser.parse_args(words)
    check_target(options.module)
    asked = f"for_={options.target!r}, with_data={options.with_data}, marks={options.marks}"
    call = f"__import__('flyte_nb').export({str(options.module.absolute())!r}, {asked})"
    error = executed(options, f"# export to {options.module.name}\n{call}").error
    if error is not None and error.source.endswith(call):
        print(f"flyte-nb export: {error.name}: {error.value}", file=sys.stderr)
    elif error is not None:
        tell_cell(error)
    else:
        print(f"wrote {options.module}")
    return FAILED if error is not None else 0


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise ArgumentTypeError(f"given {text!r}; accepted: a number above 0")


def _check_writable(path: Path) -> None:
    """Find out before the notebook runs whether its outputs can be kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise UsageError(f"flyte-nb run: {path} cannot be written: {error.strerror}") from None
    if not path.stat().st_size:
        path.unlink()


def _write(notebook: NotebookNode, path: Path) -> None:
    import nbformat

    nbformat.write(notebook, path)


def _summarise(executed: Executed, path: Path) -> None:
    made = Store(home_for(path.parent)).runs(last=1000, session=executed.session)
    if executed.error is not None:
        tell_cell(executed.error)
    if made:
        print(runs(list(reversed(made))).text())
    failed = sum(run.phase.value != "succeeded" for run in made)
    counted = f"{len(made)} runs" if len(made) != 1 else "1 run"
    print(f"{path.name}: {executed.cells} cells, {counted}" + (f", {failed} not succeeded" if failed else ""))


def tell_cell(error: CellFailed) -> None:
    """Tell the cell that failed, and its traceback, on stderr."""
    print(f"\ncell {error.number}:\n{_indented(error.source)}\n", file=sys.stderr)
    trace = error.trace or f"{error.name}: {error.value}"
    print(trace if sys.stderr.isatty() else _COLOURS.sub("", trace), file=sys.stderr)


def _indented(source: str) -> str:
    return "\n".join(f"    {line}" for line in source.splitlines())
