"""Slice every function and class of real notebooks, and compare what the modules do with what the kernel does.

    python tests/benchmarks/real_notebooks.py FOLDER [--write TABLE.md] [--only TEXT] [--jobs N]

FOLDER holds notebooks, at any depth. Each is run cell by cell in an IPython shell of its own process, in an
empty folder, with 20 seconds for each cell; ``!`` lines are not carried out, and libraries that are not installed are
stood in for by placeholders, so that what only names them can still be defined. Then, for each function and class
that is alive:

* it is sliced, as a task that reads it would be;
* the module is executed in a process that knows nothing of the notebook, and every global name that the live object
  reads, directly or through other definitions, and that the kernel knows, has to be in it;
* where the notebook calls it at the top of a cell, the call is carried out in the kernel (twice, to find out whether
  its result is always the same) and in the module, and the results have to be equal: value, output, or error.

The table says, for each notebook: cells that ran of all, definitions, those sliced, values captured on the way,
slices that were refused because the kernel does not know a name either, those that failed otherwise, calls compared,
calls that differ, calls that give something else each time or take too long, definitions whose module lacked a name.
Below it, each failure with its reason. The exit code is 1 if a result differs or a name is missing.

The code of the notebooks is run: use ones that you trust.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import builtins
import contextlib
import functools
import importlib.machinery
import inspect
import io
import itertools
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

CELL_SECONDS, CALL_SECONDS, LOAD_SECONDS, NOTEBOOK_SECONDS = 20, 3, 30, 300
CALLS = 2  # of each definition
HEAVY = ("numpy", "pandas", "matplotlib.pyplot", "sklearn", "IPython")


# --- placeholders for what is not installed ---


class Placeholder:
    """Stands for anything of a library that is not installed: can be called, read, subclassed, pickled."""

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        # used as a decorator, it gives back what it decorates
        return args[0] if len(args) == 1 and isinstance(args[0], FunctionType | type) else Placeholder()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Placeholder()

    def __mro_entries__(self, bases):
        return (Placeholder,)

    def __getitem__(self, key):
        return Placeholder()

    def __iter__(self):
        return iter(())

    def __repr__(self):
        return "<placeholder>"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


class PlaceholderModule(ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Placeholder()


class Finder:
    """Finds a placeholder for each module of a library that is not installed."""

    stood_in: set[str] = set()

    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        known = root in sys.stdlib_module_names or (root in sys.modules and root not in self.stood_in)
        if known or not _asked_by_notebook():
            return None
        self.stood_in.add(root)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return PlaceholderModule(spec.name)

    def exec_module(self, module):
        pass


def _asked_by_notebook():
    """Tell whether an import comes from a cell or a generated module, not from a library that tries its options."""
    frame = sys._getframe(2)
    while frame is not None and ("importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == "__main__"


# --- what a call gives ---


def outcome(function):
    """Carry out a call, with the same random numbers each time, and describe what it gave."""
    import random

    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            value = function()
            if inspect.iscoroutine(value):
                value = asyncio.run(value)
            text = described(value)
    except BaseException as error:
        text = f"raised {type(error).__name__}: {error}"
    whole = f"{text[:3000]} | {printed.getvalue()[:3000]}"
    return re.sub(r'0x[0-9a-f]+|File "[^"]*", line \d+', "", whole)  # where it is in memory and on disk


def described(value):
    if inspect.isgenerator(value) or isinstance(value, map | filter | zip | itertools.chain):
        value = list(itertools.islice(value, 30))
    return f"{type(value).__name__} {value!r}"


def in_a_fork(work, seconds):
    """Give what ``work()`` returns in a forked process; None if it takes too long or ends the process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1), os.dup2(nowhere.fileno(), 2)
            with os.fdopen(writing, "wb") as out:
                out.write(json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    data, end = b"", time.monotonic() + seconds
    while select.select([reading], [], [], max(0, end - time.monotonic()))[0]:
        piece = os.read(reading, 1 << 16)
        data += piece
        if not piece:
            break
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return json.loads(data) if data else None


# --- the process that executes modules, and knows nothing of the notebook ---


def loader():
    """Answer, for each line of JSON on stdin, with the names and the result that a module gives."""
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked = json.loads(line)
        if "preload" in asked:
            for name in asked["preload"]:
                with contextlib.suppress(ImportError):
                    __import__(name)
            sys.meta_path.append(Finder())
            continue
        print(json.dumps(in_a_fork(lambda asked=asked: executed(**asked), LOAD_SECONDS)), file=out, flush=True)


def executed(path, call):
    main = ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    try:
        exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), vars(main))
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    return {"names": sorted(vars(main)), "value": outcome(vars(main)[call]) if call else None}


