"""The command line: the same verbs for a shell. Progress and errors go to stderr, results to stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from flyte_nb.commands import Command, HelpAsked, Parser, by_name, choose
from flyte_nb.errors import BaseRuntimeError, FlyteError
from flyte_nb.visible import bounded_lines
from flyte_nb.widgets import help as pages

__all__ = ["VERBS", "main"]

ABOUT = "Flyte's execution environments, at home in a notebook."
USAGE, FAILED, INTERRUPTED = 2, 1, 130


def _within(module: str, function: str) -> Callable[[list[str]], int]:
    """Give a function of a module of this package that is imported when it is called: the start stays fast."""

    def call(words: list[str]) -> int:
        status: int = getattr(import_module(f"{__name__}.{module}"), function)(words)
        return status

    return call


def _version(words: list[str]) -> int:
    Parser(prog="flyte-nb version").parse_args(words)
    from importlib.metadata import version

    print(f"flyte_nb {version('flyte_nb')}")
    return 0


def _help(words: list[str]) -> int:
    parser = Parser(prog="flyte-nb help")
    parser.add_argument("verb", nargs="?", metavar="VERB", help="a verb")
    verb = parser.parse_args(words).verb
    if verb is None:
        print(f"{ABOUT}\n\n{pages.overview(VERBS.values()).text()}")
        return 0
    name, _ = choose("flyte-nb help", [verb], list(VERBS))
    return _carry_out(VERBS[name], ["--help"])


#: every verb of flyte-nb, in the order of the help; a new one is a row here
VERBS = by_name(
    (
        Command(
            "flyte-nb run NOTEBOOK [-p NAME=VALUE].. [-o OUT.ipynb] [--timeout S]",
            "run a notebook top to bottom in a fresh kernel, without a front end",
            _within("notebooks", "run"),
            ("flyte-nb run pipeline.ipynb", "flyte-nb run pipeline.ipynb -p rows=100 -o done.ipynb --timeout 600"),
        ),
        Command(
            "flyte-nb export NOTEBOOK OUT.py [--for flyte] [--with-data] [--marks]",
            "run a notebook, then write its definitions as a module",
            _within("notebooks", "export"),
            ("flyte-nb export pipeline.ipynb pipeline.py", "flyte-nb export pipeline.ipynb pipeline.py --for flyte"),
        ),
        Command(
            "flyte-nb plan NOTEBOOK|FILE.py [NAME ..] [--version V] [--json]",
            "run a notebook, or load a file, and say what deploying it would do",
            _within("plans", "plan"),
            ("flyte-nb plan pipeline.ipynb", "flyte-nb plan pipeline.py my-env --json"),
        ),
        Command(
            "flyte-nb deploy NOTEBOOK|FILE.py [NAME ..] [--dry-run] [--version V]",
            "run a notebook, or load a file, and deploy what it declares",
            _within("deployments", "deploy"),
            ("flyte-nb deploy pipeline.ipynb --dry-run", "flyte-nb deploy pipeline.py my-env --version v2"),
        ),
        Command(
            "flyte-nb rollback NAME .. [--version V]",
            "make an earlier version current again",
            _within("deployments", "rollback"),
            ("flyte-nb rollback my-env", "flyte-nb rollback my-env --version v1"),
        ),
        Command(
            "flyte-nb history [NAME]",
            "the versions of an environment, the newest first; or what is deployed of all",
            _within("deployments", "history"),
            ("flyte-nb history", "flyte-nb history my-env"),
        ),
        Command(
            "flyte-nb diff A@V B@V",
            "how two deployed versions differ",
            _within("deployments", "diff"),
            ("flyte-nb diff my-env@v1 my-env@current",),
        ),
        Command(
            "flyte-nb prune [--days N] [--apply]",
            "what can be removed: versions that were not current for N days, and their bundles; or remove it",
            _within("deployments", "prune"),
            ("flyte-nb prune", "flyte-nb prune --days 90 --apply"),
        ),
        Command(
            "flyte-nb call ENV.TASK [--version V] [--INPUT VALUE]..",
            "call a deployed task; ENV.TASK --help tells its inputs",
            _within("calls", "call"),
            ("flyte-nb call my-env.double --x 21", "flyte-nb call my-env.double --version v1 --x 21"),
        ),
        Command(
            "flyte-nb serve NOTEBOOK|FILE.py APP [--port P] [-p NAME=VALUE]..",
            "run a notebook, or load a file, and serve one of its apps until Ctrl-C; prints its link",
            _within("apps", "serve"),
            ("flyte-nb serve pipeline.ipynb my-app", "flyte-nb serve pipeline.py my-app --port 8000"),
        ),
        Command(
            "flyte-nb c0 [--port N] [--prometheus_port M] [--modules A B]..",
            "serve the connectors of some modules, as the command of a ConnectorEnvironment does",
            _within("connectors", "serve"),
            ("flyte-nb c0 --port 8000 --modules my_connectors.batch",),
        ),
        Command(
            "flyte-nb runs [RUN] [--last N] [--json]",
            "the latest runs of this folder's store, or one with its actions",
            _within("records", "runs"),
            ("flyte-nb runs --last 5", "flyte-nb runs double-f5cd0fdd", "flyte-nb runs --json"),
        ),
        Command(
            "flyte-nb doctor [--json]",
            "look at versions, store, workers, uv, GPUs, secrets, cluster; exit status 1 where tasks cannot run",
            _within("doctor", "doctor"),
            ("flyte-nb doctor", "flyte-nb doctor --json"),
        ),
        Command("flyte-nb version", "the version of flyte_nb", _version, ("flyte-nb version",)),
        Command(
            "flyte-nb help [VERB]",
            "this page, or one verb with its options and examples",
            _help,
            ("flyte-nb help", "flyte-nb help run"),
        ),
    )
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and give its exit status: 0 done, 1 failed, 2 used wrongly."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        words = ["version"]
    try:
        try:
            verb, rest = choose("flyte-nb", words, list(VERBS))
        except HelpAsked:
            verb, rest = "help", []
        return _carry_out(VERBS[verb], rest)
    except BaseRuntimeError as error:
        _say_failure(error)
        return USAGE if error.code == "ParameterError" else FAILED
    except FlyteError as error:
        _say(str(error) if str(error).startswith("flyte-nb") else f"flyte-nb: {error}")
        return USAGE
    except KeyboardInterrupt:
        _say("flyte-nb: interrupted")
        return INTERRUPTED


def _carry_out(command: Command, words: list[str]) -> int:
    """Carry out a verb; where help is asked for, print its page."""
    try:
        status: int = command.function(words)
    except HelpAsked as asked:
        print(pages.page(command, asked.parser).text())
        return 0
    return status


def _say_failure(error: BaseRuntimeError) -> None:
    if error.remote_traceback:
        _say(error.remote_traceback)
    code = "" if error.code == type(error).__name__ else f"{error.code}: "
    _say(f"flyte-nb: {code}{error}")


def _say(text: str) -> None:
    print(bounded_lines(text), file=sys.stderr)
