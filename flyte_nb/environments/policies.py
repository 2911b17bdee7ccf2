"""Policies of a task: reuse of its containers, retries and their delays, timeouts, and its documentation."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal, cast

from flyte_nb.environments.declaration import Check, Declaration, reading, refuse, refuse_type
from flyte_nb.environments.durations import ACCEPTED, Duration, duration, duration_argument, optional_duration

__all__ = [
    "Backoff",
    "Documentation",
    "RetryStrategy",
    "ReusePolicy",
    "Timeout",
    "TimeoutType",
    "retries_from_request",
    "timeout_from_request",
]

_logger = logging.getLogger("flyte")
_SHORTEST_TTL = timedelta(seconds=30)  # the platform's own lower limit


def _replicas(value: Any) -> Any:
    least, most = (value, value) if isinstance(value, int) else value
    if least < 0:
        raise ValueError("there cannot be fewer than 0 replicas")
    if most < least:
        raise ValueError("the minimum is above the maximum")
    if most < 1:
        raise ValueError("with no replica at all nothing would ever run")
    return least, most


def _at_least(least: int) -> Callable[[int], int]:
    def rule(value: int) -> int:
        if value < least:
            raise ValueError(f"it is less than {least}")
        return value

    return rule


_Ttl = Annotated[Duration, Check(partial(duration, least=_SHORTEST_TTL), f"{ACCEPTED}, of at least 30 seconds")]


@dataclass(repr=False)
class ReusePolicy(Declaration):
    """How many containers stay warm for the tasks of an environment, and for how long.

    Parameters
    ----------
    replicas : int or tuple of int
        How many containers: a fixed number, or the minimum and the maximum. Kept as ``(minimum, maximum)``.
    idle_ttl : int or timedelta
        Seconds without any task after which all of them stop; at least 30. Kept as a timedelta.
    concurrency : int
        Tasks that one container runs at a time; more than one is for async tasks.
    scaledown_ttl : int or timedelta
        Seconds that one container idles before it is removed; at least 30. Kept as a timedelta.
    scope : {"global", "run"}
        Whether runs share the containers or each run has its own.

    Notes
    -----
    One replica with concurrency 1 is accepted with a warning in the log: a task that waits for a task of the
    same environment would wait for ever in a cluster. On this machine it gives its place away while it waits.
    """

    replicas: Annotated[
        int | tuple[int, int],
        Check(_replicas, "a number of replicas, at least 1, or (minimum, maximum)"),
    ] = 2
    idle_ttl: _Ttl = 30
    concurrency: Annotated[int, Check(_at_least(1), "a whole number, at least 1", schema={"minimum": 1})] = 1
    scaledown_ttl: _Ttl = 30
    scope: Literal["global", "run"] = "global"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_replicas == 1 and self.concurrency == 1 and not reading.get():
            _logger.warning(
                "ReusePolicy with one replica and concurrency 1: a task that calls a task of the same environment "
                "would wait for ever in a cluster; allow 2 replicas, or a higher concurrency"
            )

    @property
    def min_replicas(self) -> int:
        """The number of replicas that are always there."""
        return cast("tuple[int, int]", self.replicas)[0]

    @property
    def max_replicas(self) -> int:
        """The number of replicas that there are at most."""
        return cast("tuple[int, int]", self.replicas)[1]

    def get_scaledown_ttl(self) -> timedelta:
        """Give how long one container idles before it is removed."""
        return cast(timedelta, self.scaledown_ttl)


def _factor(value: float) -> float:
    if not math.isfinite(value) or value < 1.0:
        raise ValueError("it must be finite and at least 1.0")
    return value


@dataclass(frozen=True, repr=False)
class Backoff(Declaration):
    """How long to wait before each retry: ``base * factor**n``, at most ``cap``.

    Parameters
    ----------
    base : timedelta
        The wait before the first retry.
    factor : float
        What each further wait is multiplied by; at least 1.0.
    cap : timedelta, optional
        The longest wait; required when the factor is more than 1.
    """

    base: Annotated[timedelta, Check(optional_duration, "a timedelta, not negative")]
    factor: Annotated[float, Check(_factor, "a finite number, at least 1.0", schema={"minimum": 1})] = 1.0
    cap: Annotated[timedelta | None, Check(optional_duration, "a timedelta, not negative, or None")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor > 1.0 and self.cap is None:
            raise refuse(self, "cap", None, "a timedelta", f"with the factor {self.factor:g} the waits grow for ever")

    def compute_delay(self, n: int) -> timedelta:
        """Give the wait before a retry.

        Parameters
        ----------
        n : int
            How many retries there were before; 0 for the first.

        Raises
        ------
        DeclarationError
            When ``n`` is not a whole number (a TypeError) or negative (a ValueError).
        """
        if not isinstance(n, int):
            raise refuse_type(self, "compute_delay(n)", n, "a whole number, at least 0")
        if n < 0:
            raise refuse(self, "compute_delay(n)", n, "a whole number, at least 0")
        if self.cap is None or not self.base:  # without a cap the factor is 1
            return self.base
        try:
            return min(self.base * self.factor**n, self.cap)
        except OverflowError:
            return self.cap


@dataclass(repr=False)
class RetryStrategy(Declaration):
    """How often a failed task is tried again.

    Parameters
    ----------
    count : int
        Further attempts after the first one.
    backoff : Backoff, optional
        How long to wait before each of them; at once without it.
    """

    count: Annotated[int, Check(_at_least(0), "a whole number of retries, at least 0", schema={"minimum": 0})]
    backoff: Backoff | None = None


def retries_from_request(request: int | RetryStrategy) -> RetryStrategy:
    """Give what a ``retries=`` argument asks for; a given RetryStrategy stays the same object.

    Raises
    ------
    DeclarationError
        When it is neither a RetryStrategy nor a whole number, at least 0.
    """
    return request if isinstance(request, RetryStrategy) else RetryStrategy(count=request)


def _limit(value: Duration | None) -> Duration | None:
    optional_duration(value)
    return value


_Limit = Annotated[Duration | None, Check(_limit, f"{ACCEPTED}, not negative; None or 0 is unlimited")]


@dataclass(repr=False)
class Timeout(Declaration):
    """How long a task may take. Every limit is kept as it was given; None and 0 are unlimited.

    Parameters
    ----------
    max_runtime : int or timedelta, optional
        Seconds that one attempt may run.
    max_queued_time : int or timedelta, optional
        Seconds that one attempt may wait before it runs.
    deadline : int or timedelta, optional
        Seconds that all attempts together may take, from the first one's queueing.
    """

    max_runtime: _Limit = None
    max_queued_time: _Limit = None
    deadline: _Limit = None


TimeoutType = Timeout | int | timedelta


def timeout_from_request(request: TimeoutType) -> Timeout:
    """Give what a ``timeout=`` argument asks for; a given Timeout stays the same object.

    Raises
    ------
    DeclarationError
        When it is neither a Timeout nor a duration, or negative.
    """
    if isinstance(request, Timeout):
        return request
    return Timeout(max_runtime=duration_argument(Timeout, "max_runtime", request))


@dataclass(repr=False)
class Documentation(Declaration):
    """What a task does, in words.

    Parameters
    ----------
    description : str
        The text, shown where the task is.
    """

    description: str
