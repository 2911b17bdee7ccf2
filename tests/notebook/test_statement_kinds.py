"""In a real kernel: whatever statements the cells are made of, a task sees what the kernel sees."""

import pytest

from kernels import new_kernel

KINDS = {
    "nested scopes": ["a = 2\ndef f():\n    def g(x):\n        def h(): return x * a\n        return h()\n"
                      "    return g(3)"],
    "comprehensions": ["xs = [1, 2]\nk = 3\n"
                       "def f(): return [x * k for x in xs], {x: k for x in xs}, sum(x for x in xs)"],
    "decorators": [
        "import functools\ndef twice(g):\n    @functools.wraps(g)\n    def h(*a): return g(*a) * by\n"
        "    return h\nby = 2",
        "@twice\ndef one(): return 1\ndef f(): return one()",
    ],
    "annotations": ["class Row: size = 2\ndef g(x: 'Row', y: Row = Row()) -> list[Row]: return y.size\n"
                    "import typing\ndef f(): return g(1), [t.__name__ for t in typing.get_type_hints(g).values()][:2]"],
    "global": ["n = 1\ndef bump():\n    global n\n    n += 1\n    return n", "bump(); bump()", "def f(): return n"],
    "nonlocal": ["def make():\n    n = 0\n    def step():\n        nonlocal n\n        n += 1\n        return n\n"
                 "    return step\ndef f():\n    s = make()\n    return s(), s()"],
    "match": ["v = {'kind': [1, 2, 3]}\nmatch v:\n    case {'kind': [first, *rest]}: kind = 'list'\n"
              "    case _: kind = 'other'", "def f(): return first, rest, kind"],
    "walrus": ["print(n := 10)\n[last := x for x in range(4)]\ndef f(): return n, last"],
    "star import": ["from math import *\nfrom os.path import *", "def f(): return floor(pi), join('a', 'b')"],
    "del": ["x = 1\ny = 2", "del x", "x = 3", "def f(): return x, y"],
    "del of an item": ["d = {'a': 1, 'b': 2}", "del d['a']", "def f(): return d"],
    "augmented": ["x = [1]\nn = 1", "x += [2]\nn *= 5", "def f(): return x, n"],
    "loops": ["for i in range(3):\n    total = i * 2\nelse:\n    done = True\nwhile i < 9: i += 1",
              "def f(): return i, total, done"],
    "with": ["import io\nwith io.StringIO('abc') as s, io.StringIO('d') as t:\n    text = s.read() + t.read()",
             "def f(): return text"],
    "conditional": ["import sys\nif sys.version_info >= (3, 0):\n    def g(): return 1\nelif True:\n"
                    "    def g(): return 2\ndef f(): return g()"],
    "guarded import": ["try:\n    import no_such_library as fast\nexcept ImportError:\n    fast = None\n"
                       "def f(): return fast"],
    "guarded and computed": ["try:\n    n = int('x')\nexcept ValueError as e:\n    n = len('abc')\ndef f(): return n"],
    "async": ["import asyncio\nasync def g(x):\n    await asyncio.sleep(0)\n    return x\nv = await g(4)",
              "async with asyncio.Lock():\n    w = 5", "def f(): return v, w"],
    "tuple targets": ["(a, *b), c = [1, 2, 3], 4\nx = y = a", "def f(): return a, b, c, x, y"],
    "lambda": ["k = 2\ng = lambda x, *, y=k: x * y + k\ndef f(): return g(3)"],
    "class bodies": ["base = 2\nclass A:\n    base = base\n    table = [base for _ in range(2)]\n"
                     "    class B:\n        c = 3\n    def m(self): return A.B.c + base\n"
                     "def f(): return A.base, A.table, A().m()"],
    "f-strings": ["w = 6\nname = 'n'\ndef f(): return f'{name!r:>{w}} {name=} {len(name):02}'"],
    "several on a line": ["a = 1; b = 2; def_ = 3", "def f(): return a + b + def_"],
    "odd text": ["s = '''x\n# In [9], line 1\n'''  # note\ndef f():\n    '''Doc\n\n    é'''\n    return s, f.__doc__"],
    "run twice": ["n = 1\ndef g(): return n", "n = 1\ndef g(): return n", "def f(): return g()"],
    "edited": ["def g(): return 1", "def f(): return g()", "def g(): return 2"],
    "out of order": ["def f(): return g() + late", "def g(): return early", "late = 1\nearly = 2"],
    "constants that changed": ["table = {'a': [1]}\nnames = ['x']", "table['a'].append(2); names.clear()",
                               "def f(): return table, names"],
    "secret of another": ["import os\nkey_name = 'HOME'\ndef f(): return key_name in os.environ"],
}  # fmt: skip


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with new_kernel(tmp_path_factory.mktemp("kinds")) as made:
        made.run(
            "%load_ext flyte_nb\nimport flyte_nb as flyte\nfrom typing import Any\nenv = flyte.TaskEnvironment('kinds')"
        )
        yield made


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_task_sees_what_the_kernel_sees(kernel, kind):
    for cell in KINDS[kind]:
        kernel.run(cell)
    kernel.run("@env.task\ndef probe() -> Any: return f()")
    kernel.run("expected = f()\ngot = flyte.run(probe).outputs()[0]")
    assert kernel.value("(got == expected, got)").startswith("(True,"), kernel.value("(got, expected)")


def test_a_cell_that_failed_half_way(kernel):
    kernel.run("def g(): return 'old'\ndef h(): return 'old'")
    kernel.run("def g(): return 'new'\n1 / 0\ndef h(): return 'new'", fails=True)
    kernel.run("@env.task\ndef probe() -> str: return g() + h()")
    assert kernel.value("flyte.run(probe).outputs()") == "('newold',)"


def test_a_cell_with_a_syntax_error_changes_nothing(kernel):
    kernel.run("def g(): return 1")
    kernel.run("def g(): return 2\ndef (", fails=True)
    kernel.run("@env.task\ndef probe() -> int: return g()")
    assert kernel.value("flyte.run(probe).outputs()") == "(1,)"


def test_a_name_that_no_cell_bound(kernel):
    kernel.run("threshold = 3\n@env.task\ndef probe() -> int: return treshold")
    error = kernel.run("flyte.run(probe)", fails=True).error
    assert "did you mean 'threshold'" in error
