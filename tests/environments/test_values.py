"""Values: what fits an annotation, and what it becomes."""

# ruff: noqa: UP007, UP045 - the older spellings of unions are tested too

import collections
import dataclasses
import datetime
import decimal
import enum
import pathlib
import typing
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

import pydantic
import pytest
import typing_extensions
from flyte_nb.environments.annotations import EMPTY, describe
from flyte_nb.environments.values import check_value
from flyte_nb.errors import RuntimeDataValidationError
from hypothesis import given
from hypothesis import strategies as st


class Pair(NamedTuple):
    first: int
    second: str


Other = collections.namedtuple("Other", ["first", "second"])


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


@dataclasses.dataclass(frozen=True)
class Line:
    start: Point
    more: list[Point] = dataclasses.field(default_factory=list)
    label: str = None
    at: datetime.datetime | None = None


class Model(pydantic.BaseModel):
    a: int
    inner: Optional["Model"] = None


class Options(typing_extensions.TypedDict):
    depth: int


class Custom:
    pass


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int),
        ("a", str),
        (True, bool),
        (None, int | None),
        ([1], list[int]),
        ((1, "a"), tuple[int, str]),
        ({"a": 1}, dict[str, int]),
        (Point(1), Point),
        (Model(a=1), Model),
        (Custom(), Custom),
        ({"depth": 1}, Options),
        (Pair(1, "a"), Pair),
        (Colour.RED, Colour),
        (object(), Any),
        (object(), EMPTY),
        (pathlib.Path("a"), pathlib.Path),
        (1.5, float),
        (b"a", bytes),
        ("a", Literal["a"]),
    ],
)
def test_values_that_fit_pass_as_they_are(value, kind):
    assert check_value("x", value, kind, "e.f") is value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("1", int),
        (1.0, int),
        (True, int),
        (1, str),
        (1, bool),
        (None, int),
        (["1"], list[int]),
        ((1,), list[int]),
        ({"a": "1"}, dict[str, int]),
        ({"x": "one"}, Point),
        ({"a": "one"}, Model),
        ({"depth": "deep"}, Options),
        ({}, Options),
        ("red", Colour),
        (1, Custom),
        ("a", pathlib.Path),
        ("1.5", float),
        ("b", Literal["a"]),
    ],
)
def test_values_that_do_not_fit(value, kind):
    with pytest.raises(RuntimeDataValidationError, match=r"x\S* of e\.f: given .* of type .*; accepted: "):
        check_value("x", value, kind, "e.f")


def test_an_int_passes_for_a_float():
    assert type(check_value("x", 3, float, "e.f")) is float


def test_a_number_too_large_for_a_float():
    with pytest.raises(RuntimeDataValidationError):
        check_value("x", 10**400, float, "e.f")


def test_a_value_whose_repr_raises():
    class Bad:
        def __repr__(self):
            raise ZeroDivisionError

    with pytest.raises(RuntimeDataValidationError, match="whose repr raised ZeroDivisionError"):
        check_value("x", Bad(), int, "e.f")


def test_a_type_without_rules_lets_anything_pass():
    assert check_value("x", 3, "no type at all", "e.f") == 3


def test_a_dict_becomes_the_dataclass_or_the_model():
    assert check_value("x", {"x": 1}, Point, "e.f") == Point(1)
    assert check_value("x", {"a": 1}, Model, "e.f") == Model(a=1)


def test_parts_of_containers_become_what_their_annotation_says():
    assert check_value("x", [{"x": 1}], list[Point], "t") == [Point(1)]
    assert check_value("x", {"k": {"a": 1}}, dict[str, Model], "t") == {"k": Model(a=1)}
    assert check_value("x", (1, {"x": 2}), tuple[int, Point], "t") == (1, Point(2))
    assert check_value("x", {"a": 1, "inner": {"a": 2}}, Model, "t") == Model(a=1, inner=Model(a=2))
    made = check_value("x", {"start": {"x": 1}, "more": [{"x": 2}]}, Line, "t")
    assert made == Line(Point(1), [Point(2)])
    floats = check_value("x", {"a": [1, 2.5]}, dict[str, list[float]], "t")
    assert [type(v) for v in floats["a"]] == [float, float]


def test_a_plain_tuple_becomes_the_named_one():
    assert check_value("x", (1, "a"), Pair, "t") == Pair(1, "a")
    assert type(check_value("x", (1, "a"), Pair, "t")) is Pair
    for wrong in [(1,), (1, 2), [1, "a"], Other(1, "a")]:
        with pytest.raises(RuntimeDataValidationError):
            check_value("x", wrong, Pair, "t")


def test_a_container_that_fits_is_not_copied():
    for value, kind in [
        ([Point(1)], list[Point]), ({1: "a"}, dict[int, str]), ({1}, set[int]), (frozenset({1}), frozenset[int]),
        ((1, 2), tuple[int, ...]), ((), tuple[()]), ([1.5], typing.Sequence[float]), (range(3), typing.Sequence[int]),
        (collections.deque([1]), collections.deque[int]), ([[None, 1]], list[list[int | None]]),
    ]:  # fmt: skip
        assert check_value("x", value, kind, "t") is value


