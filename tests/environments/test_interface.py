import dataclasses
import datetime
import enum
import functools
import inspect
import json
import pathlib
import typing
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
import pytest
import typing_extensions
from flyte_nb.environments.interface import EMPTY, NativeInterface, describe, parse
from flyte_nb.errors import ParameterError
from hypothesis import given
from hypothesis import strategies as st


class Pair(NamedTuple):
    first: int
    second: str


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Model(pydantic.BaseModel):
    a: int


class Options(typing_extensions.TypedDict):
    depth: int


class Custom:
    def __init__(self, x=1):
        self.x = x


of = NativeInterface.from_callable


# --- from_callable ---


def test_inputs_with_types_and_defaults():
    def f(a: int, b: str = "x", *, c=3, d: "Point | None" = None) -> float:
        """Say it."""

    interface = of(f)
    assert interface.inputs == {"a": (int, EMPTY), "b": (str, "x"), "c": (EMPTY, 3), "d": (Point | None, None)}
    assert interface.outputs == {"o0": float}
    assert interface.docstring == "Say it."
    assert interface.required_inputs() == ["a"]
    assert interface.num_required_inputs() == 1
    assert interface.get_input_types() == {"a": int, "b": str, "c": EMPTY, "d": Point | None}


@pytest.mark.parametrize(
    ("annotation", "outputs"),
    [
        (None, {}),
        (int, {"o0": int}),
        (tuple[int, str], {"o0": int, "o1": str}),
        (tuple, {"o0": tuple}),
        (list[int], {"o0": list[int]}),
        (Pair, {"first": int, "second": str}),
        (Any, {"o0": Any}),
        (int | None, {"o0": int | None}),
    ],
)
def test_outputs(annotation, outputs):
    def f(): ...

    f.__annotations__["return"] = annotation
    assert of(f).outputs == outputs
    assert of(f).has_outputs() is bool(outputs)


def test_no_annotation_at_all():
    assert str(of(lambda x, y=1: None)) == "(x, y = 1) -> None"


@pytest.mark.parametrize("annotation", [tuple[int], tuple[int, ...]])
def test_tuples_that_are_refused(annotation):
    def f(): ...

    f.__annotations__["return"] = annotation
    with pytest.raises(TypeError, match="a tuple of two or more types"):
        of(f)


def test_parameters_that_have_no_name():
    with pytest.raises(ValueError, match=r"given \*args; accepted: named inputs"):
        of(lambda *args: None)
    with pytest.raises(ValueError, match=r"given \*\*kw"):
        of(lambda **kw: None)
    with pytest.raises(ValueError, match="given 'a' before '/'"):
        of(lambda a, /, b: None)


def test_an_annotation_that_does_not_exist():
    def f(x: "Nowhere") -> None: ...  # noqa: F821 - what the test is about

    with pytest.raises(NameError, match="Nowhere"):
        of(f)


def test_a_wrapped_function_shows_what_it_wraps():
    def f(x: int) -> str: ...

    @functools.wraps(f)
    def wrapper(*args, **kwargs): ...

    assert str(of(wrapper)) == "(x: int) -> str"


# --- words ---


def test_forms():
    def f(a: int, b: list[str] = ()) -> tuple[int, Point]: ...

    assert str(of(f)) == "(a: int, b: list[str] = ()) -> (int, Point)"
    assert repr(of(f)) == "(a: int, b: list[str] = ()) -> (o0: int, o1: Point):"
    assert repr(of(lambda: None)) == "():"


def test_forms_hold_no_address_and_survive_any_default():
    class Bad:
        def __repr__(self):
            raise ValueError

    plain, bad = object(), Bad()
    assert str(of(lambda x=plain: None)) == "(x = <object object>) -> None"
    assert "whose repr raised" in str(of(lambda x=bad: None))


class Odd:
    def __eq__(self, other):
        raise ValueError("ambiguous")

    __hash__ = None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "int"),
        (EMPTY, "Any"),
        (Any, "Any"),
        (list[int], "list[int]"),
        (Point, "Point"),
        (typing.List[int], "List[int]"),  # noqa: UP006
        (int | None, "int | None"),
        (int | str, "int | str"),
        (Literal["a"], "Literal['a']"),
        (Pair, "Pair"),
    ],
)
def test_describe(kind, words):
    assert describe(kind) == words


def test_describe_never_compares():
    assert "Odd object" in describe(Odd())


# --- binding ---


def take(a: int, b: int = 2, c: int = 3) -> None: ...


