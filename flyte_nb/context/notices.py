"""Notices: what whoever looks at a run should know, told from within a task."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

__all__ = ["listener", "notice"]

#: takes the notices of the running task; None outside any
listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def notice(text: str) -> None:
    """Tell whoever looks at the run something, beside what the task prints; outside any task it goes nowhere."""
    if (hears := listener.get()) is not None:
        hears(text)
