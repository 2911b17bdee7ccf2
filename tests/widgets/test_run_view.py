"""The view of a run without a front end: what is told reaches all its forms, whoever asks first."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from flyte_nb.engine.base import Action, Event, Outputs, Phase, Run
from flyte_nb.widgets.run_view import RunState, RunView

from scripts import soon

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Watched:
    """A run that goes on as the test says, and its view."""

    def __init__(self) -> None:
        self.run = Run("r-1", "e.root", actions=[Action("a0", "e.root", None, Phase.RUNNING, START, queued=START)])
        self.log: dict[str, list[str]] = {}
        self.view = RunView(RunState(self.run, lambda number: self.log.get(number, []), lambda number: []))
        self.view.widget()

    def tell(self, number: int, phase: Phase, text: str = "") -> None:
        ended = START + timedelta(seconds=1) if phase.is_terminal else None
        action = Action(f"a{number}", "e.t", "a0", phase, START, ended)
        self.run.observers.tell(Event("r-1", action, "stdout" if text else "", text))

    def end(self) -> None:
        root = self.run.root
        root.phase, root.ended, self.run.result = Phase.SUCCEEDED, START + timedelta(seconds=2), Outputs.of(1, ("o0",))
        self.run.observers.tell(Event("r-1", root.copy()))

    def rows(self) -> str:
        return "".join(row.value for row in self.view._table.children)

    def lines(self) -> str:
        log = self.view._log
        return "".join(block.value for block in log._tail.widget.children) if log is not None else ""


def test_text_that_is_asked_for_takes_nothing_from_what_is_shown() -> None:
    watched = Watched()
    for number in range(1, 30):
        watched.log[""] = [f"line {number}"]
        watched.tell(number, Phase.RUNNING)
        watched.tell(number, Phase.RUNNING, f"line {number}\n")
        watched.view.text()
    assert soon(lambda: "line 29" in watched.lines(), 5)
    assert soon(lambda: "▶ 29 running" in watched.rows(), 5)
    watched.view.close()


def test_the_end_of_a_run_is_the_end_of_listening() -> None:
    watched = Watched()
    watched.tell(1, Phase.SUCCEEDED)
    assert len(watched.run.observers) == 1
    watched.end()
    assert soon(lambda: len(watched.run.observers) == 0, 5)
    assert "✓ succeeded" in watched.rows()
    assert "o0" in watched.view._shown["card"].value
    assert "as of" not in watched.view.text()
    watched.view.close()


def test_a_view_that_is_closed_while_events_come_is_silent() -> None:
    watched = Watched()
    watched.tell(1, Phase.RUNNING)
    watched.view.close()
    assert len(watched.run.observers) == 0
    watched.tell(2, Phase.RUNNING)
    assert "a2" not in watched.view.text()  # it reads what the run itself has
