import ast
import importlib
import itertools
import re
import sys
import textwrap

import pytest
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import SliceError
from flyte_nb.notebook.module import locate

IMPORT = "import flyte_nb as flyte"


def without_marks(module):
    return re.sub(r"# In \[\d+\], line \d+\n", "", module.source)


def order_of(module, *parts):
    places = [module.source.index(part) for part in parts]
    return places == sorted(places)


# --- what is taken ---


def test_only_what_is_needed_is_taken(kernel, load):
    kernel.cell("import os, json as j\nunused = 1\nlimit = 3")
    kernel.cell("def helper(x):\n    return j.dumps(x * limit)\nprint('side effect')\ndef f(x):\n    return helper(x)")
    module = kernel.slice("f")
    assert "import json as j" in module.source
    assert not any(word in module.source for word in ("unused", "side effect", "import os"))
    assert load(module).f(2) == "6"
    assert module.captured == ()


def test_the_latest_definition_counts(kernel, load):
    kernel.cell("def g(): return 1\ndef f(): return g()")
    kernel.cell("def g(): return 2")
    assert load(kernel.slice("f")).f() == 2


def test_each_comes_before_what_reads_it_at_once(kernel, load):
    kernel.cell("class Base: size = 2\nfactor = 3\ndef dec(f): return f")
    kernel.cell("class Child(Base):\n    other = factor\n@dec\ndef f(x=factor): return Child.size * x")
    module = kernel.slice("f")
    assert order_of(module, "def dec", "factor = 3", "def f", "class Base", "class Child")
    assert load(module).f() == 6


def test_mutual_recursion(kernel, load):
    kernel.cell("def even(n): return n == 0 or odd(n - 1)")
    kernel.cell("def odd(n): return n != 0 and even(n - 1)")
    module = kernel.slice("even")
    assert load(module).even(10)
    assert module.source.count("def odd") == 1


CELLS = ("A = 1", "def f(): return g() + A", "def g(): return A")


@pytest.mark.parametrize("cells", list(itertools.permutations(CELLS)))
def test_the_order_of_cells_does_not_change_a_byte(kernel, cells):
    for cell in cells:
        kernel.cell(cell)
    kernel.cell("def unrelated(): return 0")
    assert without_marks(kernel.slice("f", "g")) == textwrap.dedent('''\
        """Definitions of a notebook, as its cells ran."""



        def f(): return g() + A


        def g(): return A


        A = 1
        ''')


def test_running_a_cell_again_changes_no_digest(kernel):
    kernel.cell(f"{IMPORT}\nenv = flyte.TaskEnvironment('e')")
    kernel.cell("@env.task\ndef f(x: int) -> int: return x", key="c")
    before = kernel.task("e.f")
    kernel.cell("@env.task\ndef f(x: int) -> int: return x", key="c")
    after = kernel.task("e.f")
    assert before.digest == after.digest
    assert before.source != after.source


def test_marks_say_where_each_statement_is_from(kernel):
    kernel.cell("x = 1\n\ndef f():\n    return 1 / 0")
    kernel.cell("def g():\n    # two\n    return f()")
    module = kernel.slice("g")
    lines = module.source.split("\n")
    assert locate(module.source, lines.index("    return 1 / 0") + 1) == ("In [1]", 4)
    assert locate(module.source, lines.index("    return f()") + 1) == ("In [2]", 3)
    assert locate(module.source, 1) is None


def test_the_module_is_python_whatever_the_text(kernel, load):
    kernel.cell("a = 'ü'; b = '''x\x0c\u2028\n# In [9], line 1\ny'''; c = 1  # end\ndef f(): return a, b, c")
    assert load(kernel.slice("f")).f() == ("ü", "x\x0c\u2028\n# In [9], line 1\ny", 1)


# --- imports ---


def test_imports_come_first_and_alone(kernel):
    kernel.cell("from __future__ import annotations\nfrom os import path as p, sep\nimport zlib, json")
    kernel.cell("def f(): return p, json")
    assert re.findall(r"^(?:from|import).*", kernel.slice("f").source, re.M) == [
        "from __future__ import annotations",
        "import json",
        "from os import path as p",
    ]


def test_every_module_of_a_package_is_imported(kernel):
    kernel.cell("import xml.dom.minidom")
    kernel.cell("import xml.sax")
    kernel.cell("def f(): return xml.dom.minidom, xml.sax")
    assert "import xml.dom.minidom\nimport xml.sax\n" in kernel.slice("f").source


