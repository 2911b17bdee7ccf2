"""Registrations and changes to objects that other statements defined travel with what they configure."""

import functools
import sys

import pytest
from flyte_nb.errors import SliceError

IMPORT = "import flyte_nb as flyte"


def order_of(module, *parts):
    places = [module.source.index(part) for part in parts]
    return places == sorted(places)


def test_implementations_of_a_single_dispatch_function(kernel, load):
    kernel.cell("import functools\n@functools.singledispatch\ndef show(x): return 'any'")
    kernel.cell("@show.register\ndef _(x: int): return 'int'")
    kernel.cell("@show.register\ndef _(x: str): return 'str'")
    kernel.cell("@show.register(list)\ndef show_list(x): return helper(x)\ndef helper(x): return 'list'")
    main = load(kernel.slice("show"))
    assert [main.show(x) for x in (1.5, 1, "a", [])] == ["any", "int", "str", "list"]


def test_an_implementation_that_was_written_again_replaces(kernel, load):
    kernel.cell("import functools\n@functools.singledispatch\ndef show(x): return 'any'")
    kernel.cell("@show.register\ndef _(x: int): return 1")
    kernel.cell("@show.register\ndef _(x: int): return 2")
    module = kernel.slice("show")
    assert module.source.count("@show.register") == 1
    assert load(module).show(1) == 2


def test_a_function_registered_by_a_call(kernel, load):
    kernel.cell("import functools\n@functools.singledispatch\ndef show(x): return 'any'")
    kernel.cell("def as_int(x): return 'int'\nshow.register(int, as_int)")
    assert load(kernel.slice("show")).show(1) == "int"


@pytest.mark.parametrize(
    "change",
    ["A.area = area", "setattr(A, 'area', area)", "for one in (area,):\n    setattr(A, one.__name__, one)",
     "vars_of = {'area': area}\nfor n, v in vars_of.items(): setattr(A, n, v)"],
)  # fmt: skip
def test_methods_patched_onto_a_class(kernel, load, change):
    kernel.cell("class A:\n    side = 2")
    kernel.cell("def area(self): return self.side * factor\nfactor = 3")
    kernel.cell(change)
    module = kernel.slice("A")
    assert order_of(module, "class A", "def area", "area")
    assert load(module).A().area() == 6


def test_a_method_that_replaces_one_of_the_body(kernel, load):
    kernel.cell("class A:\n    def f(self): return 1\n    def g(self): return 1")
    kernel.cell("A.f = lambda self: 2")
    kernel.cell("del A.g")
    main = load(kernel.slice("A"))
    assert main.A().f() == 2
    assert not hasattr(main.A, "g")


def test_the_latest_patch_counts(kernel, load):
    kernel.cell("class A: pass\nA.x = 1")
    kernel.cell("A.x = 2")
    kernel.cell("A.y = 1")
    module = kernel.slice("A")
    assert "A.x = 1" not in module.source
    assert load(module).A.x == 2


def test_a_class_that_was_defined_again_has_lost_its_patches(kernel, load):
    kernel.cell("class A: pass", key="a")
    kernel.cell("A.x = 1")
    kernel.cell("class A:\n    y = 1", key="a")
    assert "A.x" not in kernel.slice("A").source


def test_a_method_made_by_code_that_is_not_a_definition(kernel, load):
    kernel.cell("class A: pass\nfor i in range(2):\n    setattr(A, f'get_{i}', lambda self, i=i: i)")
    main = load(kernel.slice("A"))
    assert (main.A().get_0(), main.A().get_1()) == (0, 1)


def test_a_decorator_of_the_notebook_that_patches(kernel, load):
    kernel.cell("def patch(f):\n    setattr(f.__annotations__['self'], f.__name__, f)\n    return f")
    kernel.cell("class A: pass")
    kernel.cell("@patch\ndef hello(self: A): return 'hi'")
    assert load(kernel.slice("A")).A().hello() == "hi"


