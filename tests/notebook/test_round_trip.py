"""In a real kernel: classes of cells come back as themselves, and the module on disk is one that tools can read."""

import pytest

from kernels import new_kernel

CLASSES = """
import dataclasses, enum, typing, pydantic, inspect, pickle, traceback

@dataclasses.dataclass
class Point:
    x: int
    near: "list[Point]" = dataclasses.field(default_factory=list)
    colour: "Colour | None" = None

@dataclasses.dataclass(frozen=True, order=True)
class Frozen:
    n: int

class Colour(enum.Enum):
    RED = 1
    GREEN = 2

class Flag(enum.IntFlag):
    A = 1
    B = 2

class Pair(typing.NamedTuple):
    left: Point
    right: "Frozen"

class Model(pydantic.BaseModel):
    name: str
    parent: "Model | None" = None
    pairs: list[Frozen] = []

class Outer:
    class Inner:
        def __init__(self, n): self.n = n
        def __eq__(self, other): return isinstance(other, Outer.Inner) and self.n == other.n
        __hash__ = None

class Slotted:
    __slots__ = ("a",)
    def __init__(self, a): self.a = a
    def __eq__(self, other): return isinstance(other, Slotted) and self.a == other.a
    __hash__ = None

class Failure(Exception):
    def __init__(self, code, point):
        super().__init__(code, point)
        self.code, self.point = code, point

class Generic(typing.Generic[typing.TypeVar("T")]):
    pass
"""
VALUES = {
    "dataclass": "Point(1, [Point(2)], Colour.RED)",
    "frozen": "Frozen(3)",
    "enum": "Colour.GREEN",
    "flag": "Flag.A | Flag.B",
    "namedtuple": "Pair(Point(1), Frozen(2))",
    "pydantic": "Model(name='a', parent=Model(name='b'), pairs=[Frozen(1)])",
    "nested": "Outer.Inner(4)",
    "slots": "Slotted([1])",
    "containers": "{'a': [Point(1)], 'b': (Frozen(1), Colour.RED)}",
    "class": "Point",
    "function": "helper",
}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with new_kernel(tmp_path_factory.mktemp("trip")) as made:
        made.run(
            "%load_ext flyte_nb\nimport flyte_nb as flyte\nenv = flyte.TaskEnvironment('trip')\nfrom typing import Any"
        )
        made.run(CLASSES + "def helper(x): return x\n")
        made.run("@env.task\ndef same(x: Any) -> Any:\n    return [x, repr(type(x)), isinstance(x, type(x))]")
        made.run(
            "@env.task\ndef knows(x: Any) -> bool:\n"
            "    return isinstance(x, (Point, Frozen, Colour, Flag, Pair, Model, Outer.Inner, Slotted))"
        )
        yield made


@pytest.mark.parametrize("kind", list(VALUES))
def test_there_and_back(kernel, kind):
    kernel.run(f"value = {VALUES[kind]}\nback = flyte.run(same, value).outputs()[0][0]")
    assert kernel.value("(type(back) is type(value), back == value)") == "(True, True)"


@pytest.mark.parametrize("kind", ["dataclass", "frozen", "enum", "flag", "namedtuple", "pydantic", "nested", "slots"])
def test_isinstance_holds_in_the_task(kernel, kind):
    assert kernel.value(f"flyte.run(knows, {VALUES[kind]}).outputs()") == "(True,)"


def test_classes_that_name_each_other(kernel):
    kernel.run(
        "@dataclasses.dataclass\nclass Tree:\n    leaves: 'list[Leaf]'\n"
        "@dataclasses.dataclass\nclass Leaf:\n    of: 'Tree | None' = None\n"
        "@env.task\ndef grow(n: int) -> Tree:\n    tree = Tree([])\n    tree.leaves = [Leaf(tree) for _ in range(n)]\n"
        "    return tree"
    )
    kernel.run("tree = flyte.run(grow, 2).outputs()[0]")
    assert kernel.value("(isinstance(tree, Tree), isinstance(tree.leaves[1], Leaf), tree.leaves[0].of is tree)") == (
        "(True, True, True)"
    )


def test_an_exception_of_a_cell_comes_back_as_itself(kernel):
    kernel.run("@env.task\ndef bad(n: int) -> int: raise Failure(n, Point(n))")
    kernel.run("try:\n    flyte.run(bad, 3)\nexcept flyte.errors.RuntimeUserError as e:\n    cause = e.__cause__")
    assert kernel.value("(type(cause) is Failure, cause.code, isinstance(cause.point, Point))") == "(True, 3, True)"


