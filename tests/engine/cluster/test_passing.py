"""Values change the classes of the kernel for those of the module that the SDK has, and back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("flyte", reason="the Flyte SDK is not installed")

import numpy as np
from flyte_nb.engine.cluster.passing import Passing
from flyte_nb.io import DataFrame, Dir, File

#: the SDK's own, on the way to its files and tables
pytestmark = pytest.mark.filterwarnings("ignore:Support for class-based `config`")
DEFINED = """
import enum
from dataclasses import dataclass

@dataclass
class Point:
    x: int
    inner: object = None

class Colour(enum.Enum):
    RED = 1

def helper(x):
    return x
"""


@pytest.fixture
def modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The same definitions twice: as the kernel has them, and as the SDK's module has them."""
    made = []
    for name in ("passing_here", "passing_there"):
        module = sys.modules[name] = ModuleType(name)
        exec(DEFINED, module.__dict__)
        made.append(module)
    yield made[0], made[1]
    for module in made:
        del sys.modules[module.__name__]


@pytest.fixture
def passing(modules: tuple[ModuleType, ModuleType]) -> Passing:
    return Passing({modules[0].__name__: modules[1]})


def test_classes_are_those_of_the_other_side_also_inside(modules: Any, passing: Passing) -> None:
    here, there = modules
    value = {"points": [here.Point(1, here.Point(2))], "colour": here.Colour.RED, "function": here.helper}
    passed = passing.to_sdk(value)
    assert type(passed["points"][0]) is there.Point
    assert type(passed["points"][0].inner) is there.Point
    assert passed["colour"] is there.Colour.RED
    assert passed["function"] is there.helper
    back = passing.from_sdk(passed)
    assert back == value
    assert type(back["points"][0].inner) is here.Point


def test_other_values_stay(passing: Passing) -> None:
    array = np.arange(1000)
    passed = passing.to_sdk({"array": array, "n": 1, "text": "a", "none": None})
    assert (passed["array"] == array).all()
    assert passing.to_sdk(3) == 3
    assert passing.to_sdk(lambda: 5)() == 5


def test_what_lies_in_a_storage_stays_there(passing: Passing) -> None:
    import flyte.io

    for ours, theirs in ((File, flyte.io.File), (Dir, flyte.io.Dir)):
        passed = passing.to_sdk([ours("s3://bucket/it", format="csv")])[0]
        assert (type(passed), passed.path, passed.format) == (theirs, "s3://bucket/it", "csv")
        back = passing.from_sdk(passed)
        assert (type(back), back.path, back.format) == (ours, "s3://bucket/it", "csv")
    passed = passing.to_sdk(DataFrame(uri="s3://bucket/table"))
    assert (type(passed), passed.uri) == (flyte.io.DataFrame, "s3://bucket/table")
    assert passing.from_sdk(passed).uri == "s3://bucket/table"