# --- one notebook ---


class Watcher:
    """Keeps the log of the cells, as the session does."""

    def __init__(self, log, shell):
        self.log, self.shell, self.failed = log, shell, 0
        self.watch = None

    def begin(self, running):
        pass

    def end(self, running, failed_at):
        from flyte_nb.environments.declaration import Declaration
        from flyte_nb.notebook.scripts import cells_run_by

        self.failed += failed_at is not None
        namespace = self.shell.user_ns
        self.log.record(
            running.cell,
            failed_at,
            configurable=lambda name: isinstance(namespace.get(name), Declaration),
            runs=lambda statement: cells_run_by(self.shell, statement),
            is_live=namespace.__contains__,
        )


def cells_of(path):
    book = json.loads(Path(path).read_text())
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]


def run_cells(cells, beside):
    """Run the cells in a shell; give it, the log and the number of cells that failed."""
    from flyte_nb.notebook.cells import CellLog
    from flyte_nb.notebook.shell import Watch
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.system = shell.system_raw = shell.system_piped = lambda *a, **k: None
    shell.getoutput = lambda *a, **k: []
    shell.register_magic_function(lambda line: None, "line", "matplotlib")  # it needs the shell of a kernel
    builtins.input = lambda prompt="": (_ for _ in ()).throw(EOFError("no input"))
    sys.path.insert(0, str(beside))
    log = CellLog()
    watcher = Watcher(log, shell)
    watcher.watch = Watch(shell, watcher)
    watcher.watch.start()
    signal.signal(signal.SIGALRM, _too_long)
    for source in cells:
        signal.alarm(CELL_SECONDS)
        try:
            shell.run_cell(source, store_history=True)
        except BaseException:
            watcher.failed += 1
        finally:
            signal.alarm(0)
    return shell, log, watcher.failed


def _too_long(signum, frame):
    raise TimeoutError("the cell takes too long")


def definitions(shell):
    """Give the functions and classes that the notebook defines."""
    return {
        name: value
        for name, value in shell.user_ns.items()
        if isinstance(value, FunctionType | type)
        and value.__module__ == "__main__"
        and getattr(value, "__qualname__", "") == name
    }


def codes_of(value, seen):
    """Give the code of a function of the notebook, or of the methods of a class of it."""
    if getattr(value, "__module__", None) != "__main__":
        return
    if isinstance(value, FunctionType | type(functools.lru_cache(len))):
        value = inspect.unwrap(value)
    if isinstance(value, FunctionType):
        yield value.__code__
    elif isinstance(value, type) and value not in seen:
        seen.add(value)
        for part in vars(value).values():
            part = getattr(part, "__func__", getattr(part, "fget", part))
            if isinstance(part, FunctionType) and part.__module__ == "__main__":
                yield from codes_of(part, seen)


def names_read(value, namespace):
    """Give the global names that a live definition reads, directly or through others, and that the kernel knows."""
    import dis

    found, waiting, seen = set(), [value], set()
    while waiting:
        codes = list(codes_of(waiting.pop(), seen))
        while codes:
            code = codes.pop()
            codes += [const for const in code.co_consts if isinstance(const, CodeType)]
            for one in dis.get_instructions(code):
                if one.opname == "LOAD_GLOBAL" and one.argval in namespace and one.argval not in found:
                    found.add(one.argval)
                    waiting.append(namespace[one.argval])
    return found


