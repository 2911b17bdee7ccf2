"""Where an environment is declared, and what is told when its cell has changed since."""

from __future__ import annotations

import linecache
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.declared_source import rewritten
from flyte_nb.environments.base import unannounced
from flyte_nb.environments.editing import with_values
from flyte_nb.notebook.cells import Cell
from flyte_nb.notebook.rewriting import Edit
from flyte_nb.notebook.shell import Running
from flyte_nb.registry import Registry
from flyte_nb.workbook import Workbook

FILE = "<ipython-input-1-abc>"


def declared(source: str) -> Any:
    names: dict[str, Any] = {"flyte": flyte}
    with unannounced():
        exec(compile(source, FILE, "exec"), names)
    return names["env"]


def code(env: Any, workbook: Workbook) -> Any:
    draft = with_values(env, {"queue": "q"})
    return rewritten(env, draft, [Edit("queue", env.queue, "q", "q")], workbook)


@pytest.fixture
def workbook() -> Workbook:
    return Workbook(None, Registry())


def ran(workbook: Workbook, raw: str, number: int, file: str, failed_at: int | None = None) -> None:
    workbook.record(Running(Cell(raw, number, file, raw=raw), "the same cell", False), failed_at)


def test_a_cell_that_was_edited_and_failed_since_is_told(workbook: Workbook) -> None:
    source = 'env = flyte.TaskEnvironment("decl-a")\n'
    env = declared(source)
    ran(workbook, source, 1, FILE)
    assert code(env, workbook).notices == ()
    ran(workbook, source + "1 / 0\n", 2, "<ipython-input-2-abc>", failed_at=2)
    made = code(env, workbook)
    assert made.source == 'env = flyte.TaskEnvironment("decl-a", queue="q")\n'
    assert "the cell was edited and run again since, as In [2]" in made.notices[0]


def test_a_cell_that_nobody_saw_is_told(workbook: Workbook) -> None:
    made = code(declared('env = flyte.TaskEnvironment("decl-b")\n'), workbook)
    assert "the cell that declared 'decl-b' is not known" in made.reason
    assert made.source.splitlines()[-1] == 'decl_b = flyte.TaskEnvironment(name="decl-b", queue="q")'
    assert repr(made).startswith("<code to add in a new cell: ")


def test_the_running_cell_counts(workbook: Workbook) -> None:
    source = 'env = flyte.TaskEnvironment("decl-c")\n'
    workbook.running = Running(Cell(source, 1, FILE, raw=source), "key", False)
    assert code(declared(source), workbook).source == 'env = flyte.TaskEnvironment("decl-c", queue="q")\n'


def test_what_no_file_holds_is_told(workbook: Workbook) -> None:
    names: dict[str, Any] = {"flyte": flyte}
    with unannounced():
        exec('env = flyte.TaskEnvironment("decl-d")', names)
    linecache.clearcache()
    assert "cannot be read" in code(names["env"], workbook).reason