def test_an_import_does_not_bring_back_what_another_one_bound_since(kernel, load):
    kernel.cell("from os.path import join, sep")
    kernel.cell("from posixpath import dirname as join")
    kernel.cell("def f(): return join('a/b'), sep")
    assert load(kernel.slice("f")).f() == ("a", "/")


def test_star_imports(kernel, load):
    kernel.cell("from string import *\nfrom os.path import *")
    kernel.cell("def f(): return digits, join('a', 'b')")
    module = kernel.slice("f")
    assert "*" not in module.source
    assert load(module).f() == ("0123456789", "a/b")


def test_postponed_annotations_stay_postponed(kernel, load):
    kernel.cell("from __future__ import annotations")
    kernel.cell("class Node:\n    next: Node | None = None\n    def link(self, to: Undefined) -> Node: return to")
    assert load(kernel.slice("Node")).Node.__annotations__ == {"next": "Node | None"}


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import no_such_module as fast\nexcept ImportError:\n    fast = None",
        "import sys\nif sys.version_info > (3, 99):\n    import no_such as fast\nelse:\n    fast = None",
        "try:\n    from no_such import fast\nexcept ImportError:\n    def fast(): return None",
    ],
)
def test_guarded_definitions(kernel, load, source):
    kernel.cell(source)
    kernel.cell("def f(): return fast and fast()")
    module = kernel.slice("f")
    assert module.captured == ()
    assert load(module).f() is None


def test_a_guarded_statement_with_side_effects_is_captured(kernel, load):
    kernel.cell("if True:\n    print('side effect')\n    x = [1]")
    kernel.cell("def f(): return x")
    module = kernel.slice("f")
    assert "side effect" not in module.source
    assert load(module).f() == [1]


# --- values ---


@pytest.mark.parametrize(
    "source",
    ["x = [1, 2]", "x = {'a': (1, None)}", "x: dict[str, int] = {'a': 1}", "x = y = 'a'", "x, z = 1, 2", "x = -1.5e3"],
)
def test_a_constant_is_a_definition(kernel, load, source):
    kernel.cell(source)
    module = kernel.slice("x")
    assert source in module.source
    assert module.captured == ()
    assert load(module).x == kernel.namespace["x"]


@pytest.mark.parametrize(
    "change",
    ["x.append(3)", "x[0] = True", "x[0] = 1.0", "x += [3]", "exec('x = 5')", "x.clear()"],
)
def test_a_constant_that_changed_travels_with_its_live_value(kernel, load, change):
    kernel.cell("x = [1, 2]")
    kernel.cell(change)
    module = kernel.slice("x")
    assert [captured.name for captured in module.captured] == ["x"]
    assert repr(load(module).x) == repr(kernel.namespace["x"])


@pytest.mark.parametrize(
    "source",
    [
        "x = sum([1, 2])",
        "x = [i for i in range(3)]",
        "for x in range(3): pass",
        "with open(__import__('os').devnull) as handle: x = 3",
        "print(x := 10)",
        "[x := i for i in range(3)]",
        "x = 1\nx = x + 1",
        "x = 1\nx += 1",
        "try:\n    x = int('a')\nexcept ValueError:\n    x = len('abc')",
    ],
)
def test_what_was_computed_is_captured(kernel, load, source):
    kernel.cell(source)
    module = kernel.slice("x")
    assert [captured.name for captured in module.captured] == ["x"]
    assert "print" not in module.source
    assert load(module).x == kernel.namespace["x"]


def test_a_statement_that_binds_several_names(kernel, load):
    kernel.cell("a, b = 1, [2]\ndef f(): return a, b")
    assert "a, b = 1, [2]" in kernel.slice("f").source
    kernel.cell("b = 5")
    assert load(kernel.slice("f")).f() == (1, 5)


def test_a_function_that_wraps_the_former_one_of_its_name(kernel, load):
    kernel.cell("def f(): return 1")
    kernel.cell("old = f")
    kernel.cell("def f(): return old() + 1")
    assert load(kernel.slice("f")).f() == 2


def test_a_name_bound_to_a_wrapper_of_itself(kernel, load):
    kernel.cell("import functools\ndef f(x): return x + 1")
    kernel.cell("f = functools.lru_cache(maxsize=3)(f)")
    module = load(kernel.slice("f"))
    assert module.f(1) == 2
    assert module.f.cache_parameters()["maxsize"] == 3


def test_a_class_that_extends_the_former_one_of_its_name(kernel, load):
    kernel.cell("class A:\n    x = 1")
    kernel.cell("class A(A):\n    y = 2")
    made = load(kernel.slice("A")).A
    assert (made.x, made.y) == (1, 2)


