"""A declaring call, edited where it is written: the source that comes out declares what was asked for."""

from __future__ import annotations

import io
import re
import tokenize
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.environments.base import unannounced
from flyte_nb.environments.declaration import set_fields
from flyte_nb.environments.editing import with_values
from flyte_nb.errors import UsageError
from flyte_nb.notebook.rewriting import RESET, Edit, edited, locate
from flyte_nb.notebook.spelling import Spelling
from hypothesis import example, given, settings
from hypothesis import strategies as st

HEAD = "import flyte_nb as flyte\nfrom flyte_nb import Resources, TaskEnvironment\nRES = Resources(cpu=9)\n"


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    with unannounced():
        exec(compile(source.replace("\r\n", "\n"), "<source>", "exec"), names)
    return names


def rewrite(source: str, values: dict[str, Any], variable: str = "env") -> tuple[str, Any, Spelling]:
    """Edit the declaration of ``variable``; give the source and the environment that is wanted."""
    names = run(source)
    env = names[variable]
    fields = [name for name in values if values[name] is RESET]
    with unannounced():
        wanted = with_values(env, {n: v for n, v in values.items() if v is not RESET}, fields)
    edits = [Edit(n, getattr(env, n), getattr(wanted, n), v) for n, v in values.items() if n in wanted.unwritten]
    spelling = Spelling(names)
    editor, is_clone = locate(source, env.place.line, env, names)
    text = edited(editor, env, edits, is_clone, spelling)
    return "".join(f"{line}\n" for line in spelling.imports) + text, wanted, spelling


