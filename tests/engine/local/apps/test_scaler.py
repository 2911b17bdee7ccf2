"""The scaler: bounds, more at once, fewer slowly, and never a replica too few for what waits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flyte_nb.engine.local.apps.scaler import CONCURRENCY, QUIET, Scaler
from flyte_nb.engine.local.apps.traffic import Load
from flyte_nb.environments.scaling import Scaling
from hypothesis import given
from hypothesis import strategies as st

metrics = st.one_of(
    st.none(),
    st.integers(1, 50).map(Scaling.Concurrency),
    st.integers(1, 50).map(Scaling.RequestRate),
)
scalings = st.builds(
    lambda least, more, metric, after: Scaling((least, max(1, least + more)), metric, after),
    st.integers(0, 5),
    st.integers(0, 30),
    metrics,
    st.one_of(st.none(), st.integers(0, 300)),
)
counts = st.integers(0, 500)
loads = st.builds(
    lambda flying, waiting, rate: Load(in_flight=flying, waiting=waiting, rate=float(rate)), counts, counts, counts
)
steps = st.lists(st.tuples(st.floats(0, 100), loads), min_size=1, max_size=30)


def course(scaling: Scaling, steps: list[tuple[float, Load]]) -> list[int]:
    """Give what is wanted at each of some steps: (seconds since the last one, load)."""
    scaler, now, wanted = Scaler(scaling), 0.0, []
    for passed, load in steps:
        now += passed
        wanted.append(scaler.wanted(now, load, 0, 0))
    return wanted


@given(scalings, steps)
def test_the_bounds_hold_and_nothing_waits_for_nobody(scaling: Scaling, steps: list[tuple[float, Load]]) -> None:
    least, most = scaling.get_replicas()
    for (_, load), wanted in zip(steps, course(scaling, steps), strict=True):
        assert least <= wanted <= most
        assert wanted > 0 or not (load.waiting or load.in_flight)


@given(scalings, steps)
def test_there_is_enough_for_what_there_is_to_do(scaling: Scaling, steps: list[tuple[float, Load]]) -> None:
    _, most = scaling.get_replicas()
    for (_, load), wanted in zip(steps, course(scaling, steps), strict=True):
        share = scaling.metric.val if scaling.metric else CONCURRENCY
        demand = load.rate if isinstance(scaling.metric, Scaling.RequestRate) else load.in_flight + load.waiting
        assert wanted == most or wanted * share >= demand


@given(scalings, st.lists(st.tuples(st.floats(0, 100), loads, loads), min_size=1, max_size=30))
def test_more_load_never_means_fewer_replicas(scaling: Scaling, steps: list[tuple[float, Load, Load]]) -> None:
    less = [(passed, load) for passed, load, _ in steps]
    more = [
        (passed, Load(load.in_flight + add.in_flight, load.waiting + add.waiting, rate=load.rate + add.rate))
        for passed, load, add in steps
    ]
    pairs = zip(course(scaling, less), course(scaling, more), strict=True)
    assert all(few <= many for few, many in pairs)


@given(scalings, steps)
def test_an_idle_app_comes_down_to_its_minimum(scaling: Scaling, steps: list[tuple[float, Load]]) -> None:
    least, _ = scaling.get_replicas()
    idle = [(5.0, Load())] * 150
    wanted = course(scaling, steps + idle)[len(steps) :]
    assert wanted == sorted(wanted, reverse=True)
    assert wanted[-1] == least


@given(st.lists(st.integers(0, 100), min_size=2, max_size=200))
def test_it_does_not_flap(flying: list[int]) -> None:
    wanted = course(Scaling((0, 20), Scaling.Concurrency(5), 30), [(0.2, Load(in_flight=count)) for count in flying])
    span = 150  # steps of 0.2 s: half a minute
    turns = [place for place in range(1, len(wanted)) if wanted[place] < wanted[place - 1]]
    for place in turns:  # fewer only where less was asked for all the while
        assert max(flying[max(0, place - span + 1) : place + 1]) <= wanted[place - 1] * 5
        assert place >= span - 1
        assert wanted[place] >= wanted[place - 1] - 2


def test_up_at_once_and_down_slowly() -> None:
    scaler = Scaler(Scaling((0, 5), Scaling.Concurrency(10), 10))
    assert scaler.wanted(0.0, Load(), 0, 0) == 0
    assert scaler.wanted(1.0, Load(waiting=1), 0, 0) == 1
    assert scaler.wanted(1.2, Load(in_flight=45), 1, 0) == 5
    assert scaler.wanted(2.0, Load(in_flight=1000), 1, 0) == 5
    down = [scaler.wanted(2.0 + after, Load(), 5, 0) for after in (9.9, 10.1, 11.1, 12.1, 13.1, 14.1)]
    assert down == [5, 4, 3, 2, 1, 0]


def test_by_rate() -> None:
    scaler = Scaler(Scaling((0, 5), Scaling.RequestRate(10)))
    assert scaler.wanted(0.0, Load(rate=25.0), 0, 0) == 3
    assert Scaler(Scaling((0, 5), Scaling.RequestRate(10))).wanted(0.0, Load(waiting=1), 0, 0) == 1


@pytest.mark.parametrize(("after", "quiet"), [(None, QUIET), (timedelta(seconds=7), 7.0), (0, 1.0)])
def test_how_long_demand_is_remembered(after: timedelta | int | None, quiet: float) -> None:
    scaler = Scaler(Scaling((0, 1), None, after))
    scaler.wanted(100.0, Load(in_flight=1), 0, 0)
    assert scaler.wanted(100.0 + quiet - 0.01, Load(), 1, 0) == 1
    assert scaler.wanted(100.0 + quiet + 0.01, Load(), 1, 0) == 0


def test_fixed_and_switched_off() -> None:
    assert Scaler(Scaling(3)).wanted(0.0, Load(in_flight=1000), 3, 0) == 3
    assert Scaler(Scaling(0)).wanted(0.0, Load(waiting=1), 0, 0) == 0


def test_a_clock_that_goes_back_or_jumps() -> None:
    scaler = Scaler(Scaling((0, 5), Scaling.Concurrency(1), 10))
    assert scaler.wanted(1000.0, Load(in_flight=3), 0, 0) == 3
    assert scaler.wanted(0.0, Load(in_flight=1), 0, 0) == 3
    assert scaler.wanted(9000.0, Load(in_flight=2), 0, 0) == 2
    assert scaler.wanted(1e9, Load(), 0, 0) == 0
