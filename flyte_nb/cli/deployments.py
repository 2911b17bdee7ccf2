"""``flyte-nb deploy``, ``rollback``, ``history``, ``diff`` and ``prune``."""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from flyte_nb.cli.files import declared_in
from flyte_nb.cli.notebooks import FAILED, executed, notebook_options, tell_cell
from flyte_nb.commands import Parser
from flyte_nb.deploy_commands import deploy_options, differences, history_of, pruned, rolled_back
from flyte_nb.deploying import deploy as deploy_now
from flyte_nb.engine.base import Progress, Step
from flyte_nb.engine.store import home_for
from flyte_nb.environments.base import Environment
from flyte_nb.errors import UsageError
from flyte_nb.session import current_session
from flyte_nb.widgets import runs as views

__all__ = ["deploy", "diff", "history", "prune", "rollback"]


def deploy(words: list[str]) -> int:
    """Deploy what a notebook or a file declares."""
    parser = Parser(prog="flyte-nb deploy")
    notebook_options(parser)
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to deploy; everything declared by default")
    deploy_options(parser)
    options = parser.parse_args(words)
    path: Path = options.notebook
    if path.suffix == ".py":
        if options.parameters or options.timeout is not None:
            raise UsageError("flyte-nb deploy: -p and --timeout are for a notebook; a file has no cells")
        _of_file(options)
        return 0
    if path.suffix != ".ipynb":
        raise UsageError(f"flyte-nb deploy: given {str(path)!r}; accepted: a notebook (.ipynb) or a file (.py)")
    return _of_notebook(options)


def _of_file(options: Namespace) -> None:
    wanted = declared_in(options.notebook, options.names, "flyte-nb deploy")
    current_session().show_progress = lambda: _say
    made = deploy_now(*wanted, dry_run=options.dry_run, version=options.version, engine=options.engine,
                      allow_large=options.allow_large)  # fmt: skip
    print(views.deployments(made, options.dry_run).text())


def _say(progress: Progress | None) -> None:
    """Tell a step on stderr; the smaller ones and what the answer tells anyway are left out."""
    if progress is None:  # a second without news
        return
    is_small = progress.step is Step.BUNDLING and progress.note != "begins"
    if is_small or progress.step in (Step.RECORDING, Step.UNCHANGED):
        return
    print(f"flyte-nb deploy: {progress}", file=sys.stderr, flush=True)


def _of_notebook(options: Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="flyte-nb-") as folder:
        told = Path(folder) / "deployed.json"
        asked = {"names": options.names, "dry_run": options.dry_run, "version": options.version,
                 "engine": options.engine, "allow_large": options.allow_large}  # fmt: skip
        call = f"__import__('flyte_nb.cli.deployments').cli.deployments.deploy_here({str(told)!r}, {asked!r})"
        error = executed(options, f"# deploy what {options.notebook.name} declares\n{call}").error
        if error is not None and error.source.endswith(call):
            print(f"flyte-nb deploy: {error.name}: {error.value}", file=sys.stderr)
            return FAILED
        if error is not None:
            tell_cell(error)
            return FAILED
        print(json.loads(told.read_text()))
    _tell_place(options.notebook)
    return 0


def deploy_here(told: str, asked: dict[str, Any]) -> None:
    """Deploy what is declared in this kernel, and write what was done to a file."""
    session = current_session()
    names = asked.pop("names")
    wanted: list[Environment] = [session.registry.find(name) for name in names] or list(session.registry.values())
    if not wanted:
        raise UsageError("the notebook declares no environment")
    made = deploy_now(*wanted, **asked)
    Path(told).write_text(json.dumps(views.deployments(made, asked["dry_run"]).text()))


def _tell_place(path: Path) -> None:
    """Say where the store is when a call from the present folder would look in another."""
    home = home_for(path.absolute().parent)
    if home != home_for(Path.cwd()):
        print(f"flyte-nb deploy: the store is {home}; call from there, or with FLYTE_NB_HOME={home}", file=sys.stderr)


def rollback(words: list[str]) -> int:
    """Make an earlier version current again."""
    print(rolled_back("flyte-nb rollback", words).text())
    return 0


def history(words: list[str]) -> int:
    """Print the versions of an environment, or what is current of all."""
    print(history_of("flyte-nb history", words).text())
    return 0


def diff(words: list[str]) -> int:
    """Print how two versions differ."""
    print(differences("flyte-nb diff", words, current_session()).text())
    return 0


def prune(words: list[str]) -> int:
    """Print what can be removed, or remove it."""
    print(pruned("flyte-nb prune", words).text())
    return 0