# --- by example ---


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        ('env = TaskEnvironment("a")', {"queue": "q"}, 'env = TaskEnvironment("a", queue="q")'),
        ('env = TaskEnvironment("a", queue="q")', {"queue": RESET}, 'env = TaskEnvironment("a")'),
        ('env = TaskEnvironment("a", queue="q",)', {"queue": RESET}, 'env = TaskEnvironment("a",)'),
        ('env = TaskEnvironment(queue="q", name="a")', {"queue": RESET}, 'env = TaskEnvironment(name="a")'),
        ('env = TaskEnvironment(queue="q", name="a")', {"queue": "r"}, 'env = TaskEnvironment(queue="r", name="a")'),
        (
            'env = TaskEnvironment("a", [], None, "d")',
            {"description": "e"},
            'env = TaskEnvironment("a", [], None, "e")',
        ),
        ('env = TaskEnvironment("a", [], None, "d")', {"description": RESET}, 'env = TaskEnvironment("a", [], None)'),
        (
            'env = TaskEnvironment("a", resources=Resources(cpu=1))',
            {"resources": flyte.Resources(cpu=1, memory="8Gi")},
            'env = TaskEnvironment("a", resources=Resources(cpu=1, memory="8Gi"))',
        ),
        (
            'env = TaskEnvironment("a", resources=Resources(1, "1Gi"))',
            {"resources": flyte.Resources(cpu=1, memory="8Gi")},
            'env = TaskEnvironment("a", resources=Resources(1, "8Gi"))',
        ),
        (
            'env = TaskEnvironment("a", resources=RES)',
            {"resources": flyte.Resources(cpu=1)},
            'env = TaskEnvironment("a", resources=Resources(cpu=1))',
        ),
        (
            'env = TaskEnvironment("a", env_vars={"A": "1", "B": \'2\'})',
            {"env_vars": {"B": "2", "C": "3"}},
            'env = TaskEnvironment("a", env_vars={"B": \'2\', "C": "3"})',
        ),
        (
            'env = TaskEnvironment(\n    "a",\n    queue="q",  # the queue\n    # about more\n)',
            {"cache": "auto"},
            'env = TaskEnvironment(\n    "a",\n    queue="q",  # the queue\n    cache="auto",\n    # about more\n)',
        ),
        (
            'env = TaskEnvironment(\n\t"a",\n\tqueue="q"  # the queue\n)',
            {"cache": "auto"},
            'env = TaskEnvironment(\n\t"a",\n\tqueue="q",  # the queue\n\tcache="auto"\n)',
        ),
        (
            'env = TaskEnvironment(\n    "a",  # name\n    queue="q",  # the queue\n    cache="auto",\n)',
            {"queue": RESET},
            'env = TaskEnvironment(\n    "a",  # name\n    cache="auto",\n)',
        ),
        (
            'a = 1; env = TaskEnvironment("a", \\\n    queue="q", \\\n); b = f"{a}, )"',
            {"queue": RESET, "cache": "auto"},
            'a = 1; env = TaskEnvironment("a", \\\n    cache="auto", \\\n); b = f"{a}, )"',
        ),
        (
            'env = TaskEnvironment("a", queue=("q"), description=(\n  "ü" "é"  # ß\n))',
            {"queue": "ö", "description": "d"},
            'env = TaskEnvironment("a", queue="ö", description="d")',
        ),
        (
            'base = TaskEnvironment("b", queue="x"); env = base.clone_with("a", queue="q")',
            {"queue": RESET},
            'base = TaskEnvironment("b", queue="x"); env = base.clone_with("a", reset=("queue",))',
        ),
        (
            'base = TaskEnvironment("b", queue="x"); env = base.clone_with("a", reset=["queue", "cache"])',
            {"queue": "q"},
            'base = TaskEnvironment("b", queue="x"); env = base.clone_with("a", reset=("cache",), queue="q")',
        ),
        (
            'base = TaskEnvironment("b", cache="auto"); env = base.clone_with("a", reset="cache")',
            {"cache": "override"},
            'base = TaskEnvironment("b", cache="auto"); env = base.clone_with("a", cache="override")',
        ),
        (
            'S = {"queue": "q"}\nenv = TaskEnvironment("a", **S)',
            {"cache": "auto"},
            'S = {"queue": "q"}\nenv = TaskEnvironment("a", **S, cache="auto")',
        ),
        (
            'def keep(f): return f\n@keep\n@(env := TaskEnvironment("a")).task\ndef f() -> int:\n    return 1',
            {"cache": "auto"},
            'def keep(f): return f\n@keep\n@(env := TaskEnvironment("a", cache="auto")).task\n'
            "def f() -> int:\n    return 1",
        ),
        (
            'if True:\n    env = TaskEnvironment(\n        "a")',
            {"cache": "auto"},
            'if True:\n    env = TaskEnvironment(\n        "a",\n        cache="auto")',
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_what_changes_is_touched(before: str, values: dict[str, Any], after: str, newline: str) -> None:
    source = (HEAD + before + "\nlast = 1  # end\n").replace("\n", newline)
    text, wanted, _ = rewrite(source, values)
    assert text == (HEAD + after + "\nlast = 1  # end\n").replace("\n", newline)
    assert run(text)["env"] == wanted


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('for n in ["a", "b"]:\n    env = TaskEnvironment(n)', "'b' is declared in a loop, on line 4"),
        ('env = [TaskEnvironment(n) for n in ["a"]][0]', "in a comprehension"),
        ('def make(n):\n    return TaskEnvironment(n)\nenv = make("a")', r"by the function make\(\)"),
        ('make = lambda n: TaskEnvironment(n)\nenv = make("a")', "by a lambda"),
        ('S = {"queue": "q"}\nenv = TaskEnvironment("a", **S)', r"queue is, or may be, within \*\*S"),
        ('env = TaskEnvironment("a", **dict(queue="q"))', "queue is, or may be, within"),
        ('S = ["a"]\nenv = TaskEnvironment(*S)', r"queue may be within \*S"),
        ('env = TaskEnvironment.from_task("a")', "no call on line 4 is known to declare 'a'"),
        ('n = "a"\na, env = TaskEnvironment("a" + "b"), TaskEnvironment(n)', "several calls that may declare 'a'"),
        ('env = TaskEnvironment("a", queue=(Q := "q"))', "binds a variable"),
        (
            'base = TaskEnvironment("b")\nR = ["cache"]\nenv = base.clone_with("a", reset=R)',
            "reset=R is not written out",
        ),
    ],
)
def test_what_cannot_be_rewritten_says_why(source: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"the declaration cannot be rewritten: .*{reason}"):
        rewrite(HEAD + source, {"queue": "r"})


