import ast
import builtins
import contextlib
import dis
import symtable
import sys

import pytest
from flyte_nb.notebook.names import names_of
from hypothesis import given, settings
from hypothesis import strategies as st


def names(source, postponed=False):
    (node,) = ast.parse(source).body
    found = names_of(node, postponed)
    return {key: " ".join(sorted(value)) for key, value in vars(found).items() if value}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = y", {"binds": "x", "reads": "y"}),
        ("a, (b, *c) = d", {"binds": "a b c", "reads": "d"}),
        ("a.b = c[d]", {"reads": "a c d"}),
        ("a[b] = c", {"reads": "a b c"}),
        ("x: int = y", {"binds": "x", "reads": "int y"}),
        ("x: int", {"reads": "int"}),
        ("x += y", {"binds": "x", "reads": "x y"}),
        ("a.b += y", {"reads": "a y"}),
        ("print(n := len(xs))", {"binds": "n", "reads": "len print xs"}),
        ("del a, b.c", {"binds": "a", "reads": "b"}),
        ("import a.b, c as d", {"binds": "a d"}),
        ("from m import a, b as c", {"binds": "a c"}),
        ("for i in xs: use(i)", {"binds": "i", "reads": "i use xs"}),
        ("with a as b, c: pass", {"binds": "b", "reads": "a c"}),
        ("async with a as b: pass", {"binds": "b", "reads": "a"}),
        ("async for i in aiter(): pass", {"binds": "i", "reads": "aiter"}),
        ("x = await f()", {"binds": "x", "reads": "f"}),
        ("try:\n a = b\nexcept E as e: pass\nelse: c\nfinally: d", {"binds": "a e", "reads": "E b c d"}),
        ("while a: b = c", {"binds": "b", "reads": "a c"}),
        ("global g", {}),
        ("'text'", {}),
        ("f'{a!r:>{b}} {c[\"k\"]} {d=}'", {"reads": "a b c d"}),
    ],
)
def test_statements(source, expected):
    assert names(source) == expected


@pytest.mark.parametrize(
    ("pattern", "binds", "reads"),
    [
        ("[a, *b]", "a b", "v"),
        ("{'k': a, **rest}", "a rest", "v"),
        ("Point(x=0) as p", "p", "Point v"),
        ("m.RED | 3", "", "m v"),
        ("_ if cond", "", "cond v"),
        ("None | True", "", "v"),
        ("m.Point(x=[n, *_], y={'a': {**more}})", "more n", "m v"),
    ],
)
def test_match(pattern, binds, reads):
    expected = {"reads": reads, **({"binds": binds} if binds else {})}
    assert names(f"match v:\n case {pattern}: pass") == expected


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("y = [f(x) for x in xs]", "f xs"),
        ("y = [x for x in x]", "x"),
        ("y = [x for x in xs] + [x]", "x xs"),
        ("y = {k: v for k, v in d.items() if k in keep}", "d keep"),
        ("y = {x for row in rows for x in row}", "rows"),
        ("y = [x for x in y2], [y2 for y2 in z]", "y2 z"),
        ("y = list(x for x in xs)", "list xs"),
        ("y = [await g(i) async for i in z]", "g z"),
        ("y = [[c for c in r if c > low] for r in m]", "low m"),
    ],
)
def test_comprehensions_have_a_scope_of_their_own_on_every_version(source, reads):
    assert names(source) == {"binds": "y", "reads": reads}


