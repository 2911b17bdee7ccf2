"""Notices: what whoever looks at a run should know, told from within a task; how one that cannot go on is ended."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

__all__ = ["Hearing", "hearing", "notice"]


class Hearing(Protocol):
    """Whoever hears of the running task."""

    def notice(self, text: str) -> None:
        """Take something that whoever looks at the run should know; from any thread."""

    def give_up(self, error: BaseException) -> None:
        """End the task with an error, from another thread, though it does not return; its process ends with it."""


#: hears of the running task; None outside any
hearing: ContextVar[Hearing | None] = ContextVar("hearing", default=None)


def notice(text: str) -> None:
    """Tell whoever looks at the run something, beside what the task prints; outside any task it goes nowhere."""
    if (hears := hearing.get()) is not None:
        hears.notice(text)
