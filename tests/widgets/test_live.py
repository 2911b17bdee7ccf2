"""A run while it runs: output at once, and one line that changes, however many actions there are."""

from __future__ import annotations

import pytest
from flyte_nb.engine.base import Action, Event, Phase
from flyte_nb.views import Text
from flyte_nb.widgets.live import Live


class Screen:
    def __init__(self) -> None:
        self.shown: list[str] = []
        self.time = 0.0
        self.live = Live(self.show, lambda: self.time)

    def show(self, line: Text) -> object:
        self.shown.append(line.text())
        return lambda changed: self.shown.append(changed.text())

    def tell(self, number: int, phase: Phase, notice: str = "", text: str = "") -> None:
        parent = None if number == 0 else "a0"
        action = Action(f"a{number}", "e.t", parent, phase, notice=notice)
        self.live(Event("run-1", action, "stdout" if text else "", text))


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_output_comes_at_once(screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    screen.tell(0, Phase.RUNNING, text="said")
    assert capsys.readouterr().out == "said"
    assert screen.shown == []


def test_a_short_run_shows_no_line(screen: Screen) -> None:
    screen.tell(0, Phase.RUNNING)
    screen.time = 0.3
    screen.tell(0, Phase.SUCCEEDED)
    assert screen.shown == []


def test_a_long_run_without_children_shows_no_line(screen: Screen) -> None:
    screen.tell(0, Phase.RUNNING)
    screen.time = 30
    screen.tell(0, Phase.SUCCEEDED)
    assert screen.shown == []


def test_many_actions_change_one_line_a_few_times_a_second(screen: Screen) -> None:
    screen.tell(0, Phase.RUNNING)
    for number in range(1, 1001):
        screen.time += 0.001
        screen.tell(number, Phase.RUNNING)
        screen.tell(number, Phase.FAILED if number % 100 == 0 else Phase.SUCCEEDED)
    screen.tell(0, Phase.SUCCEEDED)
    assert len(screen.shown) < 6
    assert screen.shown[0].startswith("run-1: running, 5")
    assert screen.shown[-1] == "run-1: succeeded, 1.0 s · 1,000 of 1,000 actions done · 10 failed"


def test_why_it_waits(screen: Screen) -> None:
    screen.tell(0, Phase.QUEUED)
    screen.time = 1
    screen.tell(0, Phase.WAITING_FOR_RESOURCES, "clamped\nwaiting for 2 cpu, 1 free")
    assert screen.shown == ["run-1: waiting for resources, 1.0 s · waiting for 2 cpu, 1 free"]


def test_a_quiet_run_says_that_it_goes_on(screen: Screen) -> None:
    screen.live(None)
    screen.tell(0, Phase.RUNNING)
    screen.tell(1, Phase.RUNNING)
    for second in range(1, 4):
        screen.time = second
        screen.live(None)
    assert screen.shown == [f"run-1: running, {n}.0 s · 0 of 1 actions done" for n in range(1, 4)]
