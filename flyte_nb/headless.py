"""Run a notebook without a front end: parameters in, progress out, the executed notebook written where asked."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import re
import secrets
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flyte_nb.errors import NotebookError, ParameterError, UnknownNameError, suggestion
from flyte_nb.notebook.cells import Cell, statements
from flyte_nb.notebook.location import VARIABLE

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["CellFailed", "Executed", "execute"]

TAG = "parameters"
INJECTED = "injected-parameters"
_MAGIC = re.compile(r"^(\s*)[%!?].*$", re.MULTILINE)


class CellFailed(NotebookError):  # noqa: N818 - it says what happened
    """A cell of a headless notebook raised.

    Parameters
    ----------
    number : int
        The cell's place among the code cells, from 1.
    source : str
        Its source.
    name, value : str
        The exception's class and message.
    trace : str
        The traceback as the kernel gave it, with terminal colours.
    """

    def __init__(self, number: int, source: str, name: str, value: str, trace: str) -> None:
        self.number, self.source, self.name, self.value, self.trace = number, source, name, value, trace
        super().__init__(f"cell {number} failed: {name}: {value}")


@dataclass
class Executed:
    """A notebook that ran.

    Parameters
    ----------
    notebook : NotebookNode
        With outputs; up to the failing cell where one failed.
    cells : int
        How many code cells ran.
    session : str
        What the runs it made are recorded under.
    error : CellFailed or None
        What ended it early.
    """

    notebook: NotebookNode
    cells: int = 0
    session: str = ""
    error: CellFailed | None = field(default=None)


Progress = Callable[[int, int, str, str], None]


def execute(
    path: Path,
    parameters: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    progress: Progress = lambda number, total, state, source: None,
    then: str = "",
) -> Executed:
    """Run a notebook top to bottom in a fresh kernel, in the folder it lies in.

    Parameters
    ----------
    path : Path
        The notebook.
    parameters : mapping, optional
        Values for names that its ``parameters`` cell binds.
    timeout : float, optional
        Seconds a cell may take; unlimited by default.
    progress : callable
        Called with the number of a code cell, how many there are, ``"running"``, ``"done"`` or ``"failed"``, and the
        cell's source.
    then : str
        Python to run after the last cell, as a cell of its own.

    Raises
    ------
    UnknownNameError
        When there is no such file.
    NotebookError
        When the file is not a notebook, and when its kernel does not start.
    ParameterError
        For a parameter that the notebook does not have.
    """
    notebook = inject(read(path), parameters or {}, path)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # what an earlier run left would pass for this one's
            cell.outputs, cell.execution_count = [], None
    if then:
        notebook.cells.append(_new_cell(notebook, then))
    return _run(notebook, path, timeout, progress)


def read(path: Path) -> NotebookNode:
    """Read a notebook.

    Raises
    ------
    UnknownNameError
        When there is no such file; the nearest names of the folder are suggested.
    NotebookError
        When the file is not a notebook.
    """
    import nbformat
    from nbformat.reader import NotJSONError
    from nbformat.validator import normalize

    if not path.is_file():
        known = [p.name for p in path.parent.glob("*.ipynb")] if path.parent.is_dir() else []
        raise UnknownNameError("notebook", path.name, known)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cells without ids: they are given some
            _, notebook = normalize(nbformat.read(path, as_version=4))
        nbformat.validate(notebook)
    except (NotJSONError, UnicodeDecodeError) as error:
        raise NotebookError(f"{path} is not a notebook: it is not JSON ({_first_line(error)[:80]})") from None
    except (nbformat.ValidationError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotebookError(f"{path} is not a notebook: {_first_line(error)}") from None
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}") from None
    return cast("NotebookNode", notebook)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def inject(notebook: NotebookNode, parameters: Mapping[str, Any], path: Path) -> NotebookNode:
    """Give the notebook with a cell after its ``parameters`` cell that binds the given values.

    Raises
    ------
    ParameterError
        For a name that the ``parameters`` cell does not bind, and when there is no such cell.
    """
    if not parameters:
        return notebook
    tagged = [i for i, cell in enumerate(notebook.cells) if TAG in cell.metadata.get("tags", [])]
    if not tagged:
        raise ParameterError(f"{path} takes no parameters: no cell of it is tagged {TAG!r}")
    known = bound(notebook.cells[tagged[0]].source)
    for name in parameters:
        if name not in known:
            raise ParameterError(f"{path} has no parameter {name!r}; {suggestion(name, known)}")
    cell = _new_cell(notebook, "\n".join(f"{name} = {value!r}" for name, value in parameters.items()), [INJECTED])
    rest = [c for c in notebook.cells[tagged[0] + 1 :] if INJECTED not in c.metadata.get("tags", [])]
    notebook.cells = [*notebook.cells[: tagged[0] + 1], cell, *rest]
    return notebook


def _new_cell(notebook: NotebookNode, source: str, tags: list[str] | None = None) -> NotebookNode:
    import nbformat

    cell = nbformat.v4.new_code_cell(source, metadata={"tags": tags} if tags else {})
    if notebook.nbformat_minor < 5:
        del cell["id"]
    return cast("NotebookNode", cell)


def bound(source: str) -> list[str]:
    """List the names that a parameters cell binds by assignment."""
    python = _MAGIC.sub(r"\1pass", source)
    defines = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assigned = (s for s in statements(Cell(python, 0)) if not isinstance(s.node, defines))
    return list(dict.fromkeys(name for s in assigned for name in sorted(s.names.binds | _annotated(s.node))))


def _annotated(node: ast.stmt) -> set[str]:
    """Give the name of a bare ``name: type``, which waits for its value."""
    return {node.target.id} if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else set()


def value_of(text: str) -> Any:
    """Read the value of a parameter from text: a Python literal, else the text itself."""
    try:
        value = ast.literal_eval(text)
        ast.literal_eval(repr(value))  # infinity, which a cell could not say
        return value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {"true": True, "false": False, "null": None, "none": None}.get(text.lower(), text)


def _run(notebook: NotebookNode, path: Path, timeout: float | None, progress: Progress) -> Executed:
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    numbers = {id(cell): n for n, cell in enumerate((c for c in notebook.cells if is_code(c)), start=1)}
    done = Executed(notebook, session=f"headless-{secrets.token_hex(4)}")

    def tell(state: str) -> Callable[..., None]:
        return lambda cell, **_: (
            progress(numbers[id(cell)], len(numbers), state, cell.source) if is_code(cell) else None
        )

    running: list[NotebookNode] = []
    interrupted = threading.Event()

    def started(cell: NotebookNode, **kwargs: Any) -> None:
        running.append(cell)
        _cancel_on_interrupt(interrupted)
        tell("running")(cell)

    def finished(cell: NotebookNode, **kwargs: Any) -> None:
        expected = "raises-exception" in cell.metadata.get("tags", [])
        errors = (o for o in cell.get("outputs", []) if o.output_type == "error" and not expected)
        failed = next(errors, None)
        tell("failed" if failed is not None else "done")(cell)
        if failed is None:
            done.cells += is_code(cell)
        else:
            trace = "\n".join(failed.traceback)
            done.error = CellFailed(numbers[id(cell)], cell.source, failed.ename, failed.evalue, trace)
            raise done.error

    client = _client(notebook, path, timeout, started, finished)
    try:
        with _signals_kept():
            told = {"FLYTE_NB_SESSION": done.session, VARIABLE: str(path.absolute())}
            client.execute(env={**os.environ, **told})
    except CellFailed:
        pass
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except (CellTimeoutError, DeadKernelError) as error:
        if interrupted.is_set():  # nbclient takes a cancelled wait for the death of the kernel
            raise KeyboardInterrupt from None
        done.error = _ended(running[-1], numbers, error)
        progress(done.error.number, len(numbers), "failed", done.error.source)
    except NoSuchKernel as error:
        raise NotebookError(
            f"{path} asks for the kernel {error.name!r}, which is not installed; "
            "install it, or set another in the notebook's metadata"
        ) from None
    return done


def _client(
    notebook: NotebookNode,
    path: Path,
    timeout: float | None,
    started: Callable[..., None],
    finished: Callable[..., None],
) -> Any:
    """Make the client that runs the cells, in the folder of the notebook."""
    from nbclient import NotebookClient

    return NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name=notebook.metadata.get("kernelspec", {}).get("name") or "python3",
        resources={"metadata": {"path": str(path.parent.absolute())}},
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # its log would mix with the progress
        allow_errors=True,  # the hook ends the notebook, once the output is in
        on_cell_execute=started,
        on_cell_executed=finished,
    )


def _cancel_on_interrupt(interrupted: threading.Event) -> None:
    """Have an interrupt end the notebook in order; nbclient would take the kernel from under the running cell."""
    task = asyncio.current_task()

    def cancel() -> None:
        interrupted.set()
        if task is not None:
            task.cancel()

    with contextlib.suppress(RuntimeError, ValueError):  # not in the main thread: no interrupt arrives here
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, cancel)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Put the handlers of signals back: nbclient takes them, and an interrupt would do nothing any more."""
    if threading.current_thread() is not threading.main_thread():
        yield  # nobody sets one here
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def is_code(cell: NotebookNode) -> bool:
    """Tell whether a cell is one that runs."""
    return cell.cell_type == "code" and bool(cell.source.strip())


def _ended(cell: NotebookNode, numbers: dict[int, int], error: Exception) -> CellFailed:
    """Name the cell in which the kernel died or the time ran out."""
    return CellFailed(
        numbers.get(id(cell), 0), cell.source, type(error).__name__, str(error).strip().splitlines()[0], ""
    )