def test_decorated_classes_get_their_methods_from_the_decorator(kernel, load):
    kernel.cell("import dataclasses\ndef more(cls):\n    cls.twice = lambda self: self.x * 2\n    return cls")
    kernel.cell("@more\n@dataclasses.dataclass\nclass A:\n    x: int")
    module = kernel.slice("A")
    assert module.captured == ()
    assert load(module).A(2).twice() == 4


def test_virtual_subclasses(kernel, load):
    kernel.cell("import abc\nclass Shape(abc.ABC): pass")
    kernel.cell("class Square: pass\nShape.register(Square)\n@Shape.register\nclass Circle: pass")
    main = load(kernel.slice("Shape"))
    assert issubclass(main.Square, main.Shape)
    assert issubclass(main.Circle, main.Shape)


def test_a_registration_waits_for_what_it_names(kernel, load):
    kernel.cell("class Base:\n    known = []\n    @classmethod\n    def register(cls, one): cls.known.append(one)")
    kernel.cell("class One(Base): pass\nBase.register(One)")
    for wanted in ("Base", "One"):
        main = load(kernel.slice(wanted))
        assert main.Base.known == [main.One]


def test_a_registry_of_the_standard_library(kernel, load):
    kernel.cell("import copyreg\nclass A: pass\ndef reduce(a): return A, ()\ncopyreg.pickle(A, reduce)")
    kernel.cell("import codecs\ndef find(name): return None\ncodecs.register(find)")
    assert "codecs.register(find)" in kernel.slice("find").source


def test_a_call_that_only_uses_an_object_is_left_out(kernel):
    kernel.cell("class A:\n    def run(self): return 1\n    @classmethod\n    def train(cls): pass\ndef f(): return A")
    kernel.cell("A.train()\nA().run()\nf.cache = {}\nf()")
    source = kernel.slice("f").source
    assert "A.train()" not in source
    assert "A().run()" not in source
    assert "f.cache = {}" in source


ROUTER = """
class Router:
    def __init__(self): self.routes = {}
    def get(self, path):
        def keep(f):
            self.routes[path] = f
            return f
        return keep
    def add(self, path, f): self.routes[path] = f
    def run(self): raise RuntimeError("served")
"""


def test_an_object_that_decorators_fill(kernel, load):
    kernel.cell(ROUTER + "app = Router()")
    kernel.cell("@app.get('/')\ndef index(): return greet('x')\ndef greet(n): return 'hi ' + n")
    kernel.cell("def more(): return 'more'\napp.add('/more', more)")
    kernel.cell("try:\n    app.run()\nexcept RuntimeError: pass")
    module = kernel.slice("app")
    assert module.captured == ()
    assert {path: f() for path, f in load(module).app.routes.items()} == {"/": "hi x", "/more": "more"}


def test_a_route_that_was_written_again(kernel, load):
    kernel.cell(ROUTER + "app = Router()")
    kernel.cell("@app.get('/')\ndef index(): return 1")
    kernel.cell("@app.get('/')\ndef index(): return 2")
    module = kernel.slice("app")
    assert module.source.count("@app.get") == 1
    assert load(module).app.routes["/"]() == 2


def test_what_fills_an_object_needs_no_decorator_to_be_captured(kernel, load):
    kernel.cell(ROUTER + "app = Router()\napp.add('/', str)")
    module = kernel.slice("app")
    assert [value.name for value in module.captured] == ["app"]
    assert load(module).app.routes == {"/": str}


def test_what_is_registered_with_the_shell_stays_there(kernel):
    kernel.namespace["get_ipython"] = lambda: type("Shell", (), {"register_magic_function": print})
    kernel.cell("ip = get_ipython()\ndef magic(line): return line\nip.register_magic_function(magic)")
    kernel.cell("get_ipython().register_magic_function(magic)")
    assert "register_magic_function" not in kernel.slice("magic", "ip").source


