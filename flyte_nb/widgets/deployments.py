"""Deployments: versions as a table, a deployed task as a card, a line that says where a deployment stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from flyte_nb.engine.base import Deployment, History, Progress, Step
from flyte_nb.engine.store import Pruned
from flyte_nb.views import Card, Diff, Table, Text, View, bullet, told_size
from flyte_nb.widgets.line import displayed

__all__ = ["ProgressLine", "history", "in_notebook", "pruned", "task_card"]

FIRST = 0.5  # seconds that a deployment goes on before its line appears
_ENDS = (Step.DEPLOYED, Step.FAILED, Step.UNCHANGED)


def history(made: History) -> View:
    """Show versions, a line each, the newest first."""
    if not made:
        return Diff([("!", "nothing is deployed yet", "deploy with  %flyte deploy")])
    rows = [
        (
            one.environment,
            one.version,
            _time(one.created),
            _state(one),
            ", ".join(bullet((name.rpartition(".")[2] for name in one.tasks), 6)) or "no tasks",
            one.digest[:12],
        )
        for one in made
    ]
    return Table(("environment", "version", "deployed", "state", "tasks", "content"), rows)


def _state(one: Deployment) -> str:
    """Say whether a version is current, and where."""
    told = "current" if one.current else f"current until {_time(one.until)}" if one.until else ""
    return f"{told} at {one.place}".strip() if one.place else told


def _time(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def pruned(made: Pruned) -> View:
    """Show what was removed, or would be."""
    verb = "would remove" if made.dry_run else "removed"
    lines = [("-", f"{one.environment} at {one.version}", f"{verb}; deployed {_time(one.created)}")
             for one in made.versions]  # fmt: skip
    if made.bundles:
        plural = "s" if len(made.bundles) != 1 else ""
        lines.append(("-", f"{len(made.bundles)} bundle{plural}", f"{verb}, {told_size(made.size)}"))
    lines += [("=", "kept", reason) for reason in made.kept]
    if made.dry_run and lines:
        lines.append(("!", "nothing was removed yet", "%flyte prune --apply, flyte-nb prune --apply, dry_run=False"))
    return Diff(lines or [("=", "nothing to remove", "only current, young or used versions are there")])


def task_card(name: str, version: str, description: str, inputs: Iterable[Mapping[str, str]], outputs: str) -> Card:
    """Show a deployed task: what it takes, with types, defaults and help, and what it gives.

    Parameters
    ----------
    inputs : iterable of mapping
        Of each ``name`` and ``type``, and where there are any ``default`` and ``help``.
    """
    rows = [
        (one["name"], one["type"] + (f" = {one['default']}" if "default" in one else ""), one.get("help", ""))
        for one in inputs
    ]
    summary = description.strip().partition("\n\n")[0]
    sections = [("what it does", [" ".join(summary.split())])] if summary else []
    return Card(name, "deployed task", [f"version {version}"], [*rows, ("returns", outputs, "")], sections)


class ProgressLine:
    """Shows where a deployment stands, in one line that appears when it takes a while.

    Parameters
    ----------
    show : callable
        Shows the line for the first time and gives what changes it; both take a `View`.
    clock : callable
        Seconds.
    """

    def __init__(
        self, show: Callable[[Text], Callable[[Text], None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show, self._clock = show, clock
        self._change: Callable[[Text], None] | None = None
        self._began, self._steps = clock(), dict[str, Step]()
        self._latest = Progress("", Step.BUNDLING, "begins")

    def __call__(self, progress: Progress | None) -> None:
        """Take a step; None is a second without news, in which the line counts on."""
        if progress is None:
            progress = self._latest
        self._latest = progress
        if progress.environment:
            self._steps[progress.environment] = progress.step
        if self._change is None and self._clock() - self._began < FIRST and progress.step is not Step.WAITING:
            return
        line = Text(self.line(progress))
        if self._change is None:
            self._change = self._show(line)
        else:
            self._change(line)

    def line(self, progress: Progress) -> str:
        """Word where the deployment stands."""
        done = sum(step in _ENDS for step in self._steps.values())
        counted = f" · {done:,} of {len(self._steps):,} environments done" if self._steps else ""
        return f"deploying: {progress}{counted} · {self._clock() - self._began:.1f} s"


def in_notebook() -> ProgressLine:
    """Give what shows a deployment in a notebook: the line is one display that changes."""
    return ProgressLine(displayed)
