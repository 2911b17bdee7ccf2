"""Progress of a notebook on stderr."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

__all__ = ["Progress"]


class Progress:
    """A line per cell on stderr, with a live bar where stderr is a terminal."""

    def __init__(self, name: str) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                        console=self._console, transient=True, disable=not self._console.is_terminal)  # fmt: skip
        self._name, self._task, self._since = name, self._bar.add_task(name, total=None), 0.0

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._bar.stop()

    def __call__(self, number: int, total: int, state: str, source: str) -> None:
        title = escape(next((line.strip() for line in source.splitlines() if line.strip()), "")[:60])
        if state == "running":
            self._since = time.monotonic()
            self._bar.update(self._task, total=total, completed=number - 1, description=f"[{number}/{total}] {title}")
            return
        took = time.monotonic() - self._since
        sign = "[green]ok[/]    " if state == "done" else "[red]failed[/]"
        self._console.print(f"{sign} {escape(f'[{number}/{total}]')} {took:6.2f} s  {title}")
        self._bar.update(self._task, completed=number)