def test_a_mapping_keeps_its_class_and_settings():
    given = collections.defaultdict(list, {"a": [1]})
    made = check_value("x", given, collections.defaultdict[str, list[float]], "t")
    assert type(made) is collections.defaultdict
    assert made.default_factory is list
    assert made == {"a": [1.0]}


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ([1, "a"], list[int], r"x\[1\] of t: given 'a' of type str; accepted: int"),
        ({"a": [1, "b"]}, dict[str, list[int]], r"x\['a'\]\[1\] of t: given 'b'"),
        ({1: "a"}, dict[str, str], r"x\[1\] of t: given 1 of type int; accepted: str"),
        (Line(Point("no")), Line, r"x\.start\.x of t: given 'no'"),
        ({"start": {"x": 1, "z": 2}}, Line, r"x\.start of t: .*it has no field 'z'; the fields are x, y"),
        ({}, Point, r"accepted: Point \(.*missing.*'x'"),
        ({"b": 1}, Model, r"accepted: Model \(a: Field required\)"),
        ((1,), tuple[int, str], r"it has 1 items"),
        ({}, Options, r"it has no 'depth'"),
        ("c", Literal["a", "b"], r"accepted: Literal\['a', 'b'\]"),
        (True, Literal[1], r"given True"),
        ("ab", typing.Sequence[str], r"given 'ab'"),
        (1, type[Any], r"given 1"),
        (frozenset({1}), set[int], r"given frozenset"),
        (1, None, r"accepted: None"),
        (1.5, int | str, r"accepted: int \| str"),
        (True, float, r"given True"),
        (1, decimal.Decimal, r"given 1"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(value, kind, said):
    with pytest.raises(RuntimeDataValidationError, match=said) as caught:
        check_value("x", value, kind, "t")
    assert isinstance(caught.value, TypeError)
    assert caught.value.code == "DataValidationError"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, Union[int, float]),
        (1.0, Union[int, float]),
        ("1", int | str),
        (None, Optional[str]),
        (Point(1), Model | Point),
    ],
)
def test_a_union_keeps_the_type(value, kind):
    assert check_value("x", value, kind, "t") is value


def test_a_union_converts_where_nothing_takes_the_value_as_it_is():
    assert check_value("x", {"a": 1}, Point | Model, "t") == Model(a=1)
    assert type(check_value("x", 1, Optional[float], "t")) is float


def test_a_naive_datetime_is_taken_for_utc():
    naive = datetime.datetime(2024, 1, 2, 3)
    aware = naive.replace(tzinfo=datetime.timezone.utc)
    assert check_value("x", naive, datetime.datetime, "t") == aware
    assert check_value("x", [naive], list[datetime.datetime], "t") == [aware]
    assert check_value("x", aware, datetime.datetime | None, "t") is aware
    assert check_value("x", Line(Point(1), at=naive), Line, "t").at is naive
    assert check_value("x", naive, datetime.date, "t") == datetime.date(2024, 1, 2)
    with pytest.raises(RuntimeDataValidationError):
        check_value("x", datetime.date(2024, 1, 2), datetime.datetime, "t")


def test_bytes_are_taken_from_buffers():
    assert check_value("x", bytearray(b"a"), bytes, "t") == b"a"
    assert check_value("x", memoryview(b"a"), bytes, "t") == b"a"


def test_an_enum_takes_its_member_or_its_name():
    assert check_value("x", "RED", Colour, "t") is Colour.RED
    assert check_value("x", "SMALL", Size, "t") is Size.SMALL
    words = enum.Enum("LiteralEnum", {"a": "a"})
    assert check_value("x", "a", words, "t") == "a"
    assert check_value("x", words["a"], words, "t") == "a"
    assert describe(words) == "Literal['a']"


def test_numbers_of_numpy_are_numbers():
    np = pytest.importorskip("numpy")
    for value, kind, expected in [
        (np.int64(3), int, 3), (np.float32(0.5), float, 0.5), (np.float64(1.5), float, 1.5), (np.int8(2), float, 2.0),
        (np.bool_(True), bool, True),
    ]:  # fmt: skip
        made = check_value("x", value, kind, "t")
        assert (made, type(made)) == (expected, kind)
    for value, kind in [(np.arange(1), int), (np.float64(1.5), int), (np.int64(1), bool)]:
        with pytest.raises(RuntimeDataValidationError):
            check_value("x", value, kind, "t")


def test_a_default_fits_whatever_its_type():
    assert check_value("x", Line(Point(1)), Line, "t").label is None


def test_an_instance_with_a_field_to_be_converted_is_copied_and_left_alone():
    line = Line({"x": 1})
    made = check_value("x", line, Line, "t")
    assert made.start == Point(1)
    assert line.start == {"x": 1}


def test_a_class_that_was_defined_again_is_told():
    again = type("Custom", (), {"__module__": __name__, "__qualname__": "Custom"})
    with pytest.raises(RuntimeDataValidationError, match="of an older definition of Custom; make it again"):
        check_value("x", Custom(), again, "t")


def test_types_that_wrap_others():
    assert check_value("x", 1, typing.NewType("Id", int), "t") == 1
    assert check_value("x", 1, Annotated[float, "metres"], "t") == 1.0
    assert check_value("x", len, typing.Callable[..., int], "t") is len
    assert check_value("x", 1, typing.TypeVar("T"), "t") == 1
    assert check_value("x", int, type[int], "t") is int


class Named(typing.Protocol):
    name: str


def test_a_protocol_that_cannot_be_asked_lets_anything_pass():
    assert check_value("x", 3, Named, "t") == 3


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=8))
def test_what_fits_its_own_type_is_given_back_itself(value):
    assert check_value("x", value, type(value), "t") is value
    assert check_value("x", [value], list[Any], "t") == [value]
