"""JobPhase: where a job of a connector stands, and the words that services have for it."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

from flyte_nb.errors import UsageError, suggestion

__all__ = ["JobPhase", "convert_to_flyte_phase", "is_terminal_phase"]


class JobPhase(IntEnum):
    """Where a job stands; the numbers are those of Flyte's own protocol."""

    UNDEFINED = 0
    QUEUED = 1
    RUNNING = 2
    SUCCEEDED = 3
    ABORTED = 4
    FAILED = 5
    INITIALIZING = 6
    WAITING_FOR_RESOURCES = 7
    RETRYABLE_FAILED = 8

    @classmethod
    def of(cls, phase: Any) -> JobPhase:
        """Give the phase that something stands for: a number, a name of a phase, an ``ActionPhase``, or a word.

        Raises
        ------
        ValueError
            For anything else.
        """
        if isinstance(phase, int):
            return cls(phase)
        name = str(phase.value if isinstance(phase, Enum) else phase)
        if name.upper() in cls.__members__:
            return cls[name.upper()]
        return cls.FAILED if name == "timed_out" else convert_to_flyte_phase(name)


_WORDS = {
    JobPhase.FAILED: "failed timeout timedout canceled cancelled skipped",
    JobPhase.RETRYABLE_FAILED: "internal_error",
    JobPhase.SUCCEEDED: "done succeeded success completed",
    JobPhase.RUNNING: "running terminating",
    JobPhase.INITIALIZING: "pending",
}
_PHASES = {word: phase for phase, words in _WORDS.items() for word in words.split()}
_TERMINAL = (JobPhase.SUCCEEDED, JobPhase.ABORTED, JobPhase.FAILED, JobPhase.RETRYABLE_FAILED)


def convert_to_flyte_phase(state: str) -> JobPhase:
    """Give the phase for a service's own word, whatever its case.

    Raises
    ------
    ValueError
        For a word that is not known.
    """
    word = state.lower()
    if word not in _PHASES:
        raise UsageError(f"state: given {state!r}; accepted: {', '.join(_PHASES)}; {suggestion(word, _PHASES)}")
    return _PHASES[word]


def is_terminal_phase(phase: Any) -> bool:
    """Tell whether nothing follows a phase."""
    return JobPhase.of(phase) in _TERMINAL
