"""``flyte-nb serve``: an app of a notebook or a file, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flyte_nb import serve_forever
from flyte_nb.cli.files import declared_in
from flyte_nb.cli.notebooks import FAILED, executed, notebook_options, tell_cell
from flyte_nb.commands import Parser
from flyte_nb.errors import UsageError

__all__ = ["serve"]


def serve(words: list[str]) -> int:
    """Serve an app on this machine until Ctrl-C; its link goes to stdout, its log to stderr."""
    parser = Parser(prog="flyte-nb serve")
    notebook_options(parser)
    parser.add_argument("app", metavar="APP", help="the name of an app that the notebook or the Python file declares")
    parser.add_argument("--port", type=int, default=0, help="the port of its address; any that is free by default")
    options = parser.parse_args(words)
    over = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: over.set())
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    try:
        if options.notebook.suffix == ".ipynb":
            return _serve_notebook(options, over)
        if options.parameters:
            raise UsageError("flyte-nb serve: -p gives values to a notebook; a Python file takes none")
        declared_in(options.notebook, (), "flyte-nb serve")
        handle = serve_forever.serve_named(options.app, options.port)
        why = serve_forever.follow(handle, _tell_link, _tell_line, over)
    finally:
        signal.signal(signal.SIGINT, before)
    if why:
        print(f"flyte-nb serve: {options.app} failed: {why}", file=sys.stderr)
    return FAILED if why else 0


def _serve_notebook(options: Any, over: threading.Event) -> int:
    """Run a notebook, and serve one of its apps in its kernel."""
    with tempfile.TemporaryDirectory(prefix="flyte-nb-serve-") as folder:
        asked = f"{options.app!r}, {options.port}, {folder!r}"
        call = f"__import__('flyte_nb.serve_forever', fromlist=['in_kernel']).in_kernel({asked})"
        # in a thread: in the main one nbclient takes Ctrl-C, and ends the kernel
        with serve_forever.told_by(Path(folder), _tell_link, _tell_line), ThreadPoolExecutor(1) as thread:
            running = thread.submit(executed, options, f"# serve {options.app}\n{call}")
            while not running.done():
                if over.wait(0.2):
                    (Path(folder) / "stop").touch()
                    break
            error = running.result().error
    if error is not None and error.source.endswith(call):
        print(f"flyte-nb serve: {error.name}: {error.value}", file=sys.stderr)
    elif error is not None:
        tell_cell(error)
    return FAILED if error is not None else 0


def _tell_link(link: str) -> None:
    print(link, flush=True)


def _tell_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
