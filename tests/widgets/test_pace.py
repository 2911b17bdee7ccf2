"""Doing something a few times a second at most, and never where nobody asks."""

from __future__ import annotations

import threading
import time

import pytest
from flyte_nb.widgets.pace import Pace

from scripts import soon


def test_what_is_asked_for_often_is_done_seldom_and_sees_the_last() -> None:
    seen: list[int] = []
    news = [0]
    pace = Pace(lambda: seen.append(news[0]), every=0.05)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        news[0] += 1
        pace.ask()
    assert soon(lambda: bool(seen) and seen[-1] == news[0])
    assert news[0] > 50 * len(seen)
    time.sleep(0.2)  # what was asked for last may still come
    count = len(seen)
    time.sleep(0.2)
    assert len(seen) == count  # nobody asks


def test_two_are_never_under_way_and_none_after_the_end() -> None:
    under_way, most, done = [0], [0], [0]

    def act() -> None:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        time.sleep(0.05)
        under_way[0] -= 1
        done[0] += 1

    pace = Pace(act, every=0.0)
    askers = [threading.Thread(target=lambda: [pace.ask() or time.sleep(0.001) for _ in range(100)]) for _ in range(3)]  # type: ignore[func-returns-value]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert soon(lambda: done[0] > 1)
    assert most[0] == 1
    pace.end()
    pace.ask()
    pace.ask_in(0.0)
    assert soon(lambda: under_way[0] == 0)
    before = done[0]
    time.sleep(0.15)
    assert done[0] <= before + 1


def test_a_later_time_replaces_an_earlier_one() -> None:
    done: list[float] = []
    pace = Pace(lambda: done.append(time.monotonic()), every=0.0)
    pace.ask_in(0.05)
    pace.ask_in(float("inf"))
    time.sleep(0.2)
    assert done == []
    pace.ask_in(0.01)
    assert soon(lambda: len(done) == 1)


def test_what_is_slow_is_done_less_often_and_sees_the_last() -> None:
    seen: list[int] = []
    news, taken = [0], [0.0]

    def act() -> None:
        began = time.monotonic()
        seen.append(news[0])
        time.sleep(0.05)
        taken[0] += time.monotonic() - began

    pace = Pace(act, every=0.0)
    began = time.monotonic()
    while time.monotonic() < began + 1:
        news[0] += 1
        pace.ask()
    under_way = taken[0] / (time.monotonic() - began)
    assert under_way < 0.4
    assert soon(lambda: seen[-1] == news[0])
    count = len(seen)
    time.sleep(0.4)
    assert len(seen) == count


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_that_fails_does_not_end_the_others() -> None:
    done: list[int] = []

    def act() -> None:
        done.append(1)
        if len(done) == 1:
            pace.ask()
            raise ValueError

    pace = Pace(act, every=0.0)
    pace.ask()
    assert soon(lambda: len(done) == 2)