def test_classes_travel_by_reference(kernel, load):
    kernel.cell("class Point:\n    def __init__(self, x): self.x = x")
    kernel.cell("points = [Point(1), Point(2)]\ndef f(): return [p.x for p in points if isinstance(p, Point)]")
    module = kernel.slice("f")
    assert order_of(module, "class Point", "points = _captured")
    assert load(module).f() == [1, 2]


@pytest.mark.parametrize(
    "source",
    [
        "import typing\nT = typing.TypeVar('T')",
        "import typing\nT = typing.NewType('T', int)",
        "import collections\nT = collections.namedtuple('T', 'a b')",
        "import enum\nT = enum.Enum('T', 'RED')",
        "T = lambda x: x",
    ],
)
def test_definitions_by_a_call(kernel, load, source):
    kernel.cell(source)
    kernel.cell("def f(x: T) -> T: return T")
    module = kernel.slice("f")
    assert module.captured == ()
    assert load(module).f(1).__name__ == kernel.namespace["T"].__name__


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement is new in Python 3.12")
def test_type_aliases(kernel, load):
    kernel.cell("class Row: pass\ntype Rows = list[Row]\ndef f(x: Rows) -> None: return Rows")
    assert "type Rows" in kernel.slice("f").source
    main = load(kernel.slice("f"))
    assert main.f(1).__value__ == list[main.Row]


def test_modules_got_by_a_call_are_imported(kernel, load):
    kernel.cell("import importlib\nxml = importlib.import_module('xml.sax')")
    assert "import xml.sax as xml" in kernel.slice("xml").source
    assert load(kernel.slice("xml")).xml is importlib.import_module("xml.sax")


def test_a_global_that_a_function_sets_itself_need_not_exist(kernel, load):
    kernel.cell("def f():\n    global cache\n    cache = 1\n    return cache")
    assert load(kernel.slice("f")).f() == 1


def test_hints_that_nobody_bound_are_no_error(kernel, load):
    kernel.cell(
        "from typing import Literal\ndef f(mode: Literal['fast', 'slow'], x: 'Nowhere' = 1) -> 'Later': return mode"
    )
    assert load(kernel.slice("f")).f("fast") == "fast"


def test_hints_come_along_but_never_before_a_base_class(kernel, load):
    kernel.cell("class Node:\n    def first(self) -> 'Leaf': return Leaf()")
    kernel.cell("class Leaf(Node): pass")
    for name in ("Node", "Leaf"):
        main = load(kernel.slice(name))
        assert isinstance(main.Node().first(), main.Node)


# --- names that no cell bound ---


def test_builtins_and_module_names_are_left_alone(kernel, load):
    kernel.namespace["__builtins__"] = __builtins__
    kernel.cell("def f(): return len([]), __name__, __file__, __doc__, exit")
    assert kernel.slice("f").captured == ()
    assert load(kernel.slice("f")).f()[:2] == (0, "__main__")


def test_what_ipython_puts_in_the_place_of_builtins(kernel):
    shell = pytest.importorskip("IPython.core.interactiveshell")
    kernel.namespace["open"] = getattr(shell, "_modified_open", open)
    kernel.namespace["exit"] = pytest.importorskip("IPython.core.autocall").ExitAutocall()
    kernel.cell("def f(): return open, exit")
    assert kernel.slice("f").captured == ()


def test_a_builtin_that_was_replaced_is_captured(kernel, load):
    kernel.namespace["input"] = ["mine"]
    kernel.cell("def f(): return input")
    assert load(kernel.slice("f")).f() == ["mine"]


def test_names_of_ipython_are_imported(kernel):
    kernel.namespace["display"] = kernel.namespace["get_ipython"] = lambda: None
    kernel.cell("def f(): return display, get_ipython")
    source = kernel.slice("f").source
    assert "from IPython.display import display" in source
    assert "from IPython import get_ipython" in source


def test_the_shell_itself_is_asked_for_again(kernel):
    kernel.namespace["get_ipython"] = lambda: kernel
    kernel.cell("ip = get_ipython()\ndef f(): return ip")
    module = kernel.slice("f")
    assert module.captured == ()
    assert "from IPython import get_ipython" in module.source
    assert "ip = get_ipython()" in module.source


def test_a_value_bound_some_other_way_is_captured(kernel, load):
    kernel.namespace["magic"] = {"a": 1}
    kernel.cell("def f(): return magic")
    module = kernel.slice("f")
    assert module.captured[0].label == "the kernel"
    assert load(module).f() == {"a": 1}


