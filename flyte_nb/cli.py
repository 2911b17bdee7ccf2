"""The command line: the same verbs for a shell. Progress and errors go to stderr, results to stdout."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import tempfile
import threading
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_nb.commands import Parser, choose, export_options, key_values
from flyte_nb.errors import BaseRuntimeError, FlyteError, UsageError
from flyte_nb.notebook.export import check_target

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from flyte_nb.headless import CellFailed, Executed

__all__ = ["main"]

VERBS = {
    "run": "run a notebook without a front end: run NOTEBOOK [-p NAME=VALUE].. [-o OUT.ipynb] [--timeout S]",
    "export": "write a notebook's definitions as a module: export NOTEBOOK OUT.py [--for flyte] [--with-data]",
    "call": "call a deployed task: call ENV.TASK [--version V] [--INPUT VALUE]..",
    "serve": "serve an app until Ctrl-C: serve NOTEBOOK|FILE.py APP [--port P] [-p NAME=VALUE]..",
    "runs": "list the latest runs, or show one with its actions: runs [RUN] [--last N]",
    "version": "the version of flyte_nb",
    "help": "this page",
}
USAGE, FAILED = 2, 1
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and give its exit status: 0 done, 1 failed, 2 used wrongly."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["-h"], ["--help"]):
        words = ["help"]
    if words[:1] == ["--version"]:
        words = ["version"]
    commands: dict[str, Callable[[list[str]], int]] = {
        "run": _run,
        "export": _export,
        "call": _call,
        "serve": _serve,
        "runs": _runs,
        "version": _version,
        "help": _help,
    }
    try:
        verb, rest = choose("flyte-nb", words, list(VERBS))
        return commands[verb](rest)
    except BaseRuntimeError as error:
        _say_failure(error)
        return USAGE if error.code == "ParameterError" else FAILED
    except FlyteError as error:
        print(str(error) if str(error).startswith("flyte-nb") else f"flyte-nb: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("flyte-nb: interrupted", file=sys.stderr)
        return 130


def _help(words: list[str]) -> int:
    print("Flyte's execution environments, at home in a notebook.\n")
    for verb, text in VERBS.items():
        print(f"  flyte-nb {verb:<7} {text}")
    return 0


def _version(words: list[str]) -> int:
    from importlib.metadata import version

    print(f"flyte_nb {version('flyte_nb')}")
    return 0


def _say_failure(error: BaseRuntimeError) -> None:
    if error.remote_traceback:
        print(error.remote_traceback, file=sys.stderr)
    code = "" if error.code == type(error).__name__ else f"{error.code}: "
    print(f"flyte-nb: {code}{error}", file=sys.stderr)


def _parse(parser: Parser, words: list[str]) -> Any:
    """Parse the words of a verb; ``--help`` prints the page and ends the command."""
    return parser.parse_args(words)


def _run(words: list[str]) -> int:
    parser = Parser(prog="flyte-nb run", description="Run a notebook top to bottom in a fresh kernel.")
    _notebook_options(parser)
    parser.add_argument("-o", "--output", type=Path, help="where to write the executed notebook")
    options = _parse(parser, words)
    if options.output is not None:
        _check_writable(options.output)
    executed = _executed(options)
    if options.output is not None:
        _write(executed.notebook, options.output)
    _summarise(executed, options.notebook)
    return FAILED if executed.error is not None else 0


def _notebook_options(parser: Parser) -> None:
    parser.add_argument("notebook", type=Path)
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", dest="parameters",
                        help="a value for a name that the cell tagged 'parameters' binds")  # fmt: skip
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="how long a cell may take")


def _executed(options: Any, then: str = "") -> Executed:
    """Run a notebook with its progress told."""
    from flyte_nb.headless import execute, value_of

    parameters = {name: value_of(text) for name, text in key_values(options.parameters, "-p NAME=VALUE").items()}
    with _Progress(options.notebook.name) as progress:
        return execute(options.notebook, parameters, options.timeout, progress, then)


def _export(words: list[str]) -> int:
    about = "Run a notebook top to bottom in a fresh kernel, then write its definitions as a module."
    parser = Parser(prog="flyte-nb export", description=about)
    _notebook_options(parser)
    parser.add_argument("module", type=Path, metavar="OUT.py")
    export_options(parser)
    options = _parse(parser, words)
    check_target(options.module)
    asked = f"for_={options.target!r}, with_data={options.with_data}, marks={options.marks}"
    call = f"__import__('flyte_nb').export({str(options.module.absolute())!r}, {asked})"
    executed = _executed(options, f"# export to {options.module.name}\n{call}")
    error = executed.error
    if error is not None and error.source.endswith(call):
        print(f"flyte-nb export: {error.name}: {error.value}", file=sys.stderr)
    elif error is not None:
        _tell_cell(error)
    else:
        print(f"wrote {options.module}")
    return FAILED if error is not None else 0


class _Progress:
    """A line per cell on stderr, with a live bar where stderr is a terminal."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                             console=self._console, transient=True, disable=not self._console.is_terminal)  # fmt: skip
        self._name, self._task, self._since = name, self._bar.add_task(name, total=None), 0.0

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._bar.stop()

    def __call__(self, number: int, total: int, state: str, source: str) -> None:
        import time

        from rich.markup import escape

        title = escape(next((line.strip() for line in source.splitlines() if line.strip()), "")[:60])
        if state == "running":
            self._since = time.monotonic()
            self._bar.update(self._task, total=total, completed=number - 1, description=f"[{number}/{total}] {title}")
            return
        took = time.monotonic() - self._since
        sign = "[green]ok[/]    " if state == "done" else "[red]failed[/]"
        self._console.print(f"{sign} {escape(f'[{number}/{total}]')} {took:6.2f} s  {title}")
        self._bar.update(self._task, completed=number)


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
    from flyte_nb.engine.store import Store, home_for
    from flyte_nb.widgets.runs import runs

    made = Store(home_for(path.parent)).runs(last=1000, session=executed.session)
    if executed.error is not None:
        _tell_cell(executed.error)
    if made:
        print(runs(list(reversed(made))).text())
    failed = sum(run.phase.value != "succeeded" for run in made)
    counted = f"{len(made)} runs" if len(made) != 1 else "1 run"
    print(f"{path.name}: {executed.cells} cells, {counted}" + (f", {failed} not succeeded" if failed else ""))


