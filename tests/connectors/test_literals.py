"""Values as literals of Flyte's protocol, and back: with the types that are declared, and with the protocol's own."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.connectors.literal_types import dict_of, kind_of_type, kind_of_value, struct_of, type_of_kind
from flyte_nb.connectors.literals import from_literal, from_literals, to_literal, to_literals
from flyte_nb.errors import RuntimeDataValidationError, UsageError
from flyte_nb.io import DataFrame, Dir, File
from flyteidl2.core import literals_pb2, types_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Step:
    at: datetime
    took: timedelta = timedelta(0)


@dataclass
class Plan:
    name: str
    first: Step | None = None
    steps: list[Step] = field(default_factory=list)
    colour: Colour = Colour.RED
    table: dict[str, Any] = field(default_factory=dict)


class Model(BaseModel):
    count: int
    plan: Plan


NOW = datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=timezone.utc)
PLAN = Plan("a", Step(NOW, timedelta(seconds=1.5)), [Step(NOW)], Colour.BLUE, {"a": [1, None]})


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int), (0.5, float), ("a", str), (True, bool), (None, type(None)), (NOW, datetime), (NOW.date(), date),
        (timedelta(days=-1, microseconds=7), timedelta), (Colour.BLUE, Colour),
        ([1, 2], list[int]), ([], list[str]), ([[Colour.RED]], list[list[Colour]]),
        ({"a": 1}, dict[str, int]), ({}, dict[str, int]), ({1: "a"}, dict[int, str]), ({"a": [1, {"b": None}]}, dict),
        ({"a": ["b"]}, dict[str, Any]), (PLAN, Plan), (Model(count=1, plan=PLAN), Model),
        ({"a": PLAN}, dict[str, Plan]),
        (1, int | None), (None, int | None), ("1", int | str), (True, int | bool), (PLAN, Plan | None),
        ([1, None, "a"], list[int | str | None]),
        (File("s3://a/b.csv", format="csv", hash="h"), File), (Dir("/d"), Dir), (DataFrame("/t", "csv"), DataFrame),
        ([1, "a", None], Any), ([1, 2], list), ([], Any),
    ],
)  # fmt: skip
def test_values_come_back(value: Any, kind: Any) -> None:
    assert from_literal(to_literal(value, kind), kind) == value


json_data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(json_data)
@settings(max_examples=100, deadline=None)
def test_any_json_data_comes_back_as_it_was(value: Any) -> None:
    back = from_literal(literals_pb2.Literal.FromString(to_literal(value).SerializeToString()))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "kind", [int, float | None, list[dict[str, Colour]], dict[str, bool | str], File, Dir, DataFrame]
)
def test_types_come_back(kind: Any) -> None:
    again = kind_of_type(type_of_kind(kind))
    assert type_of_kind(again) == type_of_kind(kind)


def test_a_server_knows_classes_by_their_shape() -> None:
    kind = kind_of_type(type_of_kind(Model))
    made = from_literal(to_literal(Model(count=3, plan=PLAN), Model), kind)
    assert (type(made).__name__, made.count, made.plan.name) == ("Model", 3, "a")
    assert (made.plan.first.at, made.plan.first.took) == (NOW, timedelta(seconds=1.5))
    assert [step.at for step in made.plan.steps] == [NOW]
    assert made.plan.table == {"a": [1, None]}


def test_what_an_object_leaves_out_has_its_default() -> None:
    kind = kind_of_type(type_of_kind(Plan))
    made = from_literal(to_literal({"name": "b"}), kind)
    assert (made.name, made.first, made.colour) == ("b", None, "r")


def test_an_enum_has_the_names_of_its_members() -> None:
    kind = kind_of_type(type_of_kind(Colour))
    assert from_literal(to_literal(Colour.BLUE), kind) is kind.BLUE


def test_an_int_passes_for_a_float_and_a_float_not_for_an_int() -> None:
    assert repr(from_literal(to_literal(1, float), float)) == "1.0"
    with pytest.raises(UsageError, match=r"given 1\.5; accepted: int"):
        from_literal(to_literal(1.5), int)


def test_a_member_of_a_union_is_tagged_as_the_sdk_does() -> None:
    variants = type_of_kind(int | str | None | list[int] | Plan | Model | Colour).union_type.variants
    assert [variant.structure.tag for variant in variants] == [
        "int", "str", "none", "Typed List", "Object-Dataclass-Transformer", "Pydantic Transformer",
        "DefaultEnumTransformer",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [bytes, set[int], Path, Any, complex, list[bytes], int | bytes, tuple[int, str]])
def test_types_that_have_no_form(kind: Any) -> None:
    with pytest.raises(UsageError, match=r"given the type .*; accepted by a connector server: int, float, str"):
        type_of_kind(kind)


@pytest.mark.parametrize("value", [b"a", {1, 2}, object(), 2**70, {"a": object()}, DataFrame(), [b"a"], 1 + 2j])
def test_values_that_have_no_form(value: Any) -> None:
    with pytest.raises(RuntimeDataValidationError, match=r"'x' of e\.task: "):
        to_literals({"x": value}, {}, "e.task")


def test_a_pickle_is_read_only_where_it_is_trusted() -> None:
    pickled = literals_pb2.Literal(
        scalar=literals_pb2.Scalar(binary=literals_pb2.Binary(value=b"\x80\x04]\x94K\x01a."))
    )
    assert from_literal(pickled, trusted=True) == [1]
    with pytest.raises(UsageError, match="given a pickle, which is not read: reading one runs code"):
        from_literal(pickled)


def test_a_pickle_elsewhere_is_not_read() -> None:
    shape = types_pb2.BlobType(format="PythonPickle")
    blob = literals_pb2.Blob(uri="s3://x", metadata=literals_pb2.BlobMetadata(type=shape))
    with pytest.raises(UsageError, match="given a pickle in s3://x"):
        from_literal(literals_pb2.Literal(scalar=literals_pb2.Scalar(blob=blob)), trusted=True)
    assert kind_of_type(types_pb2.LiteralType(blob=shape)) is Any


@pytest.mark.parametrize(
    ("literal", "told"),
    [
        (literals_pb2.Literal(), "a literal that is empty"),
        (literals_pb2.Literal(scalar=literals_pb2.Scalar()), "a literal of the form None"),
        (literals_pb2.Literal(scalar=literals_pb2.Scalar(error={"message": "x"})), "a literal of the form error"),
        (literals_pb2.Literal(offloaded_metadata={"uri": "s3://x"}), "a literal that is offloaded_metadata"),
    ],
)
def test_literals_that_are_no_values(literal: literals_pb2.Literal, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        from_literal(literal)


def test_several_by_name() -> None:
    literals = to_literals({"a": 1, "b": None, "c": Colour.RED}, {"c": Colour}, "e.task")
    assert from_literals(literals, {"c": Colour}, "e.task") == {"a": 1, "b": None, "c": Colour.RED}
    with pytest.raises(RuntimeDataValidationError, match=r"'a' of e\.task: given 1; accepted: str"):
        from_literals(literals, {"a": str}, "e.task")


def test_what_nobody_declared() -> None:
    assert kind_of_value([1, "a", 2]) == list[int | str]
    assert kind_of_value([[1], []]) == list[list[int]]
    assert kind_of_value({"a": 1}) is dict


def test_json_data_as_a_struct() -> None:
    given = {"a": 1, "b": [True, None, {"c": "x"}], "d": 0.5}
    assert dict_of(struct_of(given)) == given