def test_hooks_of_an_app(kernel, load):
    kernel.cell(f"{IMPORT}\nimport flyte_nb.app\napp = flyte.app.AppEnvironment('web', image='python:3.11', args='x')")
    kernel.cell("@app.on_startup\ndef start(): return ready\nready = 3")
    kernel.cell("@app.on_shutdown\nasync def stop(): pass")
    main = load(kernel.slice(environments=[kernel.registry.find("web")]))
    assert main.app._on_startup() == 3
    assert main.app._on_shutdown is main.stop


def test_tasks_are_no_hooks(kernel):
    kernel.cell(f"{IMPORT}\nenv = flyte.TaskEnvironment('a')\n@env.task\ndef f() -> int: return 1")
    kernel.cell("@env.task\ndef g() -> int: return 2")
    assert "def g" not in kernel.task("a.f").source


def test_a_plugin_is_registered_before_a_task_that_has_its_configuration(kernel, load):
    kernel.cell(
        f"{IMPORT}\nimport dataclasses\nfrom flyte_nb.extend import AsyncFunctionTaskTemplate, TaskPluginRegistry\n"
        "@dataclasses.dataclass\nclass Spark:\n    workers: int\nclass SparkTask(AsyncFunctionTaskTemplate): pass"
    )
    kernel.cell("TaskPluginRegistry.register(Spark, SparkTask)")
    kernel.cell("env = flyte.TaskEnvironment('a', plugin_config=Spark(2))\n@env.task\ndef f() -> int: return 1")
    module = kernel.task("a.f")
    assert order_of(module, "class Spark", "TaskPluginRegistry.register(Spark, SparkTask)", "env = ", "def f")
    main = load(module)
    assert isinstance(main.f, main.SparkTask)


# --- what runs as the module is loaded needs what it reads ---


def test_a_decorator_that_reads_a_global_when_it_runs(kernel, load):
    kernel.cell("def dec(f):\n    names.append(f.__name__)\n    return f\nnames = []\nother = 1")
    kernel.cell("@dec\ndef f(): return names")
    assert load(kernel.slice("f")).f() == ["f", "f"]  # captured with what it held, then run again


def test_a_default_that_calls_a_function(kernel, load):
    kernel.cell("def size(): return half() * 2\ndef half(): return limit\nlimit = 4")
    kernel.cell("def f(n=size()): return n")
    assert load(kernel.slice("f")).f() == 8


def test_a_base_class_that_reads_a_global_when_it_is_extended(kernel, load):
    kernel.cell("class Base:\n    def __init_subclass__(cls): cls.tag = make(cls)\ndef make(cls): return cls.__name__")
    kernel.cell("class Leaf(Base): pass")
    assert load(kernel.slice("Leaf")).Leaf.tag == "Leaf"


def test_functions_that_call_each_other_and_decorate(kernel, load):
    kernel.cell(
        "import functools\ndef dec(f):\n    @functools.wraps(f)\n    def g(*a): return f(*a) + extra()\n    return g"
    )
    kernel.cell("def extra(): return 0 if True else even(1)")
    kernel.cell(
        "@dec\ndef even(n): return 1 if n == 0 else odd(n - 1)\n@dec\ndef odd(n): return 0 if n == 0 else even(n - 1)"
    )
    for name in ("even", "odd", "extra"):
        assert load(kernel.slice(name, "even")).even(4) == 1


def test_closures_travel_with_what_they_hold(kernel, load):
    kernel.cell(
        "def counter():\n    n = 0\n    def step():\n        nonlocal n\n        n += by\n"
        "        return n\n    return step"
    )
    kernel.cell("by = 2\nstep = counter()\nstep(); step()")
    module = kernel.slice("step")
    assert [value.name for value in module.captured] == ["step"]
    assert load(module).step() == 6


# --- circles ---


def test_values_that_read_each_other(kernel, load):
    kernel.cell("a = [1]", key="a")
    kernel.cell("b = a")
    kernel.cell("a = b", key="a")
    for wanted in ("a", "b"):
        main = load(kernel.slice(wanted))
        assert main.a == main.b == [1]


