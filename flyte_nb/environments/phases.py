"""ActionPhase: where an action, one execution of a task, stands."""

from __future__ import annotations

from enum import Enum

__all__ = ["ActionPhase"]


class ActionPhase(str, Enum):
    """Where an action stands, from queued to one of the phases that it never leaves."""

    QUEUED = "queued"
    WAITING_FOR_RESOURCES = "waiting_for_resources"
    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"
    RECOVERED = "recovered"  # its outputs were taken over from an earlier run

    @property
    def is_terminal(self) -> bool:
        """Whether the action is over: nothing follows this phase."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        ActionPhase.SUCCEEDED,
        ActionPhase.FAILED,
        ActionPhase.ABORTED,
        ActionPhase.TIMED_OUT,
        ActionPhase.RECOVERED,
    }
)