def test_a_source_that_changed_is_told() -> None:
    env = run(HEAD + 'env = TaskEnvironment("a")')["env"]
    with pytest.raises(UsageError, match="was the source changed since it ran"):
        locate(HEAD + 'env = TaskEnvironment("b")', env.place.line, env, {})
    with pytest.raises(UsageError, match="was the source changed since it ran"):
        locate("x = 1\n", env.place.line, env, {})


def test_a_variable_in_the_place_of_a_value_is_told_to_stay() -> None:
    _, _, spelling = rewrite(HEAD + 'env = TaskEnvironment("a", resources=RES)', {"resources": flyte.Resources(cpu=1)})
    assert spelling.notices == ["resources=RES is replaced by its new value; RES itself stays as it is"]


def test_a_value_that_a_clone_cannot_be_given_is_told() -> None:
    source = (
        "import flyte_nb as flyte\nbase = flyte.app.ConnectorEnvironment('b')\nenv = base.clone_with('a', type='t')\n"
    )
    with pytest.raises(UsageError, match=r"clone_with\(type=None\) keeps the value"):
        rewrite(source, {"type": None})


# --- by property ---

CHOICES: dict[str, list[tuple[str, Any]]] = {
    "resources": [
        ("Resources(cpu=1)", flyte.Resources(cpu=1)),
        ('flyte.Resources(1, "2Gi")', flyte.Resources(1, "2Gi")),
        ('Resources(\n  cpu=2,  # inner\n  memory="4Gi"\n)', flyte.Resources(cpu=2, memory="4Gi")),
        ("Resources(gpu='A100:1', )", flyte.Resources(gpu="A100:1")),
        ("RES", flyte.Resources(cpu=9)),
        ("None", None),
    ],
    "env_vars": [
        ('{"A": "1"}', {"A": "1"}),
        ("{'A': '1', 'B': \"2\",}", {"A": "1", "B": "2"}),
        ('{\n  "B": "3",  # inner\n  "C": "ü, )"\n}', {"B": "3", "C": "ü, )"}),
        ('dict(A="9")', {"A": "9"}),
        ("None", None),
    ],
    "queue": [('"q"', "q"), ('("r")', "r"), ('"s" "t"', "st"), ("'''u\nv'''", "u\nv")],
    "description": [('"one"', "one"), ('f"{1}, two"', "1, two"), ('"# no comment"', "# no comment")],
    "interruptible": [("True", True), ("(False)", False), ("not False", True)],
    "cache": [('"auto"', "auto"), ('flyte.Cache("auto", max_age=60)', flyte.Cache("auto", max_age=60))],
    "secrets": [('["a", "b"]', ["a", "b"]), ("flyte.Secret('k')", flyte.Secret("k")), ('"c"', "c")],
    "reusable": [
        ("flyte.ReusePolicy(2)", flyte.ReusePolicy(2)),
        ("flyte.ReusePolicy((1, 3), idle_ttl=60)", flyte.ReusePolicy((1, 3), idle_ttl=60)),
    ],
    "include": [('("a.py",)', ("a.py",)), ('["b.py"]', ("b.py",))],
    "depends_on": [("[]", [])],
}
FIRST = ["depends_on", "pod_template", "description"]  # what may be positional


