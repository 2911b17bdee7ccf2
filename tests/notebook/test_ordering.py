import random

import pytest
from flyte_nb.notebook.cells import Cell, statements
from flyte_nb.notebook.ordering import Part, ordered
from hypothesis import given
from hypothesis import strategies as st


def parts(*sources):
    made = [next(statements(Cell(source, 0))) for source in sources]
    return [Part(s.source, s.node, s.names, "In [1]", i) for i, s in enumerate(made)]


def order(*sources, wanted):
    place = {source: i for i, source in enumerate(wanted.split(" | "))}
    return " | ".join(part.source for part in ordered(parts(*sources), lambda part: (place[part.source],)))


@pytest.mark.parametrize(
    ("sources", "wanted", "given"),
    [
        (["a = 1", "b = 2"], "b = 2 | a = 1", None),
        (["a = 1", "b = a"], "b = a | a = 1", "a = 1 | b = a"),
        (["def f(): return b", "b = 2"], "def f(): return b | b = 2", None),
        (["b = 2", "def f(): return b", "c = f()"], "c = f() | def f(): return b | b = 2",
         "def f(): return b | b = 2 | c = f()"),
        (["a = []", "a.append(1)", "b = a"], "b = a | a.append(1) | a = []", "a = [] | a.append(1) | b = a"),
        (["a = []", "b = a", "a.append(1)"], "a.append(1) | a = [] | b = a", "a = [] | b = a | a.append(1)"),
        (["a = 1", "b = a", "a = 2"], "a = 2 | a = 1 | b = a", "a = 1 | b = a | a = 2"),
        (["class A: pass", "def f(x=A): ..."], "def f(x=A): ... | class A: pass",
         "class A: pass | def f(x=A): ..."),
        (["class A: pass", "@d\ndef f(x: 'A'): ..."], "@d\ndef f(x: 'A'): ... | class A: pass",
         "class A: pass | @d\ndef f(x: 'A'): ..."),
        (["def f(): return g()", "def g(): return f()", "@f\ndef h(): ..."],
         "@f\ndef h(): ... | def g(): return f() | def f(): return g()",
         "def g(): return f() | def f(): return g() | @f\ndef h(): ..."),
    ],
)  # fmt: skip
def test_the_rank_holds_as_far_as_each_stands_after_what_it_needs(sources, wanted, given):
    assert order(*sources, wanted=wanted) == (given or wanted)


@given(st.integers(0, 10_000))
def test_the_order_found_gives_the_same_values(seed):
    """Any module of assignments, reads and changes in place means the same in the order that is found."""
    choice = random.Random(seed)
    names, sources = ["a", "b", "c", "d"], []
    for i in range(choice.randint(2, 9)):
        known = [n for n in names if any(s.startswith(f"{n} = ") for s in sources)]
        kind = choice.choice(["new", "read", "change", "call"])
        name = choice.choice(names)
        if kind == "new" or not known:
            sources.append(f"{name} = [{i}]")
        elif kind == "change":
            sources.append(f"{choice.choice(known)}.append({i})")
        elif kind == "call":
            sources.append(f"def f{i}(): return list({choice.choice(known)})")
            sources.append(f"x{i} = f{i}()" if seed % 2 else f"y{i} = list({choice.choice(known)})")
        else:
            sources.append(f"{name} = list({choice.choice(known)})")
    before, after = {}, {}
    found = ordered(parts(*sources), lambda part: (choice.random(),))
    exec("\n".join(sources), before)
    exec("\n".join(part.source for part in found), after)
    values = [{k: v for k, v in space.items() if isinstance(v, list)} for space in (before, after)]
    assert values[0] == values[1]