def test_source_tracebacks_and_pickle_inside_the_task(kernel):
    kernel.run(
        "def deep():\n    # a comment\n    return 1 / 0\n"
        "@env.task\ndef look() -> list[str]:\n    try:\n        deep()\n    except ZeroDivisionError:\n"
        "        text = traceback.format_exc()\n"
        "    point = str(pickle.loads(pickle.dumps(Point(1))))\n"
        "    return [inspect.getsource(deep), inspect.getsource(Frozen), text, point, inspect.getfile(deep), __name__]"
    )
    kernel.run("function, cls, text, point, file, name = flyte.run(look).outputs()[0]")
    assert "# a comment" in kernel.value("print(function)") or "# a comment" in kernel.run("print(function)").printed
    assert "@dataclasses.dataclass(frozen=True, order=True)\nclass Frozen:" in kernel.run("print(cls)").printed
    assert "return 1 / 0" in kernel.run("print(text)").printed
    assert kernel.value("point") == "'Point(x=1, near=[], colour=None)'"
    assert kernel.value("(file.endswith('cells.py'), name)") == "(True, '__main__')"


def test_the_folder_is_private_and_named_after_its_content(kernel):
    kernel.run(
        "import pathlib, stat, os\nflyte.run(look)\n"
        "modules = pathlib.Path(os.environ['FLYTE_NB_HOME']) / 'modules'\n"
        "found = {p.name: oct(p.stat().st_mode) for p in modules.iterdir()}\nflyte.run(look)"
    )
    assert kernel.value("len(found) == len(list(modules.iterdir())), set(found.values())") == "(True, {'0o40700'})"


def test_old_modules_go_when_a_session_starts(tmp_path):
    import os

    modules = tmp_path / ".flyte_nb" / "modules"
    for number in range(205):
        (modules / f"{number:016x}").mkdir(parents=True)
        os.utime(modules / f"{number:016x}", (number + 1, number + 1))
    with new_kernel(tmp_path) as made:
        made.run("%load_ext flyte_nb")
    assert sorted(p.name for p in modules.iterdir()) == [f"{number:016x}" for number in range(5, 205)]


def test_a_secret_like_constant_is_refused_and_a_token_is_told_once(kernel):
    kernel.run("API_KEY = 'abc'\nPAD_TOKEN = '<pad>'\n@env.task\ndef leaks() -> str: return API_KEY\n"
               "@env.task\ndef pads() -> str: return PAD_TOKEN")  # fmt: skip
    error = kernel.run("flyte.run(leaks)", fails=True).error
    assert "flyte.Secret('API_KEY')" in error
    assert "'API_KEY' of In [" in error
    assert "'PAD_TOKEN' of In [" in kernel.run("flyte.run(pads)").printed
    assert "notice" not in kernel.run("flyte.run(pads)").printed


def test_a_mutated_constant_reaches_the_next_run(kernel):
    kernel.run("table = {'a': 1}\n@env.task\ndef look_up() -> dict[str, int]: return table")
    assert kernel.value("flyte.run(look_up).outputs()") == "({'a': 1},)"
    kernel.run("table['b'] = 2")
    assert kernel.value("flyte.run(look_up).outputs()") == "({'a': 1, 'b': 2},)"


def test_a_class_its_task_and_the_run_may_stand_in_one_cell(kernel):
    ran = kernel.run(
        "@dataclasses.dataclass\nclass Span:\n    low: int\n"
        "@env.task\ndef low(of: Span) -> int:\n    return of.low\n"
        "found = [flyte.run(low, Span(n)).outputs()[0] for n in range(2)]"
    )
    assert ran.error == ""
    assert kernel.value("found") == "[0, 1]"


@pytest.mark.parametrize("ends", [0, 1, 3])
def test_one_cell_may_load_declare_and_deploy(tmp_path, ends):
    cell = (
        "%load_ext flyte_nb\nimport flyte_nb as flyte\nenv = flyte.TaskEnvironment('at-once')\n"
        "@env.task\ndef double(x: int) -> int: return 2 * x\nprint(flyte.deploy(env)[0].version)"
    )
    with new_kernel(tmp_path) as made:
        first = made.run(cell + "\n" * ends).printed.split()[-1]
        assert made.run("print(flyte.deploy(env)[0].version)").printed.split()[-1] == first
    [bundle] = (tmp_path / ".flyte_nb" / "bundles").glob(f"{first}*")
    assert not (bundle / "captured").exists()
