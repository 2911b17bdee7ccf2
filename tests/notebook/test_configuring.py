import ast

import pytest
from flyte_nb.notebook.configuring import configurations


def found(source):
    (node,) = ast.parse(source).body
    return [(c.name, c.kind, c.word) for c in configurations(node, source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a.b()", [("a", "call", "b")]),
        ("a.b.c()", []),
        ("a()", []),
        ("x = a.b()", []),
        ("await a.b()", []),
        ("a.b", []),
        ("A.x = f", [("A", "assign", "x")]),
        ("A.x = B.y = f", [("A", "assign", "x"), ("B", "assign", "y")]),
        ("A.b.c = f", []),
        ("A.x += 1", []),
        ("del A.x", [("A", "assign", "x")]),
        ("setattr(A, 'x', f)", [("A", "assign", "x")]),
        ("setattr(A, name, f)", []),
        ("delattr(A, 'x')", [("A", "assign", "x")]),
        ("Registry.register(A, B())", [("Registry", "call", "register"), ("A", "argument", "register"),
                                       ("B", "argument", "register")]),
        ("m.Registry.register(kind=A)", [("A", "argument", "register")]),
        ("register_thing(A, 'x')", [("A", "argument", "register_thing")]),
        ("plot(A)", []),
        ("@f.register\ndef _(x: int): pass", [("f", "decorator", "register")]),
        ("@app.get('/')\nasync def index(): pass", [("app", "decorator", "get")]),
        ("@dec\ndef f(): pass", []),
        ("@A.register\nclass B: pass", [("A", "decorator", "register")]),
    ],
)  # fmt: skip
def test_what_a_statement_configures(source, expected):
    assert found(source) == expected


def keys(*sources):
    return [c.key for source in sources for c in configurations(ast.parse(source).body[0], source)]


def test_a_function_decorated_again_has_the_same_key():
    one, two, other = keys(
        "@f.register\ndef _(x: int): return 1",
        "@f.register\ndef _(x: int): return 2",
        "@f.register\ndef _(x: str): return 1",
    )
    assert one == two != other


def test_assigning_an_attribute_has_the_same_key_in_every_form():
    assert len(set(keys("A.x = 1", "A.x = 2", "setattr(A, 'x', 3)"))) == 1