def test_functions_that_need_each_other_to_be_defined(kernel):
    kernel.cell("def f(): pass", key="f")
    kernel.cell("class A:\n    x = f")
    kernel.cell("def f(x=A): pass", key="f")
    with pytest.raises(SliceError, match=r"In \[2\], line 1 reads 'f' of In \[3\], line 1 .*neither can come first"):
        kernel.slice("f")


def test_a_circle_of_values_over_three_cells(kernel, load):
    kernel.cell("a = 1\nb = a\nc = b")
    kernel.cell("a = c")
    assert load(kernel.slice("b")).b == 1


# --- branches ---


@pytest.mark.parametrize(
    "source",
    [
        "flag = True\nif flag:\n    x = 1\nelse:\n    x = 2\nflag = False",
        "flag = True\nif flag:\n    def x(): return 1\nelse:\n    def x(): return 2\nflag = False",
    ],
)
def test_a_branch_that_would_be_another_one_now(kernel, load, source):
    kernel.cell(source)
    main = load(kernel.slice("x"))
    assert (main.x if isinstance(main.x, int) else main.x()) == 1


def test_a_name_bound_in_two_branches(kernel, load):
    kernel.cell(
        "import sys\nif sys.maxsize > 1:\n    def f(): return 1\nelse:\n    def f(): return 2\n    def only(): pass"
    )
    module = kernel.slice("f")
    assert module.captured == ()
    assert load(module).f() == 1


def test_a_name_that_only_the_other_branch_binds(kernel):
    kernel.cell("if True:\n    def f(): return 1\nelse:\n    def other(): return 2")
    kernel.cell("def g(): return other()")
    with pytest.raises(SliceError, match="'other'"):
        kernel.slice("g")


# --- odd things ---


def test_a_function_made_by_exec(kernel, load):
    kernel.cell("limit = 3\nexec('def made(x): return x + limit')")
    module = kernel.slice("made")
    assert module.captured[0].label == "the kernel"
    assert load(module).made(1) == 4


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("x = (i for i in range(3))", "generator"),
        ("x = open('/dev/null')", "open file"),
        ("x = open('/dev/null', 'wb')", "open file"),
        ("import socket\nx = socket.socket()", "socket"),
        ("import threading\nx = threading.Thread(target=print)", "Thread"),
        ("import sqlite3\nx = sqlite3.connect(':memory:')", "sqlite3"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_cannot_travel_says_so(kernel, source, word):
    kernel.cell(source)
    kernel.cell("def f(): return x")
    with pytest.raises(
        SliceError, match=r"variable 'x' of In \[1\], line \d .*cannot leave the kernel: .*Make it inside"
    ) as e:
        kernel.slice("f")
    assert word in str(e.value)
    getattr(kernel.namespace["x"], "close", int)()


def test_a_lambda_in_a_list(kernel, load):
    kernel.cell("k = 2\nfs = [lambda x: x + k, len]")
    main = load(kernel.slice("fs"))
    assert main.fs[0](1) == 3


def test_a_partial_function(kernel, load):
    kernel.cell("import functools\ndef add(a, b): return a + b\nplus = functools.partial(add, 1)")
    main = load(kernel.slice("plus"))
    assert isinstance(main.plus, functools.partial)
    assert main.plus.func is main.add


def test_a_name_that_was_never_bound_in_a_decorator(kernel):
    kernel.cell("def f(): return 1")
    kernel.namespace["f"].__globals__.pop("g", None)
    kernel.cell("def g(): return heper()\ndef helper(): pass")
    with pytest.raises(SliceError, match="did you mean 'helper'"):
        kernel.slice("g")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="except* is new in Python 3.11")
def test_groups_of_exceptions(kernel, load):
    kernel.cell(
        "def f():\n    try:\n        raise ExceptionGroup('g', [ValueError(bad)])\n"
        "    except* ValueError as e:\n        got = e\n    return got\nbad = 1"
    )
    assert load(kernel.slice("f")).f().exceptions[0].args == (1,)