def test_a_walrus_in_a_comprehension_binds_outside_it():
    assert names("[last := f(x) for x in xs]") == {"binds": "last", "reads": "f xs"}
    assert names("def f(): return [n := x for x in xs]") == {"binds": "f", "defers": "xs"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a, *b, c=d, **e): return a, b, c, e, g", {"binds": "f", "reads": "d", "defers": "g"}),
        ("def f(a=[k for k in j]): pass", {"binds": "f", "reads": "j"}),
        ("async def f(): return await g()", {"binds": "f", "defers": "g"}),
        ("@dec(opt)\ndef f(): return f()", {"binds": "f", "reads": "dec opt", "defers": "f"}),
        ("def f():\n def g(): return x, y\n y = 1\n return g", {"binds": "f", "defers": "x"}),
        ("def f():\n x = 1\n def g():\n  nonlocal x\n  x += z\n return g", {"binds": "f", "defers": "z"}),
        ("def f():\n global n\n n += 1", {"binds": "f", "defers": "n", "sets": "n"}),
        ("def f():\n global n\n n = 1", {"binds": "f", "sets": "n"}),
        ("def f():\n import a.b\n return a, c", {"binds": "f", "defers": "c"}),
        ("f = lambda x, y=z: x + y + w", {"binds": "f", "reads": "z", "defers": "w"}),
        ("def f(): return [g(x) for x in xs]", {"binds": "f", "defers": "g xs"}),
        ("def listcomp(): return later", {"binds": "listcomp", "defers": "later"}),
        ("def f():\n class A:\n  y = z\n return A", {"binds": "f", "defers": "z"}),
        ("def f():\n try: pass\n except E as e: print(e)", {"binds": "f", "defers": "E print"}),
        ("def f():\n x: T = 1\n y: 'U'\n return x, y", {"binds": "f", "hints": "T U"}),
        ("def f():\n global x\n def g(): return x\n x = 1\n return g", {"binds": "f", "defers": "x", "sets": "x"}),
        ("def f(x):\n def g():\n  global x\n  return x\n return g", {"binds": "f", "defers": "x"}),
        ("def f():\n [n := i for i in xs if n]\n return n", {"binds": "f", "defers": "xs"}),
        ("def f():\n match v:\n  case [a, *b]: return a, b", {"binds": "f", "defers": "v"}),
        ("def f():\n from a import b as c\n import d.e\n return c, d, b", {"binds": "f", "defers": "b"}),
        ("def f():\n for i in xs: pass\n else: return i\n del i", {"binds": "f", "defers": "xs"}),
        ("def f():\n with a() as (b, c): yield b, c", {"binds": "f", "defers": "a"}),
    ],
)
def test_functions_read_later(source, expected):
    assert names(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class A(B, metaclass=M): x = y", {"binds": "A", "reads": "B M y"}),
        ("class A:\n x = 1\n y = x", {"binds": "A"}),
        ("class A:\n limit = limit", {"binds": "A", "reads": "limit"}),
        ("class A:\n def m(self): return x, __class__, super()", {"binds": "A", "defers": "super x"}),
        ("class A:\n x = 1\n def m(self): return x", {"binds": "A", "defers": "x"}),
        ("class A:\n global q\n q = 1", {"binds": "A q"}),
        ("class A:\n y = [z for z in x]", {"binds": "A", "reads": "x"}),
        ("class A:\n n: int\n m: Kind = Kind()", {"binds": "A", "reads": "Kind int"}),
        (
            "@dataclass\nclass A:\n x: list[B] = field(default_factory=list)",
            {"binds": "A", "reads": "B dataclass field list"},
        ),
        ("class A:\n def m(self): return __secret", {"binds": "A", "defers": "_A__secret"}),
    ],
)
def test_class_bodies_read_at_once(source, expected):
    assert names(source) == expected


def test_annotations_in_strings_are_hints():
    assert names("def f(a: 'A', b: list['B[C]']) -> 'm.D | None': pass") == {
        "binds": "f",
        "reads": "list",
        "hints": "A B C m",
    }


def test_the_words_of_literals_and_notes_are_data():
    source = (
        "def f(a: Literal['fast', 'slow'], b: Annotated['int', 'seconds'], c: t.Literal['x'], d: 'not a type'): pass"
    )
    assert names(source) == {"binds": "f", "reads": "Annotated Literal t", "hints": "int"}


def test_postponed_annotations_are_hints():
    source = "class Node:\n next: Node | None = None\n def walk(self, by: Step) -> list[Node]: return go(self)"
    assert names(source, postponed=True) == {"binds": "Node", "defers": "go", "hints": "Node Step list"}
    assert names(source)["reads"] == "Node Step list"


