"""Runs and deployments as cards and tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flyte_nb.engine.base import AGAIN, Deployment, Deployments, Run
from flyte_nb.environments.declaration import shorten
from flyte_nb.views import Card, Diff, Table, View, bounded, bullet, told_size
from flyte_nb.widgets.tree import told, tree

__all__ = ["data", "deployments", "head", "run", "runs", "told"]

_FILES = 20  # files of a deployment that are listed


def run(made: Run) -> Card:
    """Show one run: its phase, times, inputs, outputs, and the tasks it called."""
    card = head(made)
    if called := tree(made.actions):
        card.sections.append(("tasks called", called))
    return card


def head(made: Run) -> Card:
    """Show one run without the tasks that it called."""
    rows = [("inputs", made.inputs or "none", "")]
    if made.result is not None:
        rows += [(name, shorten(value, 300), "") for name, value in _outputs(made).items()]
    if made.address:
        rows.append(("seen at", made.address, ""))
    if made.error is not None:
        rows.append(("error", f"{made.error.code}: {made.error}", ""))
    elif made.root.error:  # it was cancelled
        rows.append(("error", made.root.error, ""))
    if made.root.peak_memory:
        rows.append(("peak memory", f"{made.root.peak_memory / (1 << 20):.0f} MiB", ""))
    strip = [made.phase.value, *filter(None, [told(made.root.duration)])]
    strip += ["kept outputs"] if made.root.cached else []
    strip += [f"attempt {made.root.attempt + 1}"] if made.root.attempt else []
    to_know = made.root.notice.splitlines()
    return Card(made.name, made.task, strip, rows, [("to know", to_know)] if to_know else [])


def _outputs(made: Run) -> dict[str, object]:
    assert made.result is not None
    return made.result.named_outputs or {"output": made.result[0]}


def runs(made: list[Run]) -> View:
    """Show runs, a line each, newest first."""
    if not made:
        return Diff([("!", "no run is recorded here yet", "run a task with  %flyte run TASK name=value")])
    rows = [
        (
            r.name,
            f"{r.task}@{r.version}" if r.version else r.task,
            f"{r.phase.value} in the cluster" if r.address else r.phase.value,
            _told_time(r.root.started or r.root.queued),
            told(r.root.duration if r.done() else None),
            r.root.error.partition("\n")[0][:100] or r.inputs[:100],
        )
        for r in made
    ]
    return Table(("run", "task", "phase", "started", "took", "inputs or error"), rows)


def _told_time(time: datetime | None) -> str:
    """Word when something was; without seconds, so that the table stays narrow."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M") if time is not None else ""


def data(made: Run, actions: bool = False) -> dict[str, Any]:
    """Give a run as JSON data, with its actions where they are asked for."""
    root = made.root
    listed = [
        {"id": a.id, "task": a.task, "parent": a.parent, "phase": a.phase.value, "error": a.error} for a in made.actions
    ]
    return {
        "run": made.name,
        "task": made.task,
        "version": made.version,
        "phase": made.phase.value,
        "engine": made.engine,
        "started": root.started.isoformat() if root.started else None,
        "seconds": root.duration.total_seconds() if made.done() and root.duration else None,
        "inputs": made.inputs,
        "error": root.error,
        **({"actions": listed} if actions else {}),
    }


def deployments(made: Deployments, dry_run: bool = False) -> View:
    """Show what was deployed, or would be, and the values and files that travel, with why each does."""
    verb = "would deploy" if dry_run else "deployed"
    lines = [("=" if d.unchanged else "+", d.environment, _done(d, verb)) for d in made]
    is_new = any(not d.unchanged for d in made)
    values = bounded(made.values if is_new else (), lambda more: (f"… {more} more values", "", 0), _FILES)
    lines += [("+", name, f"{told_size(size)}, computed by {label}" if label else "") for name, label, size in values]
    files = made.files if is_new else ()
    lines += [("+", file.path, f"{told_size(file.size)}, {file.why}") for file in files[:_FILES]]
    if len(files) > _FILES:
        rest = sum(file.size for file in files[_FILES:])
        lines.append(("+", f"… {len(files) - _FILES} more files", told_size(rest)))
    return Diff([*(("!", notice, "") for notice in made.notices), *lines])


def _done(made: Deployment, verb: str) -> str:
    """Say what became of one environment."""
    if made.unchanged and not made.note:
        return f"unchanged at version {made.version}"
    if made.note == AGAIN:
        return f"{'would be' if verb.startswith('would') else 'is'} back at version {made.version}"
    tasks = ", ".join(bullet((name.rpartition(".")[2] for name in made.tasks), 6)) or "no tasks"
    told = "unchanged" if made.unchanged else verb
    return f"{told} at version {made.version}: {made.note or tasks}"
