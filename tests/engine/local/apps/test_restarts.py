"""Restarts: the delay grows with every quick crash, and an end comes."""

from __future__ import annotations

from flyte_nb.engine.local.apps.restarts import FIRST, LASTING, LONGEST, MOST, Restarts
from hypothesis import given
from hypothesis import strategies as st


def test_the_first_at_once_then_later_and_later_then_never() -> None:
    restarts = Restarts()
    assert restarts.may_start(0.0)
    assert [restarts.crashed(0.0, 0.0) for _ in range(MOST)] == [0.0, FIRST, 2 * FIRST, 4 * FIRST, None]
    assert not restarts.may_start(0.1)
    assert restarts.may_start(restarts.delay)


def test_a_replica_that_lasted_begins_anew() -> None:
    restarts = Restarts()
    for _ in range(3):
        restarts.crashed(5.0, 4.0)
    assert restarts.crashed(100.0, 100.0 - LASTING) == 0.0
    assert restarts.failures == 1
    restarts.see(100.0 + LASTING, ["a replica"])
    assert restarts.failures == 0


def test_nothing_is_forgotten_while_none_is_ready() -> None:
    restarts = Restarts()
    restarts.crashed(0.0, 0.0)
    restarts.see(1000.0, [])
    assert restarts.failures == 1


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=30))
def test_delays_are_bounded(crashes: list[tuple[float, bool]]) -> None:
    restarts, now = Restarts(), 0.0
    for passed, was_ready in crashes:
        now += passed
        delay = restarts.crashed(now, now - passed if was_ready else 0.0)
        assert delay is None or 0 <= delay <= LONGEST
        assert 0 <= restarts.delay <= LONGEST
