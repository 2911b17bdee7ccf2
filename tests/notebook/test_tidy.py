import ast
import textwrap

import pytest
from flyte_nb.notebook.tidy import laid_out, renamed, rewritten, tidied
from hypothesis import given
from hypothesis import strategies as st


def out(source, **how):
    return laid_out(ast.parse(source).body[0], **how)


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("env=E('a',cpu = 2)", 'env = E("a", cpu=2)'),
        ("x = {'a': 'it\\'s', 'b': 'say \"hi\"'}", """x = {"a": "it's", "b": 'say "hi"'}"""),
        ("x = 'back\\\\slash'", "x = 'back\\\\slash'"),
        ("x = ['ä', 'b']", 'x = ["ä", "b"]'),
    ],
)
def test_quotes_and_spaces(source, written):
    assert out(source) == written


def test_a_long_call_has_an_argument_a_line():
    source = f"env = f.E('a', r=f.R(cpu=2, memory='{'4' * 30}'), s=['{'k' * 30}'], **more)"
    assert out(source) == textwrap.dedent(f"""\
        env = f.E(
            "a",
            r=f.R(cpu=2, memory="{"4" * 30}"),
            s=["{"k" * 30}"],
            **more,
        )""")
    assert out("env = E('a')", exploded=True) == 'env = E(\n    "a",\n)'
    assert out("env = E()", exploded=True) == "env = E()"


def test_a_long_call_within_one():
    long = f"env = f.E(r=f.R({', '.join(f'{name}={i}' for i, name in enumerate('abcdefghijklmnopqrstuvw'))}))"
    assert ast.dump(ast.parse(out(long))) == ast.dump(ast.parse(long))
    assert max(map(len, out(long).splitlines())) <= 88


@given(st.text(), st.text(max_size=100))
def test_a_layout_changes_no_value(one, other):
    source = f"x = f({one!r}, y=g({other!r}, {one!r}))"
    assert ast.dump(ast.parse(out(source, exploded=True))) == ast.dump(ast.parse(source))


def test_what_a_notebook_tolerates_is_indented():
    assert tidied('env = E(\nname="a",\nb=1,\n)') == 'env = E(\n    name="a",\n    b=1,\n)'
    assert tidied("env = E(\n  name='a',\n  b=1)") == "env = E(\n  name='a',\n  b=1)"
    assert tidied("env = E(\n'a',  # why\n)") == "env = E(\n'a',  # why\n)"
    source = 'def f():\n# why\n    x = """\n# text\n   \n"""\n# last\n\n    return x  # end'
    assert tidied(source) == 'def f():\n    # why\n    x = """\n# text\n   \n"""\n    # last\n\n    return x  # end'


def test_names_and_nodes_are_replaced_in_place():
    assert renamed("x = _f.A('ä', _f.B)  # _f", {"_f": "flyte"}) == "x = flyte.A('ä', flyte.B)  # _f"
    source = "def f():\n    import a\n    from b import (\n        c,\n    )\n    return a"
    inner = ast.parse(source).body[0].body
    assert rewritten(source, [(inner[0], "import z"), (inner[1], "from y import c")]) == (
        "def f():\n    import z\n    from y import c\n    return a"
    )