def _tell_cell(error: CellFailed) -> None:
    print(f"\ncell {error.number}:\n{_indented(error.source)}\n", file=sys.stderr)
    trace = error.trace or f"{error.name}: {error.value}"
    print(trace if sys.stderr.isatty() else _COLOURS.sub("", trace), file=sys.stderr)


def _indented(source: str) -> str:
    return "\n".join(f"    {line}" for line in source.splitlines())


def _call(words: list[str]) -> int:
    parser = Parser(prog="flyte-nb call", add_help=False)
    parser.add_argument("task")
    parser.add_argument("--version")
    parser.add_argument("-h", "--help", action="store_true")
    if not words:
        raise UsageError(f"flyte-nb call: name a task; {VERBS['call']}")
    if words[0] in ("-h", "--help"):
        print(f"{VERBS['call']}\n\nflyte-nb call ENV.TASK --help  tells the inputs of a task.")
        return 0
    own, rest = _own_options(words)
    options = parser.parse_args(own)

    from flyte_nb.verbs import call_deployed, deployed

    task = deployed(options.task, options.version)
    if options.help:
        print(_task_help(task))
        return 0
    try:
        work = task.work((), _inputs(rest), texts=True)
    except ValueError as error:
        raise UsageError(f"{task.name}: {error}") from None
    outputs = call_deployed(work).outputs()
    for value in outputs:
        print(value)
    return 0


def _own_options(words: list[str]) -> tuple[list[str], list[str]]:
    """Part the command's own words from the task's inputs."""
    own, rest, words = words[:1], [], words[1:]
    while words:
        word = words.pop(0)
        if word in ("-h", "--help"):
            own.append(word)
        elif word == "--version" and words:
            own += [word, words.pop(0)]
        elif word.startswith("--version="):
            own.append(word)
        else:
            rest.append(word)
    return own, rest


