"""Function bodies: what counts in the version of a function, and what does not."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.environments.cache import Cache
from flyte_nb.environments.function_body import FunctionBodyPolicy, VersionParameters
from flyte_nb.environments.image import Image

NOTHING = VersionParameters(func=None)


@pytest.fixture
def function(tmp_path: Path) -> Callable[[str], Any]:
    """Give the function ``f`` of a module with some source."""
    numbers = itertools.count()

    def load(source: str) -> Any:
        path = tmp_path / f"module{next(numbers)}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.f

    return load


def version(func: Any, image: Any = None) -> str:
    return FunctionBodyPolicy().get_version("", VersionParameters(func, image))


BODY = "def f(x=1):\n    return x\n"


@pytest.mark.parametrize(
    ("source", "same"),
    [
        (BODY, True),
        ("def f( x = 1 ):  # a comment\n\n    return (x)  \n", True),
        (BODY.replace("return x", "return x + 1"), False),
        (BODY.replace("=1", "=2"), False),
        (BODY.replace("x=1", "x: int = 1"), False),
        ("if True:\n    def f(x=1):\n        return x\n", True),
    ],
)
def test_function_body(source: str, same: bool, function: Callable[[str], Any]) -> None:
    versions = [FunctionBodyPolicy().get_version("", VersionParameters(function(text))) for text in (BODY, source)]
    assert (versions[0] == versions[1]) == same


def test_function_body_salt_and_none(function: Callable[[str], Any]) -> None:
    params = VersionParameters(function(BODY))
    assert FunctionBodyPolicy().get_version("a", params) != FunctionBodyPolicy().get_version("b", params)
    assert Cache("auto", salt="a").get_version(params) != Cache("auto", salt="b").get_version(params)
    assert FunctionBodyPolicy().get_version("a", NOTHING) == ""


HELPED = """
import json
N = 2
table = {"a": 1}
def helper(x, by=N):
    return deeper(x) + by
def deeper(x):
    return x if x < 1 else helper(x - 1)
unused = 7
def f(x):
    "text"
    return json.dumps([helper(y) for y in x]) + str(N)
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("", "", True),
        ("    return x if x < 1", "    # a comment\n    return (x) if x < 1", True),
        ("unused = 7", "unused = 8", True),
        ("x if x < 1", "x if x < 2", False),  # a function that a helper calls
        ("deeper(x) + by", "deeper(x) - by", False),
        ("N = 2", "N = 3", False),  # a constant, also the value of a default
        ("N = 2", "N = 2.0", False),
        ("deeper(x)", "deep(x)", False),
        ('"a": 1', '"a": 2', True),  # it is not read
    ],
)
def test_helpers_and_constants(old: str, new: str, same: bool, function: Callable[[str], Any]) -> None:
    changed = HELPED.replace(old, new) if old else HELPED
    assert (version(function(HELPED)) == version(function(changed))) is same


def test_the_value_of_a_default_counts(function: Callable[[str], Any]) -> None:
    one, two = (function(f"D = [{n}]\ndef f(x=D, *, y=None): return x") for n in (1, 2))
    assert version(one) != version(two)
    objects = "def f(x=object()): return x"
    assert version(function(objects)) == version(function(objects))  # an address in memory does not


def test_tasks_and_outer_variables_count(function: Callable[[str], Any]) -> None:
    tasks = "import flyte_nb\nenv = flyte_nb.TaskEnvironment('e')\n@env.task\ndef g(x: int) -> int: return x + {n}\n"
    calling = tasks + "def f(x): return g(x)"
    assert version(function(calling.format(n=1))) != version(function(calling.format(n=2)))
    closed = (
        "def outer(n):\n    half = lambda x: x / {n}\n    def f(x): return half(x) + n\n    return f\nf = outer({n})"
    )
    assert version(function(closed.format(n=1))) != version(function(closed.format(n=2)))
    assert version(function(closed.format(n=1))) == version(function(closed.format(n=1)))
    unbound = "def outer():\n    def f(x): return later\n    if False: later = 1\n    return f\nf = outer()"
    assert version(function(unbound))


def test_the_image_counts(function: Callable[[str], Any]) -> None:
    func, image = function(BODY), Image.from_debian_base(name="n")
    versions = [version(func), version(func, "a:1"), version(func, "a:2"), version(func, image)]
    assert len({*versions, version(func, image.with_pip_packages("pandas"))}) == 5
    assert version(func, image) == versions[-1]


def test_it_is_the_same_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HELPED)
    code = (
        "import mine\nfrom flyte_nb.environments.function_body import *\n"
        "print(FunctionBodyPolicy().get_version('', VersionParameters(mine.f)))"
    )
    told = {
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(told) == 1