def test_arguments_are_bound_as_python_does():
    interface = of(take)
    assert interface.convert_to_kwargs(1, c=5) == {"a": 1, "c": 5}
    assert interface.convert_to_kwargs() == {}
    assert interface.complete(1) == {"a": 1}
    assert interface.complete(a=1, b=None) == {"a": 1, "b": None}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1, 2, 3, 4), {}, "given 4 positional inputs; accepted: \\(a: int, b: int = 2, c: int = 3\\)"),
        ((1,), {"a": 2}, "input 'a' is given twice"),
        ((), {"x": 1}, "unknown input 'x'"),
        ((), {"b": 1}, "missing input 'a'"),
    ],
)
def test_arguments_that_do_not_fit(args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        of(take).complete(*args, **kwargs)


@given(st.lists(st.integers(), max_size=4), st.dictionaries(st.sampled_from("abcx"), st.integers()))
def test_complete_agrees_with_the_signature(args, kwargs):
    try:
        expected = inspect.signature(take).bind(*args, **kwargs).arguments
    except TypeError:
        with pytest.raises(ValueError, match="input"):
            of(take).complete(*args, **kwargs)
    else:
        assert of(take).complete(*args, **kwargs) == expected


# --- parse ---


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", str, "3"),
        ("", str, ""),
        ("3", int, 3),
        ("-3", int, -3),
        ("3", float, 3.0),
        ("1e3", float, 1000.0),
        ("true", bool, True),
        ("yes", bool, True),
        ("0", bool, False),
        ("null", int | None, None),
        ("5", int | None, 5),
        ("5", str | None, "5"),
        ("abc", int | str, "abc"),
        ("[1, 2]", list[int], [1, 2]),
        ("[1, 2]", tuple[int, int], (1, 2)),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ("red", Colour, Colour.RED),
        ("RED", Colour, Colour.RED),
        ("RED", Colour | None, Colour.RED),
        ("a", Literal["a", "b"], "a"),
        ("2024-01-02", datetime.date, datetime.date(2024, 1, 2)),
        ("a/b", pathlib.Path, pathlib.Path("a/b")),
        ('{"x": 1}', Point, Point(1)),
        ('{"a": 1}', Model, Model(a=1)),
        ('{"depth": 1}', Options, {"depth": 1}),
        ('[1, "a"]', Pair, Pair(1, "a")),
        ("3", Any, 3),
        ("abc", Any, "abc"),
        ("[1]", EMPTY, [1]),
        ("3", Annotated[int, "note"], 3),
        ("PT1M", datetime.timedelta, datetime.timedelta(minutes=1)),
    ],
)
def test_parse(text, kind, value):
    assert parse(text, kind) == value
    assert type(parse(text, kind)) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("abc", int),
        ("1.5", int),
        ("maybe", bool),
        ("[1, x]", list[int]),
        ("green", Colour),
        ("c", Literal["a"]),
        ("{}", Point),
        ('{"x": 1, "why": 2}', Point),
        ("x", Custom),
        ("{}", Custom),
        ("1", list["Nowhere"]),  # noqa: F821 - what the test is about
    ],
)
def test_text_that_is_no_value_is_a_value_error(text, kind):
    with pytest.raises(ValueError, match=r"."):
        parse(text, kind)


@given(
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
    | st.lists(st.integers())
)
def test_json_comes_back(value):
    assert parse(json.dumps(value), type(value) if value is not None else None) == value


def test_the_inputs_of_a_task_from_text():
    assert of(take).parse({"a": "1", "c": "3"}) == {"a": 1, "c": 3}
    with pytest.raises(ParameterError, match="unknown input 'x'; accepted: \\(a: int"):
        of(take).parse({"x": "1"})
    with pytest.raises(ParameterError, match=r"'a': given 'one'; accepted: int \(Input should be a valid integer"):
        of(take).parse({"a": "one"})
    with pytest.raises(ParameterError, match="accepted: no inputs"):
        of(lambda: None).parse({"x": "1"})


def test_none_passes_where_it_is_the_default():
    def f(x: int = None, y: "str | None" = None, z=None): ...  # noqa: RUF013 - what people write

    kinds = NativeInterface.from_callable(f).get_input_types()
    assert kinds == {"x": int | None, "y": str | None, "z": EMPTY}


def test_the_repr_names_types_as_they_are_written():
    def f(x: typing.Optional[int] = None, y: Any = 1, z: Literal["a"] = "a") -> dict[str, Point]: ...  # noqa: UP045

    optional = repr(typing.get_type_hints(f)["x"])
    told = repr(NativeInterface.from_callable(f))
    assert told == f"(x: {optional} = None, y: Any = 1, z: LiteralEnum = a) -> o0: {dict[str, Point]!r}:"


@pytest.mark.parametrize("kinds", [(), (int,)])
def test_a_bare_tuple_of_fewer_than_two_types_is_refused(kinds):
    def f(): ...

    f.__annotations__["return"] = kinds
    with pytest.raises(TypeError):
        NativeInterface.from_callable(f)
