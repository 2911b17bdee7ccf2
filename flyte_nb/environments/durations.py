"""Durations: a declared length of time, written as whole seconds or as a ``timedelta``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flyte_nb.environments.declaration import WrongType, refuse, refuse_type

__all__ = ["ACCEPTED", "Duration", "duration", "duration_argument", "optional_duration"]

Duration = int | timedelta
ACCEPTED = "seconds as an int, or a timedelta"


def duration(value: Any, least: timedelta = timedelta(0)) -> timedelta:
    """Convert a duration to a ``timedelta``.

    Parameters
    ----------
    value : int or timedelta
        The duration; an int counts seconds.
    least : timedelta
        The shortest that is accepted.

    Raises
    ------
    WrongType
        For anything else, a bool included.
    ValueError
        When it is shorter than ``least`` or longer than a ``timedelta`` holds.
    """
    if isinstance(value, bool) or not isinstance(value, int | timedelta):
        raise WrongType(f"it is of type {type(value).__name__}")
    try:
        length = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except OverflowError:
        raise ValueError("it is longer than a timedelta holds") from None
    if length < least:
        raise ValueError(f"it is less than {least.total_seconds():g} seconds" if least else "it is negative")
    return length


def optional_duration(value: Any) -> timedelta | None:
    """Convert a duration that is not negative; None stays None."""
    return None if value is None else duration(value)


def duration_argument(declared: Any, field: str, value: Any) -> timedelta:
    """Convert a duration that a method or a helper was given, where no field's own check applies.

    Raises
    ------
    DeclarationTypeError
        When it is neither an int nor a timedelta.
    DeclarationValueError
        When it is negative or too long.
    """
    try:
        return duration(value)
    except WrongType as error:
        raise refuse_type(declared, field, value, ACCEPTED, str(error)) from None
    except ValueError as error:
        raise refuse(declared, field, value, ACCEPTED, str(error)) from None
