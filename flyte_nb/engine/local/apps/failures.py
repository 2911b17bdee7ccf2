"""Failures: why a replica did not start, or ended: with the hook's own lines, in cells, and its last output."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from flyte_nb import tracebacks
from flyte_nb.engine.definition import Definition
from flyte_nb.errors import RuntimeUserError
from flyte_nb.notebook.module import locate
from flyte_nb.tracebacks import Frame

__all__ = ["LINES", "START_ERROR", "AppFailure", "exit_told", "failed_told", "not_started", "traceback_told"]

START_ERROR = "AppStartError"
LINES = 12  # of its log that are told


class AppFailure(Exception):  # noqa: N818 - it says what happened
    """A replica did not start, or ended.

    Parameters
    ----------
    why : str
        In a line.
    trace : str
        The hook's own lines; may be empty.
    """

    def __init__(self, why: str, trace: str = "") -> None:
        self.why, self.trace = why, trace
        super().__init__(why)


def failed_told(told: dict[str, Any], definition: Definition, source: str) -> AppFailure:
    """Make the failure that a replica tells of: which hook, what was raised, and where."""
    what = {"load": "loading its definitions", "server": "the server"}.get(told["stage"], told["stage"])
    if "exit_code" in told and told["kind"] == "CommandEnded":
        return AppFailure(told["message"])
    kind = "" if told["kind"] == "SystemExit" else f"{told['kind']}: "
    return AppFailure(f"{what} failed: {kind}{told['message']}", traceback_told(told["frames"], definition, source))


def traceback_told(frames: list[list[Any]], definition: Definition, source: str) -> str:
    """Tell frames in cells and lines, without this package's own.

    Parameters
    ----------
    frames : list of list
        As JSON data: file, line, function, code.
    definition : Definition
        Where the app's file is.
    source : str
        The file that it is a copy of; empty for one made of cells.
    """
    path = definition.path
    try:
        text = path.read_text() if path is not None else ""
    except OSError:
        text = ""

    def where(frame: Frame) -> str:
        if frame.file != str(path):
            return f"{frame.file}, line {frame.line}"
        cell = locate(text, frame.line)
        return f"{cell[0]}, line {cell[1]}" if cell else f"{source or frame.file}, line {frame.line}"

    return tracebacks.told([Frame(*frame) for frame in frames], where)


def exit_told(code: int, what: str = "its process") -> str:
    """Word how a process ended."""
    if code >= 0:
        return f"{what} ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = " (perhaps the machine was out of memory)" if name == "SIGKILL" else ""
    return f"{what} was ended by {name}{hint}"


def not_started(name: str, failure: AppFailure, log: Sequence[str]) -> RuntimeUserError:
    """Make the error of an app that did not start: why, the hook's lines, and the end of what it printed."""
    told = "".join(f"\n    {line}" for line in list(log)[-LINES:])
    end = f"\nthe end of its log:{told}" if log else ""
    error = RuntimeUserError(START_ERROR, f"app {name!r} did not start: {failure.why}{end}")
    error.remote_traceback = failure.trace
    return error
