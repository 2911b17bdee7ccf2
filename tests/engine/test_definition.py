"""How a worker finds a task: in a script, in a module to import, or as a value."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from flyte_nb import pickling
from flyte_nb.engine.definition import Definition, definition_of, holds, loading, refuse_while_loading, tasks_in
from flyte_nb.errors import SliceError, UsageError

from scripts import written

SOURCE = """
import threading
import flyte_nb as flyte

env = flyte.TaskEnvironment(name="defined")

@env.task
def plain(x: int) -> int:
    return x

def make(captured=None):
    @env.task
    def inner(x: int) -> int:
        return x + (captured is None)
    return inner

def make_plain():
    again = flyte.TaskEnvironment("defined")
    @again.task
    def plain(x: int) -> int:
        return -x
    return plain

made = make()
unnamed = [env.task(lambda_) for lambda_ in [make]][:0]
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    written(tmp_path / "defined_tasks.py", SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("defined_tasks")
    del sys.modules["defined_tasks"]


def test_task_of_a_module_is_imported(module: ModuleType) -> None:
    assert definition_of(module.plain) == Definition(module="defined_tasks")


def test_task_made_by_a_function_but_named_by_the_module(module: ModuleType) -> None:
    assert definition_of(module.made) == Definition(module="defined_tasks")


def test_task_inside_a_function_goes_by_value(module: ModuleType) -> None:
    inner = module.make()
    found = definition_of(inner)
    assert pickling.loads(found.pickled).forward(x=1) == 2


def test_task_inside_a_function_is_not_mistaken_for_one_of_its_name(module: ModuleType) -> None:
    assert pickling.loads(definition_of(module.make_plain()).pickled).forward(x=1) == -1


def test_task_that_cannot_travel_says_what_to_do(module: ModuleType) -> None:
    with pytest.raises(SliceError, match=r"'defined.inner' is defined inside a function and cannot travel") as raised:
        definition_of(module.make(threading.Lock()))
    assert "Define it at the top of its module" in str(raised.value)


def test_tasks_in_a_module(module: ModuleType) -> None:
    assert {"defined.plain", "defined.inner"} <= set(tasks_in(module))
    assert tasks_in(module)["defined.plain"] is module.plain
    assert holds(module, module.plain)
    assert not holds(module, module.make())


def test_verbs_are_refused_while_a_module_loads_in_any_thread() -> None:
    told: list[str] = []

    def verb() -> None:
        try:
            refuse_while_loading("run")
        except UsageError as error:
            told.append(str(error))

    refuse_while_loading("run")
    loading.set()
    try:
        verb()
        thread = threading.Thread(target=verb)
        thread.start()
        thread.join()
    finally:
        loading.clear()
    assert len(told) == 2
    assert 'if __name__ == "__main__":' in told[0]
