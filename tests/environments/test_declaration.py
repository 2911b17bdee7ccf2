import dataclasses
import enum
import json
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.declaration import (
    HIDDEN,
    Change,
    Declaration,
    accepted_by,
    looks_secret,
    mask,
    plain,
    same,
    shorten,
    stable_repr,
)
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret
from flyte_nb.errors import DeclarationError, DeclarationTypeError, DeclarationValueError
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


class Raises:
    def __repr__(self):
        raise ZeroDivisionError

    def __eq__(self, other):
        raise ZeroDivisionError

    __hash__ = None


# --- checks ---


def test_a_wrong_type_names_field_given_and_accepted():
    with pytest.raises(DeclarationTypeError) as caught:
        Environment("e", interruptible=3)
    assert str(caught.value) == "Environment.interruptible: given 3 (it is of type int); accepted: bool"


@pytest.mark.parametrize("catch", [TypeError, ValueError, DeclarationError])
def test_a_wrong_type_is_caught_as_any_of_these(catch):
    with pytest.raises(catch):
        Environment(3)


def test_a_wrong_value_is_no_type_error():
    with pytest.raises(DeclarationValueError, match="rename it") as caught:
        Environment("No Name")
    assert not isinstance(caught.value, TypeError)
    assert (caught.value.field, caught.value.given) == ("Environment.name", "'No Name'")


def test_the_item_that_is_wrong_is_named():
    with pytest.raises(DeclarationTypeError, match="item 'B' is of type int"):
        Environment("e", env_vars={"A": "x", "B": 1})


def test_a_bool_is_no_number():
    with pytest.raises(DeclarationTypeError):
        Resources(cpu=True)


def test_a_subclass_made_with_dataclass_is_checked_too():
    @dataclass
    class Mine(Environment):
        extra: int = 0

    with pytest.raises(DeclarationTypeError, match=r"Mine.interruptible: given 'yes'"):
        Mine("e", interruptible="yes")
    assert Mine("e", extra="anything").extra == "anything"


def test_a_secret_that_is_refused_is_not_shown():
    with pytest.raises(DeclarationError) as caught:
        Environment("e", env_vars={"API_KEY": 12345678})
    assert "12345678" not in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (int | None, "int or None"),
        (list[str | Secret], "list of str or Secret"),
        (Literal["a", "b"], "'a' or 'b'"),
        (Any, "Any"),
        (dict[str, int], "dict[str, int]"),
        (Annotated[int, "note"], "int"),
        (None | str | Resources, "None or str or Resources"),
    ],
)
def test_accepted_by(annotation, words):
    assert accepted_by(annotation) == words


# --- forms ---


def test_equal_declarations_have_the_same_bytes():
    one, other = (Environment("e", env_vars=variables) for variables in ({"A": "1", "B": "2"}, {"B": "2", "A": "1"}))
    assert one == other
    assert one.to_json() == other.to_json() == '{"env_vars":{"A":"1","B":"2"},"name":"e","type":"Environment"}'
    assert one.digest() == other.digest()
    assert one.digest() != Environment("f", env_vars={"A": "1", "B": "2"}).digest()


def test_the_digest_is_the_same_in_another_process():
    code = (
        "from flyte_nb.environments.base import Environment as E; print(E('e', env_vars={'b': '1', 'a': '2'}).digest())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == Environment("e", env_vars={"a": "2", "b": "1"}).digest()


def test_diff_lists_fields_in_order():
    one, other = Environment("e", description="a"), Environment("e", interruptible=True, env_vars={})
    assert one.diff(other) == [
        Change("description", "a", None),
        Change("env_vars", None, {}),
        Change("interruptible", False, True),
    ]
    assert one.diff(one) == []


def test_repr_shows_what_is_set():
    assert repr(Resources(cpu=2)) == "Resources(cpu=2)"
    assert repr(Resources()) == "Resources()"


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Point:
    x: int
    tags: set = field(default_factory=set)


class Model:
    def to_dict(self):
        return {"a": (1, 2)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ((1, [True, "a"]), [1, [True, "a"]]),
        ({1: {"a"}}, {"1": ["a"]}),
        ({"c", "a", "b"}, ["a", "b", "c"]),
        (timedelta(minutes=1), {"seconds": 60.0}),
        (date(2024, 1, 2), "2024-01-02"),
        (Path("a") / "b", "a/b"),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (b"\x01", "01"),
        (Point(1, {2}), {"type": "Point", "x": 1, "tags": [2]}),
        (Model(), {"a": [1, 2]}),
        (dict, "builtins.dict"),
        (len, "builtins.len"),
        (Resources(cpu=1), {"type": "Resources", "cpu": 1}),
    ],
)
def test_plain(value, expected):
    assert plain(value) == expected
    json.dumps(plain(value))


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_data)
def test_json_data_is_plain_already(value):
    assert plain(value) == value


def test_an_address_in_memory_is_never_part_of_a_digest():
    assert stable_repr(object()) == "<object object>"
    assert plain(object()) == plain(object())
    assert stable_repr(Raises()) == "<Raises whose repr raised ZeroDivisionError>"


def test_same_never_raises():
    assert same(1, 1)
    assert not same(1, True)
    assert not same(Raises(), Raises())


# --- what is shown ---


SECRET_NAMES = """API_KEY apiKey token HF_TOKEN PGPASSWORD db-password MYSQL_PWD client_secret AUTH SENTRY_DSN
AWS_SECRET_ACCESS_KEY GOOGLE_CREDENTIALS private_key TOKEN2"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_names_that_look_secret(name):
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name", ["LOG_LEVEL", "MONKEY", "KEYBOARD", "TOKENIZERS_PARALLELISM", "AUTHOR", "COMPASS", "PATH", ""]
)
def test_names_that_do_not(name):
    assert not looks_secret(name)


@pytest.mark.parametrize(
    "value",
    [
        "sk-abc",
        "ghp_abc",
        "github_pat_x",
        "AKIAABC",
        "eyJhbGci.eyJzdWIi.x",
        "-----BEGIN PRIVATE KEY",
        "postgres://me:pw@host/db",
    ],
)
def test_values_that_look_secret(value):
    assert mask("anything", value) == HIDDEN
    assert value not in mask("env_vars", {"A": value})
    assert value not in mask("args", ["a", value])
    assert value not in mask("args", [value] * 10)
    assert value not in mask("nested", {"outer": {"inner": value}})


def test_mask_hides_by_name_at_any_depth():
    shown = mask("env_vars", {"LEVEL": "info", "API_KEY": "hunter2", "deep": {"PASSWORD": "hunter3", "a": 1}})
    assert shown == f"{{'LEVEL': 'info', 'API_KEY': {HIDDEN}, 'deep': {{'PASSWORD': {HIDDEN}, 'a': 1}}}}"


def test_what_is_shown_is_bounded():
    assert len(mask("a", {f"k{n}": "v" * 500 for n in range(1_000)})) < 2_500
    assert mask("a", list(range(100))) == "[0, 1, 2, 3, 4, … 100 in all]"
    assert len(shorten("x" * 10_000)) == 80
    assert shorten(Raises()) == "<Raises whose repr raised ZeroDivisionError>"


def test_environments_are_shown_by_name():
    env = Environment("base", description="x" * 200)
    assert shorten([env]) == "[Environment('base')]"
    assert repr(Environment("e", depends_on=[env])) == "Environment(name='e', depends_on=<1>)"


def test_no_field_is_left_out_of_the_checks():
    names = {f.name for f in dataclasses.fields(Resources)}
    assert {name for name, _ in Resources().__dict__.items()} == names
    assert issubclass(Resources, Declaration)
