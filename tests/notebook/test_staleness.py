import pytest
from flyte_nb.cell_line import rewrite
from flyte_nb.notebook.module import Captured, Module
from flyte_nb.notebook.staleness import Stale, changed_files, changed_names

CELLS = [
    "import flyte_nb as flyte\nenv = flyte.TaskEnvironment('e')",
    "from math import floor\nFACTOR = 2\nUNUSED = 3",
    "def helper(x):\n    return floor(x) * FACTOR",
    "@env.task\ndef f(x: int) -> int:\n    return helper(x)",
]


@pytest.fixture
def stale(kernel):
    """Say what is out of date after further cells, told as text."""
    for cell in CELLS:
        kernel.cell(cell)
    before = kernel.task("e.f")

    def stale(*cells):
        for cell in cells:
            kernel.cell(cell)
        return [str(change) for change in changed_names(before, kernel.task("e.f"), "the last run")]

    return stale


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("FACTOR = 3", ["FACTOR (In [5], line 1) changed since the last run"]),
        ("\ndef helper(x):\n    return x", ["helper (In [5], line 2) changed since the last run"]),
        ("from math import ceil as floor", ["floor changed since the last run"]),
        ("OTHER = 1\ndef helper(x):\n    return floor(x) * FACTOR * OTHER",
         ["OTHER (In [5], line 1) is new since the last run", "helper (In [5], line 2) changed since the last run"]),
        ("import flyte_nb as flyte\nenv = flyte.TaskEnvironment('e', cache='auto')",
         ["e (In [5], line 2) changed since the last run"]),
        ("import time\nFACTOR = time.time()", ["FACTOR (In [5], line 2) changed since the last run"]),
        ("UNUSED = 4\nANOTHER = 1", []),
        ("other = flyte.TaskEnvironment('other')", []),
    ],
)  # fmt: skip
def test_what_changed_and_in_which_cell(stale, cell, told):
    assert sorted(stale(cell)) == sorted(told)


def test_running_the_same_cells_again_changes_nothing(stale):
    assert stale(*reversed(CELLS[1:])) == []


def test_using_a_variable_again_for_another_environment_changes_nothing(kernel):
    magic = "".join(rewrite(["%%flyte first\n", "@task\n", "def f() -> int:\n", "    task = 1\n", "    return task\n"]))
    kernel.cell("import flyte_nb as flyte")
    kernel.cell(magic)
    before = kernel.task("first.f")
    kernel.cell("".join(rewrite(["%%flyte second\n"])))
    now = kernel.task("first.f")
    assert before.source != now.source
    assert changed_names(before, now, "then") == []
    kernel.cell(magic.replace("= 1", "= 2"))
    assert [change.name for change in changed_names(before, kernel.task("first.f"), "then")] == ["f"]


def test_a_captured_value_is_compared_by_its_bytes():
    def module(data):
        return Module("x = _captured('x')  # list\n", (Captured("x", data, "In [3], line 1"),))

    assert changed_names(module(b"1"), module(b"1"), "then") == []
    assert changed_names(module(b"1"), module(b"2"), "then") == [Stale("x", "In [3], line 1", "changed", "then")]
    source = "# In [1], line 1\nclass A: pass\n\nA.f = _captured('A.f')\n"
    modules = [Module(source, (Captured("A.f", data, "In [2], line 1"),)) for data in (b"1", b"2")]
    assert changed_names(*modules, "then") == [Stale("A", "In [2], line 1", "changed", "then")]


def test_what_works_on_a_name_counts_as_its_definition():
    before = Module("# In [1], line 1\nenv = E()\n\n# In [2], line 1\nenv.add_dependency(a)\n")
    now = Module(before.source.replace("(a)", "(b)"))
    assert [str(change) for change in changed_names(before, now, "")] == ["env (In [2], line 1) changed"]


def test_files_are_compared_by_digest():
    changes = changed_files({"a": "1", "b": "1", "gone": "1"}, {"b": "2", "a": "1", "c": "1"}, "the deployment")
    assert [str(change) for change in changes] == ["b changed since the deployment", "c is new since the deployment"]
