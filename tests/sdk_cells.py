"""The process of a `Notebook`: each line it reads is a cell, each line it writes what the cell printed and raised."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout


def main() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    sys.path.insert(0, os.getcwd())
    answers, shell = sys.stdout, InteractiveShell.instance()
    shell.showtraceback = lambda *_, **__: None  # the error is told; colouring a traceback takes long
    shell.ast_node_interactivity = "none"  # a cell shows what it prints
    for line in sys.stdin:
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            done = shell.run_cell(json.loads(line), store_history=True)
        error = done.error_before_exec or done.error_in_exec
        told = f"{type(error).__name__}: {error}" if error is not None else ""
        print(json.dumps({"printed": printed.getvalue(), "error": told}), file=answers, flush=True)


if __name__ == "__main__":
    main()
