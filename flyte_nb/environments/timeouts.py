"""Timeouts of an app's requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration
from flyte_nb.environments.durations import optional_duration

__all__ = ["Timeouts"]

_LONGEST = timedelta(hours=1)


def _request(value: Any) -> Any:
    length = optional_duration(value)
    if length is not None and length > _LONGEST:
        raise ValueError("it is longer than an hour")
    return length


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
