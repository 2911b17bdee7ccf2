"""Views of deployments: a table of versions, what is pruned, a task's inputs, and a line while it goes on."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from flyte_nb.engine.base import Deployment, History, Progress, Step
from flyte_nb.engine.store import Pruned
from flyte_nb.views import Text
from flyte_nb.widgets.deployments import ProgressLine, history, pruned, task_card

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


def test_versions_are_a_table() -> None:
    made = History([
        Deployment("a", "v2", NOON, ("a.f", "a.<g>"), digest="ab" * 32),
        Deployment("a", "v1", NOON, current=False, until=NOON),
    ])  # fmt: skip
    text = history(made).text()
    assert text.splitlines()[1].split()[:2] == ["a", "v2"]
    assert "f, <g>" in text
    assert "abababababab" in text
    assert "current until 2026-01-0" in text
    assert "no tasks" in text
    assert "<g>" not in history(made).html()
    assert "nothing is deployed yet" in history(History()).text()


def test_what_is_pruned_is_told() -> None:
    one = Deployment("a", "v1", NOON, current=False)
    dry = pruned(Pruned((one,), (Path("x"),), 2048, ("b at v1: a running process uses it",)))
    assert dry.text().splitlines()[0].startswith("- a at v1  would remove; deployed 2026-01-0")
    assert "1 bundle  would remove, 2.0 KiB" in dry.text()
    assert "= kept  b at v1: a running process uses it" in dry.text()
    assert "nothing was removed yet" in dry.text()
    assert "nothing was removed yet" not in pruned(Pruned((one,), dry_run=False)).text()
    assert "nothing to remove" in pruned(Pruned()).text()


def test_a_task_shows_its_inputs() -> None:
    inputs = [{"name": "x", "type": "int", "help": "A <number>."}, {"name": "y", "type": "str", "default": "'a'"}]
    card = task_card("e.f", "v1", "Do it\nwell.\n\nAnd more.", inputs, "float")
    assert card.text().splitlines() == [
        "e.f  (deployed task, version v1)",
        "  x        int  (A <number>.)",
        "  y        str = 'a'",
        "  returns  float",
        "  what it does:",
        "    Do it well.",
    ]
    assert "<number>" not in card.html()


def test_a_line_appears_when_it_takes_a_while() -> None:
    shown: list[str] = []
    times = iter([0.0, 0.1, 0.6, 0.7, 0.8, 1.5, 1.6])

    def show(line: Text) -> object:
        shown.append(line.text())
        return lambda changed: shown.append(changed.text())

    line = ProgressLine(show, lambda: next(times))  # type: ignore[arg-type]
    line(Progress("a", Step.RECORDING))
    assert shown == []
    line(Progress("b", Step.DEPLOYED, "at version v1"))
    assert shown == ["deploying: b deployed at version v1 · 1 of 2 environments done · 0.7 s"]
    line(Progress("a", Step.DEPLOYED, "at version v1"))
    assert shown[1].startswith("deploying: a deployed at version v1 · 2 of 2 environments done")


def test_a_second_without_news_counts_on() -> None:
    shown: list[str] = []
    times = iter([0.0, 0.1, 1.1, 1.2, 2.2])

    def show(line: Text) -> object:
        shown.append(line.text())
        return lambda changed: shown.append(changed.text())

    line = ProgressLine(show, lambda: next(times))  # type: ignore[arg-type]
    line(Progress("a", Step.RECORDING))
    line(None)
    line(None)
    assert shown == [f"deploying: a recording · 0 of 1 environments done · {t} s" for t in (1.2, 2.2)]


def test_a_wait_is_said_at_once() -> None:
    shown: list[str] = []

    def show(line: Text) -> object:
        shown.append(line.text())
        return lambda changed: None

    ProgressLine(show, lambda: 0.0)(Progress("", Step.WAITING, "for the store"))  # type: ignore[arg-type]
    assert shown == ["deploying: waiting for the store · 0.0 s"]