def _inputs(words: list[str]) -> dict[str, str]:
    """Read ``--name value`` and ``--name=value``."""
    inputs: dict[str, str] = {}
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--") or word == "--":
            raise UsageError(f"flyte-nb call: given {word!r}; accepted: --INPUT VALUE")
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not words:
                raise UsageError(f"flyte-nb call: --{name} needs a value")
            value = words.pop(0)
        if name.replace("-", "_") in inputs:
            raise UsageError(f"flyte-nb call: --{name} is given twice")
        inputs[name.replace("-", "_")] = value
    return inputs


def _task_help(task: Any) -> str:
    lines = [
        f"{task.name}{task.interface}",
        *([task.description] if task.description else []),
        f"version {task.version}",
    ]
    for row in task.inputs:
        default = f" (default {row['default']})" if "default" in row else ""
        lines.append(f"  --{row['name']} {row['type']}{default}")
    return "\n".join(lines)


def _serve(words: list[str]) -> int:
    about = "Serve an app on this machine until Ctrl-C; its link goes to stdout, its log to stderr."
    parser = Parser(prog="flyte-nb serve", description=about)
    _notebook_options(parser)
    parser.add_argument("app", help="the name of an app that the notebook or the Python file declares")
    parser.add_argument("--port", type=int, default=0, help="the port of its address; any that is free by default")
    options = _parse(parser, words)
    from flyte_nb import serve_forever

    over = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: over.set())
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    try:
        if options.notebook.suffix == ".ipynb":
            return _serve_notebook(options, over)
        if options.parameters:
            raise UsageError("flyte-nb serve: -p gives values to a notebook; a Python file takes none")
        serve_forever.app_of_file(options.notebook)
        handle = serve_forever.serve_named(options.app, options.port)
        why = serve_forever.follow(handle, _tell_link, _tell_line, over)
    finally:
        signal.signal(signal.SIGINT, before)
    if why:
        print(f"flyte-nb serve: {options.app} failed: {why}", file=sys.stderr)
    return FAILED if why else 0


def _serve_notebook(options: Any, over: threading.Event) -> int:
    """Run a notebook, and serve one of its apps in its kernel."""
    from flyte_nb.serve_forever import told_by

    with tempfile.TemporaryDirectory(prefix="flyte-nb-serve-") as folder:
        asked = f"{options.app!r}, {options.port}, {folder!r}"
        call = f"__import__('flyte_nb.serve_forever', fromlist=['in_kernel']).in_kernel({asked})"
        # in a thread: in the main one nbclient takes Ctrl-C, and ends the kernel
        with told_by(Path(folder), _tell_link, _tell_line), ThreadPoolExecutor(1) as thread:
            running = thread.submit(_executed, options, f"# serve {options.app}\n{call}")
            while not running.done():
                if over.wait(0.2):
                    (Path(folder) / "stop").touch()
                    break
            error = running.result().error
    if error is not None and error.source.endswith(call):
        print(f"flyte-nb serve: {error.name}: {error.value}", file=sys.stderr)
    elif error is not None:
        _tell_cell(error)
    return FAILED if error is not None else 0


def _tell_link(link: str) -> None:
    print(link, flush=True)


def _tell_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _runs(words: list[str]) -> int:
    parser = Parser(prog="flyte-nb runs", description="List the latest runs of this folder's store.")
    parser.add_argument("run", nargs="?", help="the name of a run, to see it with its actions")
    parser.add_argument("--last", type=int, default=20, help="how many; 20 by default")
    options = _parse(parser, words)
    from flyte_nb.engine.store import Store, home_for
    from flyte_nb.widgets import runs as views

    store = Store(home_for(Path.cwd()))
    print((views.runs(store.runs(options.last)) if options.run is None else views.run(store.run(options.run))).text())
    return 0
