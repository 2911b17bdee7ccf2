"""Timeouts of an app's requests, and durations given in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, WrongType

__all__ = ["Timeouts"]

_LONGEST = timedelta(hours=1)


def as_duration(value: Any) -> Any:
    """Turn whole seconds into a ``timedelta``; refuse a negative duration.

    Raises
    ------
    ValueError
        When it is negative.
    WrongType
        When it is a bool.
    """
    if isinstance(value, bool):
        raise WrongType("it is a bool")
    if isinstance(value, int):
        try:
            value = timedelta(seconds=value)
        except OverflowError:
            raise ValueError("too long") from None
    if isinstance(value, timedelta) and value < timedelta(0):
        raise ValueError("it is negative")
    return value


def _request(value: Any) -> Any:
    value = as_duration(value)
    if isinstance(value, timedelta) and value > _LONGEST:
        raise ValueError("it is longer than an hour")
    return value


@dataclass(repr=False)
class Timeouts(Declaration):
    """How long an app may take.

    Parameters
    ----------
    request : int or timedelta, optional
        The longest a request may take: seconds from 0 to 3600, as Flyte's serving layer allows. Kept as a
        ``timedelta``.

    Raises
    ------
    DeclarationError
        When it is not a duration, is negative or is longer than an hour.
    """

    request: Annotated[
        timedelta | int | None,
        Check(_request, "seconds from 0 to 3600 as an int, or a timedelta of at most one hour", before=True),
    ] = None
