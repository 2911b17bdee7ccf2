import pytest
from flyte_nb.notebook.cells import Cell, CellLog, statements


def logged(*sources, log=None, **options):
    log = log or CellLog()
    for number, source in enumerate(sources, start=1):
        log.record(Cell(source, number), **options)
    return log


def texts(source, until=None):
    return [statement.source for statement in statements(Cell(source, 1), until)]


def test_statements_keep_their_text_and_line():
    source = "x = 1  # why\n\n\n@dec(\n    1,\n)\ndef f():\n    return x\n# after\n"
    first, second = statements(Cell(source, 4))
    assert (first.source, first.line, first.end, first.label) == ("x = 1  # why", 1, 1, "In [4], line 1")
    assert (second.line, second.end) == (4, 8)
    assert second.source == "@dec(\n    1,\n)\ndef f():\n    return x"


def test_statements_that_share_a_line_are_cut_apart():
    assert texts("a = 1; b = 'ü'; c = (2,\n 3)  # end\n") == ["a = 1", "b = 'ü'", "c = (2,\n 3)"]
    assert texts("a = 1; \\\n  b = 2") == ["a = 1", "b = 2"]


@pytest.mark.parametrize("odd", ["\x0c", "\u2028", "\x1c", "\x85"])
def test_lines_are_those_of_python(odd):
    first, second = statements(Cell(f"a = '''x{odd}y'''\nb = 2\n", 1))
    assert (first.source, second.source, second.line) == (f"a = '''x{odd}y'''", "b = 2", 2)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end(end):
    assert texts(f"a = 1{end}def f():{end} return a{end}") == ["a = 1", f"def f():{end} return a"]


@pytest.mark.parametrize("source", ["a = (", "def", "x = '\0'", "  x = 1"])
def test_a_cell_that_is_no_python_has_no_statements(source):
    assert texts(source) == []


def test_async_at_the_top_level():
    assert texts("x = await f()\nasync with a as b:\n    pass\n") == ["x = await f()", "async with a as b:\n    pass"]


@pytest.mark.parametrize(("until", "kept"), [(0, 0), (1, 0), (2, 1), (4, 1), (5, 2), (None, 3)])
def test_what_ran_before_the_line_that_failed_counts(until, kept):
    assert texts("a = 1\nb = (\n 2,\n)\nc = 3", until) == ["a = 1", "b = (\n 2,\n)", "c = 3"][:kept]


def test_the_latest_statement_of_a_name_wins():
    log = logged("x = 1\ny = 2", "x = 3")
    assert (log.latest("x").source, log.latest("y").source) == ("x = 3", "y = 2")
    assert "x" in log
    assert "z" not in log
    assert list(log) == ["x", "y"]
    assert log.latest("z") is None


def test_a_failed_cell_leaves_the_names_it_did_not_reach():
    log = logged("x = 1\ny = 1")
    log.record(Cell("x = 2\ny = 1 / 0", 2), until=2)
    assert (log.latest("x").source, log.latest("y").source) == ("x = 2", "y = 1")


def test_del_forgets_and_a_new_binding_remembers():
    log = logged("x = 1", "del x")
    assert "x" not in log
    logged("x = 2", log=log)
    assert log.latest("x").source == "x = 2"


def test_only_some_statements():
    log = logged("x = 1\ny = 2", only=lambda statement: "y" in statement.names.binds)
    assert list(log) == ["y"]


def test_a_bare_annotation_binds_nothing():
    assert logged("x = 1", "x: int").latest("x").source == "x = 1"


def test_modules_of_one_package_are_kept_together():
    log = logged("import os.path", "import os", "import os.path as p", "import os.path")
    assert [s.source for s in log.importing("os")] == ["import os", "import os.path"]
    assert [s.source for s in log.importing("p")] == ["import os.path as p"]
    logged("os = 3", log=log)
    assert log.importing("os") == []
    logged("from posix import path as os", "import os.path", log=log)
    assert [s.source for s in log.importing("os")] == ["import os.path"]
    logged("del os", log=log)
    assert log.importing("os") == []