def test_a_name_that_nothing_bound_suggests_the_nearest(kernel):
    kernel.cell("threshold = 1\ndef f(): return treshold")
    with pytest.raises(SliceError, match=r"In \[1\], line 2 reads 'treshold', .*; did you mean 'threshold'\?"):
        kernel.slice("f")


def test_a_value_that_is_gone(kernel):
    kernel.cell("x = len('a')\ndef f(): return x")
    del kernel.namespace["x"]
    with pytest.raises(SliceError, match=r"'x' of In \[1\], line 1 no longer exists in the kernel; run its cell again"):
        kernel.slice("f")


def test_a_value_that_cannot_travel(kernel):
    kernel.cell("import threading\nlock = threading.Lock()\ndef f(): return lock")
    with pytest.raises(SliceError, match=r"'lock' of In \[1\], line 2 \(lock\) cannot leave the kernel: .*Make it"):
        kernel.slice("f")


def test_a_value_over_the_limit(kernel, monkeypatch):
    monkeypatch.setattr("flyte_nb.notebook.values.LIMIT", 2 * 1024 * 1024)
    kernel.cell("big = bytes(3 * 1024 * 1024)\ndef f(): return big")
    with pytest.raises(SliceError, match=r"'big' of In \[1\], line 1 is 3.0 MiB, over the limit of 2 MiB"):
        kernel.slice("f")


def test_failed_cells_do_not_count(kernel, load):
    kernel.cell("def f(): return 1")
    kernel.cell("helper = 3\n1 / 0\ndef f(): return 2", fails=True)
    assert load(kernel.slice("f", "helper")).f() == 1
    assert "helper = 3" in kernel.slice("helper").source


# --- environments and tasks ---

ENV = f"{IMPORT}\nenv = flyte.TaskEnvironment('a')\n"


def task_of(main, name):
    owners = [value for value in vars(main).values() if isinstance(value, TaskEnvironment) and name in value.tasks]
    return owners[0].tasks[name]


def test_a_task_brings_its_environment_and_what_configured_it(kernel, load):
    kernel.cell(ENV + "base = flyte.TaskEnvironment('base')\nenv.add_dependency(base)\nprint(env)")
    kernel.cell("@env.task\ndef f(x: int) -> int: return x + 1")
    module = kernel.task("a.f")
    assert "print" not in module.source
    main = load(module)
    assert [e.name for e in main.env.depends_on] == ["base"]
    assert main.f(1) == 2


def test_a_variable_bound_to_another_environment(kernel, load):
    kernel.cell(ENV + "@env.task\ndef f() -> str: return 'f'")
    kernel.cell("env = flyte.TaskEnvironment('b')\n@env.task\ndef g() -> str: return f()")
    for name in ("a.f", "b.g"):
        main = load(kernel.task(name))
        task = task_of(main, name)
        assert task.parent_env_name == name[0]
        assert task() == "f"
        assert main.f.name == "a.f"
    assert "env_a = flyte.TaskEnvironment('a')" in kernel.task("a.f").source


def test_all_of_them_in_one_module(kernel, load):
    kernel.cell(ENV + "@env.task\ndef f() -> str: return 'f'")
    kernel.cell("env = flyte.TaskEnvironment('b')\n@env.task\ndef g() -> str: return f()")
    found = kernel.registry
    main = load(kernel.slice(environments=found.values(), tasks=[found.find_task("f"), found.find_task("g")]))
    assert {main.env_a.name: list(main.env_a.tasks), main.env.name: list(main.env.tasks)} == {
        "a": ["a.f"],
        "b": ["b.g"],
    }


def test_the_new_name_of_a_variable_is_free(kernel, load):
    kernel.cell(ENV + "env_a = 3\n@env.task\ndef f() -> int: return env_a")
    kernel.cell("env = flyte.TaskEnvironment('b')")
    main = load(kernel.task("a.f"))
    assert main.f() == 3
    assert main.env_a_.name == "a"


def test_what_configured_the_former_environment_of_a_variable_is_kept(kernel, load):
    kernel.cell(
        ENV + "base = flyte.TaskEnvironment('base')\nenv.add_dependency(base)\n@env.task\ndef f() -> None: pass"
    )
    kernel.cell("env = flyte.TaskEnvironment('b')")
    assert [e.name for e in load(kernel.task("a.f")).env_a.depends_on] == ["base"]