def calls_in(cells, shell, defined):
    """Give calls that the notebook makes of its own definitions at the top of its cells, as expressions."""
    found = {name: [] for name in defined}
    for cell in cells:
        with contextlib.suppress(SyntaxError, ValueError):
            for node in ast.parse(shell.transform_cell(cell)).body:
                if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.Assert):
                    for name, call in _calls(node):
                        if name in found and call not in found[name]:
                            found[name].append(call)
    return found


def _calls(node):
    local = {n.id for part in ast.walk(node) if isinstance(part, ast.comprehension) for n in ast.walk(part.target)
             if isinstance(n, ast.Name)}  # fmt: skip
    local |= {arg.arg for part in ast.walk(node) if isinstance(part, ast.Lambda) for arg in part.args.args}
    awaited = {part.value for part in ast.walk(node) if isinstance(part, ast.Await)}
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
            names = {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
            if not names & local:
                yield part.func.id, ("await " if part in awaited else "") + ast.unparse(part)


class Slicer:
    """Slices the definitions of one kernel and compares."""

    def __init__(self, shell, log, cells, folder, preload):
        self.shell, self.log, self.folder = shell, log, folder
        self.namespace = shell.user_ns
        self.defined = definitions(shell)
        self.calls = calls_in(cells, shell, self.defined)
        self.count = itertools.count()
        self.row = {**dict.fromkeys(COLUMNS[2:], 0), "definitions": len(self.defined), "why": []}
        self.captured = set()
        self.loader = subprocess.Popen(
            [sys.executable, __file__, "--load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.tell({"preload": preload})

    def tell(self, asked):
        print(json.dumps(asked), file=self.loader.stdin, flush=True)

    def execute(self, module, call=None):
        path = module.write(self.folder / str(next(self.count)))
        self.tell({"path": str(path), "call": call})
        return json.loads(self.loader.stdout.readline()) or {"error": "it took too long, or ended the process"}

    def all(self):
        for name in sorted(self.defined):
            self.one(name)
        self.row["captured"] = len(self.captured)
        self.loader.stdin.close()
        self.loader.wait()
        return self.row

    def slice(self, name):
        from flyte_nb.notebook.slicing import module_for

        module = module_for(self.log, self.namespace, names=[name])
        self.captured |= {value.name for value in module.captured}
        return module

    def one(self, name):
        from flyte_nb.errors import FlyteError

        try:
            module = self.slice(name)
        except FlyteError as error:
            self.row["unknown" if "no cell has bound" in str(error) else "failed"] += 1
            self.row["why"].append(f"{name}: {error}")
            return
        answer = self.execute(module)
        if "error" in answer:
            self.row["failed"] += 1
            self.row["why"].append(f"{name}: the module does not execute: {answer['error']}")
            return
        self.row["sliced"] += 1
        # a name that IPython put into the namespace is not the notebook's
        lost = names_read(self.defined[name], self.namespace) - set(answer["names"]) - set(dir(builtins))
        if lost:
            self.row["missing"] += 1
            self.row["why"].append(f"{name}: not in its module: {', '.join(sorted(lost))}")
        for call in self.calls[name][:CALLS]:
            self.compare(name, call)

    def compare(self, name, call):
        from flyte_nb.errors import FlyteError
        from flyte_nb.notebook.cells import Cell

        check = f"check_{next(self.count)}_"
        source = f"{'async ' if call.startswith('await ') else ''}def {check}(): return {call}"
        exec(source, self.namespace)
        self.log.record(Cell(source, 9999))
        here = in_a_fork(lambda: outcome(self.namespace[check]), CALL_SECONDS)
        again = in_a_fork(lambda: outcome(self.namespace[check]), CALL_SECONDS)
        if here is None or here != again or here.startswith("raised NameError"):
            self.row["unsteady"] += 1
            return
        try:
            there = self.execute(self.slice(check), check)
        except FlyteError as error:
            self.row["why"].append(f"{name}, call {call:.60}: {error}")
            return
        self.row["calls"] += 1
        if there.get("value") != here:
            self.row["differ"] += 1
            got = there.get("error") or there["value"]
            at = next((i for i, (a, b) in enumerate(zip(here, got, strict=False)) if a != b), 0)
            start = max(0, at - 40)
            self.row["why"].append(f"{name}: {call:.60} gives {got[start : at + 80]!r}, not {here[start : at + 80]!r}")


def one(path, answer):
    """Run and slice one notebook; write what was found to a file."""
    cells = cells_of(path)
    text = "\n".join(cells)
    preload = [name for name in HEAVY if name.partition(".")[0] in text]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.meta_path.append(Finder())
        shell, log, failed = run_cells(cells, Path(path).parent)
        row = {"cells": len(cells), "ran": len(cells) - failed}
        row |= Slicer(shell, log, cells, Path(folder), preload).all()
        row["stood_in"] = sorted(Finder.stood_in)
    Path(answer).write_text(json.dumps(row))
    os._exit(0)


# --- all of them ---

COLUMNS = (
    "ran",
    "cells",
    "definitions",
    "sliced",
    "captured",
    "unknown",
    "failed",
    "calls",
    "differ",
    "unsteady",
    "missing",
)
HEADS = ("cells that ran", "cells", "definitions", "sliced", "values captured", "read what the kernel lacks",
         "failed", "calls compared", "differ",
         "not repeatable", "names missing")  # fmt: skip


def measure(path):
    with tempfile.NamedTemporaryFile(suffix=".json") as answer:
        environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0", "IPYTHONDIR": tempfile.gettempdir()}
        command = [sys.executable, __file__, "--one", str(path), answer.name]
        try:
            ran = subprocess.run(command, env=environment, capture_output=True, timeout=NOTEBOOK_SECONDS)
        except subprocess.TimeoutExpired:
            return {"why": [f"not finished after {NOTEBOOK_SECONDS} s"]}
        text = Path(answer.name).read_text()
    return json.loads(text) if text else {"why": [ran.stderr.decode(errors="replace")[-300:]]}


def report(rows):
    yield "| notebook | " + " | ".join(HEADS) + " |"
    yield "|---|" + "---|" * len(HEADS)
    for name, row in rows.items():
        yield f"| {name} | " + " | ".join(str(row.get(key, "?")) for key in COLUMNS) + " |"
    totals = [sum(row.get(key, 0) for row in rows.values()) for key in COLUMNS]
    yield f"| **{len(rows)} notebooks** | " + " | ".join(map(str, totals)) + " |"
    yield ""
    for name, row in rows.items():
        for why in row["why"]:
            yield f"- {name}: " + " ".join(why.replace("|", "\\|").split())[:400]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", type=Path, help="write the table to this file, too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="notebooks at once")
    parser.add_argument("--only", default="", help="only notebooks with this in their path")
    asked = parser.parse_args()
    paths = [p for p in sorted(asked.folder.rglob("*.ipynb")) if asked.only in str(p)]
    rows = {}
    with ThreadPoolExecutor(asked.jobs) as pool:
        for path, row in zip(paths, pool.map(measure, paths), strict=True):
            rows[str(path.relative_to(asked.folder))] = row
            print(path.relative_to(asked.folder), {key: row.get(key) for key in COLUMNS}, flush=True)
            for why in row["why"]:
                print("   ", " ".join(why.split())[:300], flush=True)
    text = "\n".join(report(rows)) + "\n"
    print(text)
    if asked.write:
        asked.write.write_text(text)
    return int(any(row.get("differ") or row.get("missing") for row in rows.values()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        loader()
    elif sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
    else:
        sys.exit(main())