@st.composite
def declarations(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Give a source in some style, and the fields that it gives."""
    fields = draw(st.lists(st.sampled_from(list(CHOICES)), unique=True, max_size=6))
    texts = {field: draw(st.sampled_from(CHOICES[field]))[0] for field in fields}
    is_positional = draw(st.booleans()) and "depends_on" in texts
    words = (
        ['"my-env"', texts["depends_on"]] if is_positional else [draw(st.sampled_from(['"my-env"', 'name="my-env"']))]
    )
    words += [f"{field}={text}" for field, text in texts.items() if not (is_positional and field == "depends_on")]
    if words[0].startswith("name=") and draw(st.booleans()):
        words.reverse()
    step = draw(st.sampled_from(["    ", "\t", " "]))
    parts = ["TaskEnvironment(", *draw(layouts(words, step)), ")"]
    call = "".join(parts)
    before = draw(st.sampled_from(["", "x = 1; ", "# ü before\n", "if True:\n  pass\n"]))
    after = draw(st.sampled_from(["", "; y = (2, 3)", "  # after", "\nz = [\n 1,  # z\n]"]))
    return f"{HEAD}{before}env = {call}{after}\n", fields


@st.composite
def layouts(draw: st.DrawFn, words: list[str], step: str) -> list[str]:
    """Lay arguments out: on lines of their own or beside each other, with comments, commas and backslashes."""
    parts: list[str] = []
    for index, word in enumerate(words):
        parts.append(draw(st.sampled_from(["", "", " ", f"\n{step}", f"\n{step}", f"\n{step}# above {index}\n{step}"])))
        parts.append(word)
        is_last = index == len(words) - 1
        parts.append("" if is_last and draw(st.booleans()) else draw(st.sampled_from([",", " ,", ", "])))
        comment = f"  # beside {index}\n{step if not is_last else ''}"
        parts.append(draw(st.sampled_from(["", "", comment, " \\\n", "\n" if is_last else ""])))
    return parts


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Give new values of some fields."""
    fields = draw(st.lists(st.sampled_from(list(CHOICES)), unique=True, min_size=1, max_size=4))
    return {field: draw(st.sampled_from([*(value for _, value in CHOICES[field]), RESET])) for field in fields}


def comments(source: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def may_go(comment: str, changed: dict[str, Any], wanted: Any) -> bool:
    """Tell whether a comment stands within something that is replaced, or beside something that goes away."""
    if comment == "# inner":
        return any(field in changed for field in ("resources", "env_vars"))
    set_now = dict(set_fields(wanted))
    return comment.startswith("# beside") and any(field not in set_now for field in changed)


@settings(max_examples=150, deadline=None)
@given(declarations(), changes(), st.sampled_from(["\n", "\r\n"]))
def test_the_rewritten_source_declares_the_draft(
    declaration: tuple[str, list[str]], values: dict[str, Any], newline: str
) -> None:
    source, fields = declaration
    source = source.replace("\n", newline)
    text, wanted, _ = rewrite(source, values)
    assert run(text)["env"] == wanted
    plain, rewritten = source.replace("\r\n", "\n"), text.replace("\r\n", "\n")
    assert "\r" not in rewritten
    kept = [c for c in comments(plain) if not may_go(c, values, wanted)]
    assert [c for c in kept if c not in comments(rewritten)] == []
    for field in set(fields) - set(values):
        written = next(re.escape(text) for text, _ in CHOICES[field] if text in plain)
        assert re.search(written, rewritten)


CLONED = [field for field in CHOICES if field not in ("depends_on",)]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(CLONED), unique=True, max_size=3),
    st.lists(st.sampled_from(CLONED), unique=True, max_size=2),
    changes(),
)
@example(["queue"], ["cache"], {"queue": RESET, "cache": "auto"})
def test_the_rewritten_clone_is_the_draft(given_fields: list[str], cleared: list[str], values: dict[str, Any]) -> None:
    reset = [field for field in cleared if field not in given_fields]
    words = [f"{field}={CHOICES[field][0][0]}" for field in given_fields] + ([f"reset={reset}"] if reset else [])
    base = ", ".join(f"{field}={CHOICES[field][-1][0]}" for field in CLONED)
    source = f"{HEAD}base = TaskEnvironment('b', {base})\nenv = base.clone_with(\n    'a',\n" + "".join(
        f"    {word},\n" for word in words
    ) + ")\n"  # fmt: skip
    text, wanted, _ = rewrite(source, values)
    assert run(text)["env"] == wanted
