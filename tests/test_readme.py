"""The README's table of settings says what the code says."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import flyte_nb as flyte

from test_architecture import LAYERS, PACKAGE

README = (Path(__file__).parents[1] / "README.md").read_text()
SECTION = README.partition("\n## Settings and levels\n")[2].partition("\n## ")[0]
LEVELS = ["environment", "`@env.task`", "`task.override`"]


def fields(kind: type) -> list[str]:
    return [f.name for f in dataclasses.fields(kind) if f.init]


def keywords(function: object) -> list[str]:
    return [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]  # type: ignore[arg-type]


def rows() -> dict[str, list[str]]:
    """Give the table: the marks of the three levels for each setting."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in SECTION.splitlines() if line[:1] == "|"]
    assert cells[0][:4] == ["setting", *LEVELS]
    return {row[0].strip("`"): row[1:4] for row in cells[2:]}


def taken_by_override(name: str) -> bool:
    """Tell whether ``task.override`` takes a setting: any value that it has already is a right one."""
    task = flyte.TaskEnvironment("readme").task(keywords)
    try:
        task.override(**{name: getattr(task, name, None)})
    except (TypeError, ValueError):
        return False
    return True


def test_the_table_names_every_setting_and_where_it_can_be_set() -> None:
    environment, decorator = fields(flyte.TaskEnvironment), keywords(flyte.TaskEnvironment.task)
    known = list(dict.fromkeys([*environment, *decorator, *keywords(flyte.TaskTemplate.override)]))
    override = [name for name in known if taken_by_override(name)]
    levels = (environment, decorator, override)
    assert rows() == {name: ["yes" if name in names else "" for names in levels] for name in known}


def test_the_settings_of_apps_are_listed() -> None:
    own = [name for name in fields(flyte.app.AppEnvironment) if name not in fields(flyte.Environment)]
    line = next(line for line in SECTION.split("\n\n") if line.startswith("An app"))
    assert re.findall(r"`(\w+)`", line.partition(":")[2]) == own


def drawn() -> list[set[str]]:
    """Give the rows of the drawing of the layers, from the bottom up; an indented line goes on the one above."""
    drawing = README.partition("`tests/test_architecture.py` holds it.\n\n```\n")[2].partition("\n```")[0]
    rows: list[set[str]] = []
    for line in drawing.splitlines():
        units = set(line[:60].split())
        if line.startswith(" "):
            rows[-1] |= units
        else:
            rows.append(units)
    return rows[::-1]


def test_the_drawing_of_the_layers_is_what_the_tests_hold() -> None:
    there = {u for row in LAYERS for u in row if list(PACKAGE.glob(f"{u.replace('.', '/')}*"))}
    assert drawn() == [set(row) & there for row in LAYERS]
