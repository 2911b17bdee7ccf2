"""A module is made again exactly when something that it was made from has changed."""

import pytest
from flyte_nb.notebook.slicer import Slicer
from flyte_nb.notebook.slicing import module_for

IMPORT = "import flyte_nb as flyte"


@pytest.fixture
def slicer(kernel):
    made = Slicer(kernel.log)

    def module(*names, **wanted):
        found = made.module_for(kernel.namespace, names, **wanted)
        fresh = module_for(kernel.log, kernel.namespace, names, **wanted)
        assert (found.source, found.captured) == (fresh.source, fresh.captured)
        return found

    return module


START = """
import json, math
limit = 3
names = ['a', {'k': 1}]
total = sum([1, 2])
rows = [len('abc'), [1]]
class Point:
    size = limit
    def __init__(self, x): self.x = x
point = Point(1)
def helper(x): return math.floor(x) + limit
def f(x): return helper(x), names, total, rows, point, Point
def unrelated(): return json
"""


def test_nothing_changed(kernel, slicer):
    kernel.cell(START)
    assert slicer("f") is slicer("f")


@pytest.mark.parametrize(
    "cell",
    [
        "print('x')",
        "new = 3",
        "def unrelated(): return 0",
        "helper(1)",
        "json = None",
        "x = f(1)",
        "1 / 0",
        "import os",
    ],
)
def test_what_has_nothing_to_do_with_it_changes_nothing(kernel, slicer, cell):
    kernel.cell(START)
    before = slicer("f")
    kernel.cell(cell, fails="/" in cell)
    assert slicer("f") is before


@pytest.mark.parametrize(
    "cell",
    [
        "limit = 4",
        "names.append(2)",
        "names[1]['k'] = 2",
        "names[1]['k'] = True",
        "total = sum([1, 2, 3])",
        "rows[1].append(2)",
        "point.x = 2",
        "Point.size = 4",
        "setattr(Point, 'm', lambda self: 1)",
        "for k in ('m',): setattr(Point, k, lambda self: 1)",
        "def helper(x): return x",
        "import math as m2\nfrom math import ceil as helper",
        "class Point: pass",
        "exec('limit = 9')",
        "exec('names.clear()')",
        "globals()['total'] = 9",
        "import cmath as math",
        "from __future__ import annotations",
    ],
)
def test_what_it_reads_changes_it(kernel, slicer, cell):
    kernel.cell(START)
    before = slicer("f")
    kernel.cell(cell)
    after = slicer("f")
    assert (after.source, [v.data for v in after.captured]) != (before.source, [v.data for v in before.captured])


def test_a_name_that_was_deleted_is_noticed(kernel, slicer):
    kernel.cell(START)
    slicer("f")
    kernel.cell("del limit")
    with pytest.raises(Exception, match="'limit'"):
        slicer("f")


def test_a_name_that_is_bound_later_is_noticed(kernel, slicer):
    kernel.cell("def f(x: 'Row') -> int: return 1")
    before = slicer("f")
    kernel.cell("class Row: pass")
    assert "class Row" not in before.source
    assert "class Row" in slicer("f").source


def test_the_environment_of_a_task_is_noticed(kernel, slicer):
    kernel.cell(f"{IMPORT}\nenv = flyte.TaskEnvironment('a')", key="env")
    kernel.cell("@env.task\ndef f() -> int: return 1")
    task = kernel.registry.find_task("a.f")
    before = slicer(tasks=[task])
    assert slicer(tasks=[task]) is before
    kernel.cell(f"{IMPORT}\nenv = flyte.TaskEnvironment('a', description='new')", key="env")
    after = slicer(tasks=[kernel.registry.find_task("a.f")])
    assert "description='new'" in after.source
    kernel.cell("env = flyte.TaskEnvironment('b')")
    assert "env_a = " in slicer(tasks=[kernel.registry.find_task("a.f")]).source


def test_a_dependency_that_was_added_is_noticed(kernel, slicer):
    kernel.cell(f"{IMPORT}\nenv = flyte.TaskEnvironment('a')\nb = flyte.TaskEnvironment('b')")
    kernel.cell("@env.task\ndef f() -> int: return 1")
    task = kernel.registry.find_task("a.f")
    assert "add_dependency" not in slicer(tasks=[task]).source
    kernel.cell("env.add_dependency(b)")
    assert "add_dependency" in slicer(tasks=[task]).source


def test_other_wishes_are_other_modules(kernel, slicer):
    kernel.cell("a = 1\nb = 2")
    assert len({slicer("a"), slicer("b"), slicer("a", "b"), slicer()}) == 4


def test_only_so_many_are_kept(kernel):
    kernel.cell("\n".join(f"a{i} = {i}" for i in range(100)))
    made = Slicer(kernel.log)
    for number in range(100):
        made.module_for(kernel.namespace, [f"a{number}"])
    assert len(made._kept) == 32


def test_what_is_large_is_not_kept(kernel, monkeypatch):
    monkeypatch.setattr("flyte_nb.notebook.slicer._KEPT_BYTES", 100)
    kernel.cell("big = bytes(range(200)) + bytes([1])\nlarge = big.upper()")
    made = Slicer(kernel.log)
    assert made.module_for(kernel.namespace, ["large"]) is not made.module_for(kernel.namespace, ["large"])
