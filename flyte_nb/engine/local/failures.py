"""Failures: from what a worker says of a failed task to the error that a person sees."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

from flyte_nb import tracebacks
from flyte_nb.engine import codec
from flyte_nb.engine.base import Work
from flyte_nb.engine.local.limits import out_of_memory
from flyte_nb.engine.local.replica import Died
from flyte_nb.errors import BaseRuntimeError, RuntimeUserError, TaskProcessError, by_code
from flyte_nb.notebook.module import locate
from flyte_nb.tracebacks import Frame

__all__ = ["RemoteTraceback", "death", "failure"]


HALF = 50  # the lines of each end of a long traceback that are kept
BETWEEN = "  … more calls in between …"


class RemoteTraceback(Exception):  # noqa: N818 - it is shown as the cause, by this name
    """The traceback of the task's own process, as text."""


def death(died: Died, task: str) -> BaseRuntimeError:
    """Word the end of a process that ended before its task did."""
    exit_code = died.exit_code
    if died.exceeded is not None:
        return out_of_memory(died.exceeded)
    if died.zygote_ended is not None:
        return TaskProcessError(
            f"the process of {task} ended because the process that starts workers, and takes them along, "
            f"{_ended(died.zygote_ended)}. The next run starts another: run it again",
            exit_code,
        )
    before = "" if exit_code < 0 else " before the task did"
    return TaskProcessError(f"the process of {task} {_ended(exit_code)}{before}", exit_code)


def _ended(exit_code: int) -> str:
    """Word how a process ended."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    name = signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"
    how = {
        "SIGSEGV": " (a segmentation fault in native code)",
        "SIGKILL": " (killed; perhaps the machine was out of memory)",
    }
    return f"was ended by {name}{how.get(name, '')}"


def failure(
    head: dict[str, Any], parts: Sequence[codec.Part], work: Work, clean: Callable[[str], str]
) -> BaseRuntimeError:
    """Make the error of a failed task: the SDK's class, the original as its cause, the task's own frames.

    Parameters
    ----------
    head, parts
        The ``result`` frame.
    work : Work
        What failed.
    clean : callable
        Gives a text without the values of secrets; an exception that has one in its text does not go on.
    """
    original = _original(parts)
    if original is not None and clean(str(original)) != str(original):
        original = None
    trace = clean(_told(head["frames"], work))
    if isinstance(original, BaseRuntimeError):
        error = by_code(original)
    else:
        error = RuntimeUserError(head["code"], clean(head["message"]) or head["kind"])
        error.__cause__ = original
    innermost = original if original is not None else error
    innermost.__cause__ = innermost.__cause__ or RemoteTraceback(f"in the process of {work.task}:\n{trace}")
    error.remote_traceback = _ends(f"{trace}\n{error.remote_traceback}".strip("\n"))
    return error


def _ends(trace: str) -> str:
    """Give the two ends of a long traceback, as of a task that calls itself many times."""
    lines = [line for line in trace.splitlines() if line != BETWEEN]
    return trace if len(lines) <= 2 * HALF else "\n".join([*lines[:HALF], BETWEEN, *lines[-HALF:]])


def _original(parts: Sequence[codec.Part]) -> BaseException | None:
    try:
        value = codec.decode(parts)
    except Exception:  # the exception's class may not exist here
        return None
    return value if isinstance(value, BaseException) else None


def _told(frames: list[list[Any]], work: Work) -> str:
    """Tell the frames of a task in cells and lines, without this package's own."""
    path = work.definition.path
    try:
        source = path.read_text() if path is not None else ""
    except OSError:
        source = ""

    def where(frame: Frame) -> str:
        cell = locate(source, frame.line) if frame.file == str(path) else None
        return f"{cell[0]}, line {cell[1]}" if cell else f"{frame.file}, line {frame.line}"

    return tracebacks.told([Frame(*frame) for frame in frames], where)
