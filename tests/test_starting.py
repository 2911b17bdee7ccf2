"""The line that a cell shows while an app comes up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flyte_nb.engine.local.apps.log import AppLog
from flyte_nb.engine.local.apps.service import Service
from flyte_nb.starting import Starting
from flyte_nb.views import Text


class Cell:
    """Takes what is shown, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = 0.0

    def show(self, line: Text) -> Callable[[Text], None]:
        self.lines.append(line.text())
        return lambda changed: self.lines.append(changed.text())


def service(folder: Path) -> Any:
    return cast(Service, SimpleNamespace(spec=SimpleNamespace(name="penguins"), log=AppLog(folder / "penguins.log")))


def test_the_last_line_that_says_something_is_shown_with_the_seconds(tmp_path: Path) -> None:
    cell, app = Cell(), service(tmp_path)
    with Starting(cell.show, lambda: cell.now) as line:
        line.look()
        line.begins(app)
        cell.now = 1.0
        line.look()
        assert cell.lines == []  # most apps are there by then
        cell.now = 2.0
        line.look()
        app.log.write("r1", "reading " + "x" * 200)
        app.log.write("r1", "  ")
        cell.now = 3.0
        line.look()
    assert cell.lines[0] == "app penguins: starts, after 2 s"
    assert cell.lines[1].startswith("app penguins: starts, after 3 s · r1 | reading xxx")
    assert len(cell.lines[1]) < 150
    assert cell.lines[2:] == ["app penguins: serves, after 3 s"]


def test_it_says_that_nothing_was_started(tmp_path: Path) -> None:
    cell = Cell()

    def interrupted() -> None:
        with Starting(cell.show, lambda: cell.now) as line:
            line.begins(service(tmp_path))
            cell.now = 2.0
            line.look()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cell.lines[-1] == "app penguins: did not start, after 2 s"


def test_nothing_is_shown_where_there_is_no_cell_or_no_time_passed(tmp_path: Path) -> None:
    cell = Cell()
    with Starting(cell.show, lambda: cell.now) as line:
        line.begins(service(tmp_path))
        line.look()
    with Starting(None, lambda: cell.now) as line:
        line.begins(service(tmp_path))
        cell.now = 9.0
        line.look()
    assert cell.lines == []
