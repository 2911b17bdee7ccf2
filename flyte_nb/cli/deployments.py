"""``flyte-nb deploy``, ``rollback``, ``history``, ``diff`` and ``prune``."""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from flyte_nb.cli.notebooks import FAILED, executed, notebook_options, tell_cell
from flyte_nb.commands import Parser
from flyte_nb.deploy_commands import deploy_options, differences, history_of, pruned, rolled_back
from flyte_nb.deploying import deploy as deploy_now
from flyte_nb.engine.base import Progress
from flyte_nb.engine.definition import SCRIPT, loading
from flyte_nb.engine.store import home_for
from flyte_nb.environments.base import Environment
from flyte_nb.errors import UsageError, suggestion
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
    path: Path = options.notebook.absolute()
    if not path.is_file():
        known = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UsageError(f"flyte-nb deploy: there is no file {str(options.notebook)!r}; {suggestion(path.name, known)}")
    registry = current_session().registry
    _load(path)
    declared = [env for env in registry.values() if env.place.file == str(path)]
    wanted = [registry.find(name) for name in options.names] or declared
    if not wanted:
        raise UsageError(f"flyte-nb deploy: {options.notebook} declares no environment")
    current_session().show_progress = lambda: _say
    made = deploy_now(*wanted, dry_run=options.dry_run, version=options.version, engine=options.engine,
                      allow_large=options.allow_large)  # fmt: skip
    print(views.deployments(made, options.dry_run).text())


def _load(path: Path) -> None:
    """Execute a file as a module: what is under ``if __name__ == "__main__"`` does not run, verbs are refused."""
    sys.path.insert(0, str(path.parent))
    spec = spec_from_file_location(SCRIPT, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"flyte-nb deploy: {path} is no Python file")
    module = sys.modules[SCRIPT] = module_from_spec(spec)
    loading.set()
    try:
        spec.loader.exec_module(module)
    finally:
        loading.clear()


def _say(progress: Progress) -> None:
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