def test_star_import_binds_what_the_module_makes_public(monkeypatch):
    import string

    assert set(string.__all__) <= set(names("from string import *")["binds"].split())
    module = type(sys)("plain_module")
    module.shown, module._hidden = 1, 2
    monkeypatch.setitem(sys.modules, "plain_module", module)
    assert names("from plain_module import *") == {"binds": "shown"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are new in Python 3.12")
def test_type_parameters_are_local():
    assert names("def f[T: Bound](x: T, y: 'T', z: 'U') -> list[T]: return g(x)") == {
        "binds": "f",
        "reads": "Bound list",
        "defers": "g",
        "hints": "U",
    }
    assert names("type Rows = list[Row]") == {"binds": "Rows", "reads": "Row list"}


def test_a_very_long_expression_is_read_all_the_same():
    source = "x = " + " + ".join(["y"] * 900)
    assert names(source) == {"binds": "x", "reads": "y"}


# --- against an oracle: execute the statement and see which names it asks for ---

NAME = st.sampled_from(["a", "b", "c", "d"])


def expressions():
    def deeper(inner):
        return st.one_of(
            st.tuples(inner, inner).map("({0[0]}, {0[1]})".format),
            st.tuples(NAME, inner, inner).map("[{0[1]} for {0[0]} in [{0[2]}]]".format),
            st.tuples(NAME, inner, inner).map("{{repr({0[1]}): 1 for {0[0]} in ({0[2]},)}}".format),
            st.tuples(NAME, inner).map("(lambda {0[0]}: {0[1]})(1)".format),
            st.tuples(NAME, inner).map("({0[0]} := {0[1]})".format),
            inner.map("f'{{{0}!r}}'".format),
        )

    return st.recursive(NAME, deeper, max_leaves=6)


def programs():
    body = st.tuples(NAME, expressions())
    return st.one_of(
        body.map("{0[0]} = {0[1]}".format),
        body.map("{0[0]} += ({0[1]},)".format),
        body.map("for {0[0]} in [{0[1]}]: pass".format),
        body.map("with cm({0[1]}) as {0[0]}: pass".format),
        # without a walrus: in a class body only the order of execution says whose name it reads
        st.tuples(NAME, expressions().filter(lambda e: ":=" not in e), NAME).map(
            "class {0[0]}:\n  {0[2]} = {0[1]}\n".format
        ),
        st.tuples(NAME, expressions()).map("def {0[0]}(p={0[1]}): pass".format),
        st.tuples(NAME, NAME, expressions()).map("if {0[0]}: {0[1]} = {0[2]}".format),
    )


class Recording(dict):
    def __init__(self):
        super().__init__(cm=_Manager, repr=repr, __name__="x")
        self.read, self.bound = set(), set()

    def __missing__(self, name):
        if hasattr(builtins, name):
            return getattr(builtins, name)
        self.read.add(name)
        return ()

    def __setitem__(self, name, value):
        self.bound.add(name)
        super().__setitem__(name, value)


class _Manager(tuple):
    def __new__(cls, value):
        return super().__new__(cls, (value,))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass


def _compiles(source):
    try:
        compile(source, "<program>", "exec")
    except SyntaxError:  # a walrus may not bind the variable of its comprehension
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(programs().filter(_compiles))
def test_names_cover_what_running_the_statement_reads_and_binds(source):
    # only a module's own scope asks a custom namespace; inner scopes are covered by the symbol tables below
    namespace = Recording()
    outer = {"cm": _Manager, **dict.fromkeys("abcd", ())}
    with contextlib.suppress(TypeError, NameError):  # what it read before that counts
        exec(compile(source, "<program>", "exec"), outer, namespace)
    (node,) = ast.parse(source).body
    found = names_of(node)
    assert namespace.read - set(dir(builtins)) <= found.reads
    assert namespace.bound - {"cm", "repr", "__name__"} <= found.binds


@settings(max_examples=300, deadline=None)
@given(programs().filter(_compiles))
def test_names_are_those_of_the_compiled_code(source):
    """Every name that the bytecode loads or stores globally is known, and none besides the ones it mentions."""
    (node,) = ast.parse(source).body
    found = names_of(node)
    loads, stores = set(), set()
    _globals_of(compile(source, "<program>", "exec"), loads, stores, top=True)
    assert loads - set(dir(builtins)) - found.binds <= found.reads | found.defers
    assert stores <= found.binds
    assert (found.reads | found.defers) <= loads | found.binds | {"cm", "repr", "p"} | _locals_first(source)


def _locals_first(source):
    """Names of class bodies, which may come from outside or from the body itself."""
    table = symtable.symtable(source, "c", "exec")
    return {n for child in table.get_children() if child.get_type() in ("class",) for n in child.get_identifiers()}


def _globals_of(code, loads, stores, top=False):
    is_class = not top and not code.co_flags & 0x2  # a class body has no fast locals
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"):
            loads.add(step.argval)
        elif step.opname == "STORE_GLOBAL" or (step.opname == "STORE_NAME" and not is_class):
            stores.add(step.argval)
        if hasattr(step.argval, "co_code"):
            _globals_of(step.argval, loads, stores)
