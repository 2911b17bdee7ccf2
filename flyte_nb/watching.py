"""Watching: ``flyte.watch(run)`` — a run as it happens, or what one that has ended did."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from flyte_nb.engine.base import Run
from flyte_nb.errors import UsageTypeError
from flyte_nb.session import Session, current_session
from flyte_nb.widgets.run_view import RunState, RunView
from flyte_nb.widgets.tail import MOST_LINES, lines_of

__all__ = ["last_lines", "view_of", "watch"]

LONGEST = 1 << 16  # bytes of a log that are looked at for its last lines
PARTS = 1_000  # pieces of a log that are looked at for the last lines of one action


def watch(run: Run | str) -> RunView:
    """Show a run: the tree of its actions over time, the log of each, and a button that ends it while it runs.

    What is shown follows a run of this process as it happens; of one that another process carries out it shows what
    that has recorded. ``print(flyte.watch(run))`` gives it as text.

    Parameters
    ----------
    run : Run or str
        A run, or the name of one.

    Raises
    ------
    TypeError
        For something else.
    UnknownNameError
        When there is no run of the name.
    """
    if not isinstance(run, Run | str):
        raise UsageTypeError(f"flyte.watch: given {run!r:.80}; accepted: a run, or the name of one")
    session = current_session()
    return view_of(session, session.find_run(run) if isinstance(run, str) else run)


def view_of(session: Session, run: Run) -> RunView:
    """Give the view of a run."""
    is_ours, name = session.is_running(run), run.name
    handle = run.handle if is_ours else None
    return RunView(
        RunState(
            run,
            tail=functools.partial(last_lines, session, run),
            attempts=functools.partial(session.store.attempts, name),
            cancel=handle.cancel if handle is not None else None,
            again=None if is_ours or run.done() else functools.partial(session.store.run, name),
        )
    )


def last_lines(session: Session, run: Run, action: str) -> list[str]:
    """Give the last lines that an action of a run has printed, or the whole run where the action is empty."""
    if run.log is None or not run.log.exists():
        return []
    if not action:
        return lines_of(_end_of(run.log))
    with run.log.open("rb") as file:
        found, size = [], 0
        for part in reversed(session.store.log_parts(run.name, action, PARTS)):
            file.seek(part.offset)
            found.append(file.read(part.length))
            size += part.length
            if size > LONGEST:
                break
    return lines_of(b"".join(reversed(found)).decode("utf-8", "replace"), MOST_LINES)


def _end_of(log: Path) -> str:
    """Give the end of a log, from the beginning of a line."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - LONGEST, 0))
        data = file.read()
    if size > LONGEST:
        data = data.partition(b"\n")[2] or data
    return data.decode("utf-8", "replace")
