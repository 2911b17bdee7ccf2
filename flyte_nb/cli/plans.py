"""``flyte-nb plan``: what deploying a notebook or a file would do."""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from flyte_nb.cli.files import declared_in
from flyte_nb.cli.notebooks import FAILED, executed, notebook_options, tell_cell
from flyte_nb.commands import Parser
from flyte_nb.errors import UsageError
from flyte_nb.plan_commands import plan_options, planned
from flyte_nb.session import current_session

__all__ = ["plan", "plan_here"]

PROG = "flyte-nb plan"


def plan(words: list[str]) -> int:
    """Print what deploying a notebook or a file would do."""
    parser = Parser(prog=PROG)
    notebook_options(parser)
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to deploy; everything declared by default")
    plan_options(parser)
    options = parser.parse_args(words)
    suffix = options.notebook.suffix
    if suffix == ".ipynb":
        return _of_notebook(options)
    if suffix != ".py":
        raise UsageError(f"{PROG}: given {str(options.notebook)!r}; accepted: a notebook (.ipynb) or a file (.py)")
    if options.parameters or options.timeout is not None:
        raise UsageError(f"{PROG}: -p and --timeout are for a notebook; a file has no cells")
    wanted = declared_in(options.notebook, options.names, PROG)
    print(planned(wanted, options.version, options.json).text())
    return 0


def _of_notebook(options: Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="flyte-nb-") as folder:
        told = Path(folder) / "plan.txt"
        asked = {"names": options.names, "version": options.version, "as_json": options.json}
        call = f"__import__('flyte_nb.cli.plans').cli.plans.plan_here({str(told)!r}, {asked!r})"
        error = executed(options, f"# plan what {options.notebook.name} declares\n{call}").error
        if error is not None and error.source.endswith(call):
            print(f"{PROG}: {error.name}: {error.value}", file=sys.stderr)
            return FAILED
        if error is not None:
            tell_cell(error)
            return FAILED
        print(told.read_text())
    return 0


def plan_here(told: str, asked: dict[str, Any]) -> None:
    """Write what deploying would do to a file: what is declared in this kernel."""
    wanted = [current_session().registry.find(name) for name in asked["names"]]
    Path(told).write_text(planned(wanted, asked["version"], asked["as_json"]).text())
