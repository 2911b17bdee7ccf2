"""Scaling: how many replicas of an app run, and what makes it more or fewer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, WrongType
from flyte_nb.environments.durations import ACCEPTED, optional_duration

__all__ = ["Scaling"]


def _replicas(value: Any) -> Any:
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, tuple):
        return value
    if len(pair) != 2:
        raise ValueError(f"it has {len(pair)} items")
    if any(isinstance(count, bool) or not isinstance(count, int) for count in pair):
        raise WrongType("a number of replicas that is not an int")
    least, most = pair
    if least < 0:
        raise ValueError("the minimum is negative" if pair is value else "it is negative")
    if pair is value and most < 1:  # the number 0 alone is how an app is switched off
        raise ValueError("the maximum is less than 1")
    if most < least:
        raise ValueError("the maximum is less than the minimum")
    return pair


def _target(value: int) -> int:
    if value < 1:
        raise ValueError("less than 1")
    return value


_Target = Annotated[int, Check(_target, "an int of at least 1", schema={"minimum": 1})]


@dataclass(repr=False)
class Scaling(Declaration):
    """How many replicas of an app run.

    Parameters
    ----------
    replicas : int or tuple of int
        The least and the most; a number alone is both. Kept as a tuple.
    metric : Scaling.Concurrency or Scaling.RequestRate, optional
        What is measured to decide how many replicas run.
    scaledown_after : int or timedelta, optional
        How long without requests, in seconds, before replicas are taken away. Kept as a ``timedelta``.

    Raises
    ------
    DeclarationError
        When a pair of replicas has a maximum of less than 1 or less than its minimum, or a field is of the
        wrong type.
    """

    @dataclass(frozen=True, repr=False)
    class Concurrency(Declaration):
        """Scale by the number of requests that a replica works on at the same time.

        It is a target, as in a cluster, and no limit: while more replicas start, or where there are as many as may be,
        those that there are get more.

        Parameters
        ----------
        val : int
            The number a replica should have, at least 1.
        """

        val: _Target

    @dataclass(frozen=True, repr=False)
    class RequestRate(Declaration):
        """Scale by the number of requests that a replica receives in a second.

        Parameters
        ----------
        val : int
            The number a replica should receive, at least 1.
        """

        val: _Target

    replicas: Annotated[
        tuple[int, int] | int,
        Check(_replicas, "a number of replicas, or (minimum, maximum) such as (0, 1)", before=True),
    ] = (0, 1)
    metric: Scaling.Concurrency | Scaling.RequestRate | None = None
    scaledown_after: Annotated[timedelta | int | None, Check(optional_duration, ACCEPTED, before=True)] = None

    def get_replicas(self) -> tuple[int, int]:
        """Give the least and the most replicas."""
        # ``replicas`` may have been assigned since it was checked
        return (self.replicas, self.replicas) if isinstance(self.replicas, int) else self.replicas