def test_a_variable_that_was_deleted(kernel, load):
    kernel.cell(ENV + "@env.task\ndef f() -> int: return 1\ndel env")
    assert load(kernel.task("a.f")).f() == 1


@pytest.mark.parametrize("taken", ["task = 5", "del task", "env = 5", "del env", "task = 5\nenv = None"])
def test_a_variable_that_holds_something_else_by_now(kernel, load, taken):
    kernel.cell(ENV + "task = env.task\n@task\ndef f() -> int: return 1\n@env.task\ndef g() -> int: return f()")
    kernel.cell("@task(retries=1)\ndef h() -> int: return 3")
    kernel.cell(taken)
    assert load(kernel.task("a.f")).f() == 1
    assert load(kernel.task("a.g")).g() == 1
    assert load(kernel.task("a.h")).h() == 3


def test_a_decorator_below_other_names_is_left_alone(kernel, load):
    kernel.cell("import types, functools\n" + ENV + "held = types.SimpleNamespace(env=env)")
    kernel.cell("def mine(fn): return env.task(fn)\n@held.env.task\n@functools.cache\ndef f() -> int: return 1")
    kernel.cell("@mine\ndef g() -> int: return 2")
    assert load(kernel.task("a.f")).f() == 1
    assert load(kernel.task("a.g")).g() == 2


def test_two_tasks_of_one_function_name(kernel, load):
    kernel.cell(ENV + "other = flyte.TaskEnvironment('b')")
    kernel.cell("@env.task\ndef f() -> str: return 'a'")
    kernel.cell("@other.task\ndef f() -> str: return 'b'\n@env.task\ndef g() -> str: return f()")
    assert task_of(load(kernel.task("a.f")), "a.f")() == "a"
    assert task_of(load(kernel.task("b.f")), "b.f")() == "b"
    tasks = [kernel.registry.find_task(name) for name in ("a.f", "b.f", "a.g")]
    main = load(kernel.slice(tasks=tasks, environments=kernel.registry.values()))
    assert (task_of(main, "a.f")(), task_of(main, "b.f")(), main.f(), main.g()) == ("a", "b", "b", "b")


def test_a_former_task_calls_what_its_names_mean_now(kernel, load):
    kernel.cell(ENV + "other = flyte.TaskEnvironment('b')\n@env.task\ndef f(n: int) -> str: return f(0) if n else 'a'")
    kernel.cell("@other.task\ndef f(n: int) -> str: return 'b'")
    main = load(kernel.task("a.f"))
    assert task_of(main, "a.f").func(1) == kernel.registry.find_task("a.f").func(1) == "b"


def test_the_line_of_a_magic_declares_an_environment(kernel, load):
    line = "import flyte_nb as _flyte; env = _flyte.TaskEnvironment({!r}); task = env.task\n"
    kernel.cell(line.format("one") + "@task\ndef f() -> str: return 'f'")
    kernel.cell(line.format("two") + "@task\ndef g() -> str: return f()")
    for name in ("one.f", "two.g"):
        assert task_of(load(kernel.task(name)), name)() == "f"
    main = load(kernel.slice(environments=kernel.registry.values(), tasks=[kernel.registry.find_task("f")]))
    assert main.env.name == "two"
    assert list(main.env_one.tasks) == ["one.f"]


def test_an_environment_that_was_cloned(kernel, load):
    kernel.cell(ENV + "big = env.clone_with('big', interruptible=True)\n@big.task(retries=2)\ndef f() -> int: return 1")
    main = load(kernel.task("big.f"))
    assert main.big.interruptible
    assert main.f.retries.count == 2


def test_an_environment_declared_again_is_the_newest(kernel, load):
    kernel.cell(ENV, key="env")
    kernel.cell("@env.task\ndef f() -> int: return 1")
    kernel.cell(ENV.replace("'a'", "'a', description='new'"), key="env")
    assert load(kernel.task("a.f")).env.description == "new"


# --- size ---


def test_a_chain_of_definitions_deeper_than_the_stack(kernel):
    count = 5_000
    assert count > sys.getrecursionlimit()
    kernel.cell("def f0(): pass\n" + "".join(f"def f{i}(x=f{i - 1}): pass\n" for i in range(1, count)))
    module = kernel.slice(f"f{count - 1}")
    assert len(ast.parse(module.source).body) == count + 1


def test_many_constants(kernel):
    names = [f"n{i}" for i in range(3_000)]
    kernel.cell("\n".join(f"{name} = {i}" for i, name in enumerate(names)))
    kernel.slice(*names)
