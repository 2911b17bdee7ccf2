"""Policies: reuse, retries and their delays, timeouts, documentation."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
from datetime import timedelta
from typing import Any

import pytest
from flyte_nb.environments.forms import from_dict
from flyte_nb.environments.policies import (
    Backoff,
    Documentation,
    RetryStrategy,
    ReusePolicy,
    Timeout,
    retries_from_request,
    timeout_from_request,
)
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError
from hypothesis import given
from hypothesis import strategies as st


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


# --- ReusePolicy


def test_reuse_defaults() -> None:
    policy = ReusePolicy()
    assert (policy.replicas, policy.idle_ttl, policy.concurrency) == ((2, 2), seconds(30), 1)
    assert (policy.scaledown_ttl, policy.scope) == (seconds(30), "global")


def test_reuse_positions_and_normal_forms() -> None:
    policy = ReusePolicy((0, 4), 60, 3, timedelta(minutes=2), "run")
    assert (policy.min_replicas, policy.max_replicas) == policy.replicas == (0, 4)
    assert (policy.idle_ttl, policy.concurrency, policy.scope) == (seconds(60), 3, "run")
    assert policy.get_scaledown_ttl() == policy.scaledown_ttl == seconds(120)
    assert ReusePolicy(3).replicas == (3, 3)
    assert dataclasses.replace(policy, concurrency=1).replicas == (0, 4)
    assert copy.deepcopy(policy) == policy


@pytest.mark.parametrize(
    "fields",
    [
        *({"replicas": r} for r in (0, -1, (0, 0), (2, 1), (-1, 2), [1, 2], None, 1.5, "2", (1,), (1, 2, 3))),
        *({"replicas": r} for r in (True, (False, True), (1, "2"))),
        *({"idle_ttl": t} for t in (29, 0, -1, seconds(29.9), None, 30.0, "30", True, 10**20)),
        *({"scaledown_ttl": t} for t in (29, seconds(0), None, 45.5, "60")),
        *({"concurrency": c} for c in (0, -1, 1.0, "2", None, True)),
        *({"scope": s} for s in ("local", "", None, 3, "GLOBAL")),
    ],
)
def test_reuse_refuses(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"ReusePolicy.{next(iter(fields))}: given"):
        ReusePolicy(**fields)


def test_reuse_is_mutable_and_unhashable() -> None:
    policy = ReusePolicy()
    policy.concurrency = 4
    assert policy.concurrency == 4
    with pytest.raises(TypeError):
        hash(policy)


@pytest.mark.parametrize(
    ("policy", "warns"),
    [({"replicas": 1}, True), ({"replicas": (0, 1)}, True), ({"replicas": 1, "concurrency": 2}, False), ({}, False)],
)
def test_reuse_warns_of_starvation(policy: dict[str, Any], warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        declared = ReusePolicy(**policy)
        assert bool(caplog.records) == warns
        caplog.clear()
        assert from_dict(declared.to_dict()) == declared
    assert caplog.records == []  # whoever declared it has been warned


# --- Backoff


def test_backoff_fields() -> None:
    backoff = Backoff(seconds(1), 2, seconds(10))
    assert (backoff.base, backoff.factor, backoff.cap) == (seconds(1), 2.0, seconds(10))
    assert Backoff(seconds(0)) == Backoff(timedelta(), 1.0, None)
    assert hash(backoff) == hash(copy.deepcopy(backoff))
    with pytest.raises(AttributeError):
        backoff.factor = 3.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "fields",
    [
        (seconds(-1),),
        (seconds(1), 0.5, seconds(9)),
        (seconds(1), math.nan, seconds(9)),
        (seconds(1), math.inf, seconds(9)),
        (seconds(1), 1.0, seconds(-1)),
        (seconds(1), 2.0),
    ],
)
def test_backoff_refuses_values(fields: tuple[Any, ...]) -> None:
    with pytest.raises(DeclarationValueError):
        Backoff(*fields)


@pytest.mark.parametrize(
    "fields",
    [(1,), (None,), ("1s",), (seconds(1), "2"), (seconds(1), None), (seconds(1), True), (seconds(1), 2.0, 9)],
)
def test_backoff_refuses_types(fields: tuple[Any, ...]) -> None:
    with pytest.raises(DeclarationTypeError):
        Backoff(*fields)


def test_delays() -> None:
    backoff = Backoff(seconds(1), 2.0, seconds(10))
    assert [backoff.compute_delay(n).total_seconds() for n in range(6)] == [1, 2, 4, 8, 10, 10]
    assert Backoff(seconds(3)).compute_delay(7) == seconds(3)
    assert Backoff(seconds(3), cap=seconds(2)).compute_delay(0) == seconds(2)
    assert Backoff(seconds(0), 2.0, seconds(2)).compute_delay(10**6) == seconds(0)
    assert backoff.compute_delay(10**6) == seconds(10)
    assert Backoff(timedelta.max, 1.5, timedelta.max).compute_delay(1) == timedelta.max
    with pytest.raises(DeclarationValueError, match="compute_delay"):
        backoff.compute_delay(-1)
    with pytest.raises(DeclarationTypeError, match="compute_delay"):
        backoff.compute_delay(1.5)  # type: ignore[arg-type]


durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10**6))
backoffs = st.builds(Backoff, durations, st.floats(1.0, 1e9), durations)


@given(backoffs, st.integers(0, 5000))
def test_delays_grow_up_to_the_cap(backoff: Backoff, n: int) -> None:
    now, later = backoff.compute_delay(n), backoff.compute_delay(n + 1)
    assert backoff.cap is not None
    assert timedelta(0) <= now <= later <= backoff.cap
    assert backoff.compute_delay(0) == min(backoff.base, backoff.cap)


@given(durations, st.integers(0, 10**6))
def test_without_a_factor_delays_are_all_the_base(base: timedelta, n: int) -> None:
    assert Backoff(base).compute_delay(n) == base


@given(durations, durations, st.floats(1.0, 1e3), st.integers(0, 20))
def test_delays_follow_the_formula(base: timedelta, cap: timedelta, factor: float, n: int) -> None:
    exact = min(base.total_seconds() * factor**n, cap.total_seconds())
    assert Backoff(base, factor, cap).compute_delay(n).total_seconds() == pytest.approx(exact, rel=1e-9, abs=1e-5)


# --- RetryStrategy


def test_retries() -> None:
    backoff = Backoff(seconds(1))
    strategy = RetryStrategy(3, backoff)
    assert (strategy.count, strategy.backoff) == (3, backoff)
    assert strategy.backoff is backoff
    assert retries_from_request(strategy) is strategy
    assert retries_from_request(0) == RetryStrategy(0) == RetryStrategy(count=0, backoff=None)
    with pytest.raises(TypeError):
        hash(strategy)


@pytest.mark.parametrize("count", [-1, 1.0, "3", None, True, [1]])
def test_wrong_retries(count: Any) -> None:
    with pytest.raises(ValueError, match=r"RetryStrategy\.count"):
        RetryStrategy(count)
    with pytest.raises(ValueError, match=r"RetryStrategy\.count"):
        retries_from_request(count)


def test_wrong_backoff() -> None:
    with pytest.raises(DeclarationTypeError, match=r"RetryStrategy\.backoff"):
        RetryStrategy(1, backoff=seconds(1))  # type: ignore[arg-type]


# --- Timeout


def test_timeouts_are_kept_as_given() -> None:
    timeout = Timeout(60, seconds(5), 0)
    assert (timeout.max_runtime, timeout.max_queued_time, timeout.deadline) == (60, seconds(5), 0)
    assert isinstance(timeout.max_runtime, int)
    assert Timeout() == Timeout(None, None, None)


def test_timeout_requests() -> None:
    timeout = Timeout(5)
    assert timeout_from_request(timeout) is timeout
    assert timeout_from_request(90) == timeout_from_request(seconds(90)) == Timeout(max_runtime=seconds(90))
    assert timeout_from_request(0) == Timeout(max_runtime=timedelta(0))


@pytest.mark.parametrize("limit", [-1, seconds(-1), 10**20])
def test_wrong_limits(limit: Any) -> None:
    with pytest.raises(DeclarationValueError, match=r"Timeout\.deadline"):
        Timeout(deadline=limit)
    with pytest.raises(DeclarationValueError, match=r"Timeout\.max_runtime"):
        timeout_from_request(limit)


@pytest.mark.parametrize("limit", ["10", 1.5, True, [1]])
def test_wrong_types_of_limits(limit: Any) -> None:
    with pytest.raises(DeclarationTypeError, match=r"Timeout\.max_queued_time"):
        Timeout(max_queued_time=limit)
    with pytest.raises(DeclarationTypeError, match=r"Timeout\.max_runtime"):
        timeout_from_request(limit)


def test_no_timeout_request() -> None:
    with pytest.raises(ValueError, match="NoneType"):
        timeout_from_request(None)  # type: ignore[arg-type]


# --- Documentation


def test_documentation() -> None:
    text = Documentation("What it does")
    assert text.description == "What it does"
    text.description = "More"
    assert text == Documentation(description="More")
    with pytest.raises(TypeError):
        Documentation()  # type: ignore[call-arg]
    with pytest.raises(DeclarationTypeError):
        Documentation(3)  # type: ignore[arg-type]