def test_future_features_hold_from_then_on():
    log = logged("def f(x: A): pass", "from __future__ import annotations\ndef g(x: A): pass", "def h(x: A): pass")
    assert log.futures == {"annotations"}
    assert [bool(log.latest(n).names.hints) for n in "fgh"] == [False, True, True]


def configuring(log, name, statement=None):
    return [c.statement.source for c in log.configuring(statement or log.latest(name), name)]


def test_statements_that_configure_a_declaration():
    known = {"configurable": lambda name: name == "env"}
    log = logged("env = make()\nother = make()", "env.go(1)", "env.go(1)", "other.go(1)", "env.go(2)", **known)
    first = log.latest("env")
    assert configuring(log, "env") == ["env.go(1)", "env.go(2)"]
    assert configuring(log, "other") == []
    logged("env = make()", "env.go(3)", log=log, **known)
    assert configuring(log, "env") == ["env.go(3)"]
    assert len(configuring(log, "env", first)) == 2


def test_what_ran_again_or_replaces_counts_where_it_ran_last():
    log = logged("class A: pass", "A.x = 1\nA.y = 2", "A.x = 3", "setattr(A, 'y', 4)", "A.x = 3")
    assert configuring(log, "A") == ["setattr(A, 'y', 4)", "A.x = 3"]
    logged("del A.x", log=log)
    assert configuring(log, "A")[1:] == ["A.x = 3", "del A.x"]
    logged("A.x = 5", log=log)
    assert configuring(log, "A")[1:] == ["A.x = 5"]


def test_what_only_uses_an_object_does_not_configure_it():
    assert configuring(logged("a = make()", "a.run()", "a.show()", "print(a)", "b = a.add(1)"), "a") == []


def test_configuring_what_no_cell_bound_is_nothing():
    logged("env.add(1)", configurable=lambda name: True)


def test_what_declared_a_name():
    log = logged("a = Env('one')\nb = Env(\n 'two')", declared=[("one", 1), ("two", 3), ("three", 9)])
    assert log.declaring("one").source == "a = Env('one')"
    assert log.declaring("two").line == 2
    assert log.declaring("three") is None
    assert log.declared_by(log.declaring("one")) == ["one"]


def test_declared_again_elsewhere():
    log = logged("a = Env('one')", declared=[("one", 1)])
    old = log.declaring("one")
    log.record(Cell("b = Env('one')", 2), declared=[("one", 1)])
    assert log.declared_by(old) == []
    assert log.declared_by(log.declaring("one")) == ["one"]


def test_the_statement_of_a_shared_line_that_declared_is_found():
    line = "import m as _m; env = _m.Env('my-env'); task = env.task; f = env.task(g)"
    log = logged(line, declared=[("my-env", 1), ("my-env.f", 1)])
    assert log.declaring("my-env").source == "env = _m.Env('my-env')"
    assert log.declaring("my-env.f").source == "f = env.task(g)"
    log = logged("name = 'x'; env = Env(name); other = 3", declared=[("x-y", 1)])
    assert log.declaring("x-y").source == "env = Env(name)"


def test_twenty_thousand_declarations():
    log = CellLog()
    for number in range(200):
        source = "".join(f"e{number}_{i} = Env('n{number}-{i}')\n" for i in range(20))
        log.record(Cell(source, number), declared=[(f"n{number}-{i}", i + 1) for i in range(20)])
    for name in list(log):
        assert len(log.declared_by(log.latest(name))) == 1


def test_a_cell_that_runs_a_thousand_times_is_held_once():
    log = CellLog()
    for number in range(1000):
        source = "env = Env('one')\nenv.add(1)\nclass A: pass\nA.x = 1"
        log.record(Cell(source, number), configurable=lambda name: name == "env", declared=[("one", 1)])
    assert (len(log._configures), len(log._declared_by)) == (2, 1)
