"""Reading: the control plane's messages about actions as the records of this package."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from flyte_nb.engine.base import Action, Attempt, Phase

__all__ = ["FAILED", "action_of", "attempts_of", "error_of", "phase_of"]

FAILED = "Failed"  # the code of an error that the cluster gives none
#: phases that this package has no word of its own for
_OTHERS = {"PAUSED": Phase.RUNNING, "RECOVERED": Phase.SUCCEEDED, "UNSPECIFIED": Phase.QUEUED}
_HIT = 2  # CACHE_HIT of flyteidl2's CatalogCacheStatus


def phase_of(number: int) -> Phase:
    """Give the phase that a number of the protocol stands for."""
    from flyteidl2.common import phase_pb2

    try:
        word = phase_pb2.ActionPhase.Name(number).removeprefix("ACTION_PHASE_")
    except ValueError:  # of a newer control plane
        return Phase.RUNNING
    return _OTHERS.get(word) or Phase[word]


def action_of(told: Any, place: Callable[[str], str] = str, task: str = "") -> Action:
    """Give the record of an action from a message of a list, or from its details.

    Parameters
    ----------
    told : message
        ``Action`` or ``ActionDetails``.
    place : callable
        Gives a text with its lines told in cells.
    task : str
        What it runs, where the message does not say.
    """
    status, about = told.status, told.metadata
    started = _time(status, "start_time")
    phase = phase_of(status.phase)
    error = error_of(told) if phase.is_terminal and hasattr(told, "error_info") else ("", "")
    return Action(
        told.id.name, about.task.id.name or about.trace.name or about.task.short_name or task, about.parent or None,
        phase, started, _time(status, "end_time") if phase.is_terminal else None,
        _worded(error, place), max(0, status.attempts - 1), started, cached=status.cache_status == _HIT,
        group=about.group,
    )  # fmt: skip


def attempts_of(details: Any) -> list[Attempt]:
    """Give the attempts of an action from its details, the first of them number 0."""
    return [
        Attempt(max(0, one.attempt - 1), phase_of(one.phase), _time(one, "start_time"), _time(one, "end_time"),
                one.error_info.message.partition("\n")[0])
        for one in details.attempts
    ]  # fmt: skip


def error_of(details: Any) -> tuple[str, str]:
    """Give the code and the message of what failed an action; empty where nothing did."""
    if details.HasField("error_info"):
        info = details.error_info
        return getattr(info, "code", "") or FAILED, info.message  # older versions tell no code
    if details.HasField("abort_info"):
        return "ABORTED", details.abort_info.reason or "it was aborted in the cluster"
    return "", ""


def _worded(error: tuple[str, str], place: Callable[[str], str]) -> str:
    code, message = error
    return f"{code}: {place(message).strip()}" if code else ""


def _time(message: Any, name: str) -> datetime | None:
    if not message.HasField(name):
        return None
    found: datetime = getattr(message, name).ToDatetime(tzinfo=timezone.utc)
    return found
