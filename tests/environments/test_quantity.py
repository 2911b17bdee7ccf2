"""Quantities: the grammar of Kubernetes, exact order and sums, one text for one amount."""

import contextlib
import math
from dataclasses import FrozenInstanceError
from decimal import Decimal
from fractions import Fraction

import pytest
from flyte_nb.environments.quantity import Quantity, has_unit
from hypothesis import given
from hypothesis import strategies as st

FACTORS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "E": 10**18,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
    "Ei": 2**60,
}

quantities = st.builds(Quantity, st.integers(0, 10**24) | st.sampled_from([2**30, 10**15, 0]))
texts = (
    st.tuples(st.integers(0, 2000), st.integers(0, 999), st.sampled_from(sorted(FACTORS)))
    .map(
        lambda parts: (
            f"{parts[0]}.{parts[1]:03}{parts[2]}",
            (parts[0] + Fraction(parts[1], 1000)) * FACTORS[parts[2]],
        )
    )
    .filter(lambda pair: pair[1] < 2**63 - 1)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1Gi", 1024**3),
        ("1024Mi", 1024**3),
        ("1073741824", 1024**3),
        ("500m", Fraction(1, 2)),
        ("0.5", Fraction(1, 2)),
        ("1e3", 1000),
        ("1E3", 1000),
        ("12e-1", Fraction(6, 5)),
        ("1E", 10**18),
        ("1.5k", 1500),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("+2", 2),
        ("0", 0),
        ("-0", 0),
        ("7Ei", 7 * 1024**6),
        ("3u", Fraction(3, 10**6)),
        ("100n", Fraction(1, 10**7)),
    ],
)
def test_the_grammar(text, value):
    assert Quantity.parse(text).value == value


@pytest.mark.parametrize(("number", "value"), [(2, 2), (0.1, Fraction(1, 10)), (1e-7, Fraction(1, 10**7)), (0, 0)])
def test_numbers_stand_for_their_shortest_decimal_text(number, value):
    assert Quantity.parse(number).value == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("nan", "not a finite number"),
        ("-inf", "not a finite number"),
        (math.nan, "not a finite number"),
        (math.inf, "not a finite number"),
        ("-1", "it is negative"),
        (-0.5, "it is negative"),
        ("-1Gi", "it is negative"),
        ("lots", "not a number"),
        ("1.2.3", "not a number"),
        ("1e3Ki", "not a number"),
        ("\uff12", "not a number"),
        ("1GB", "did you mean '1G' or '1Gi'"),
        ("1gi", "did you mean '1Gi'"),
        ("1GiB", "did you mean '1Gi'"),
        ("1K", "did you mean '1k' or '1Ki'"),
        ("2 Gi", "did you mean '2Gi'"),
        (" 2Gi", "did you mean '2Gi'"),
        ("2Gi\n", "did you mean '2Gi'"),
        ("4mb", "did you mean '4M' or '4Mi'"),
        ("2 cores", "'cores' is not a unit; there is"),
        ("8Ei", "more than"),
        (2**63, "more than"),
        ("1e999", "more than"),
        (1e300, "more than"),
        ("1e99999", "not a number"),
        ("9" * 6000, "more than"),
    ],
)
def test_what_is_refused_and_why(text, reason):
    with pytest.raises(ValueError, match=reason):
        Quantity.parse(text)


@pytest.mark.parametrize("other", [True, None, [], (1, 2), b"1", 1j, Decimal(1)])
def test_other_types_are_refused(other):
    with pytest.raises(ValueError, match="it is of type"):
        Quantity.parse(other)


def test_finer_than_a_nano_is_rounded_up():
    assert Quantity.parse("0.1n") == Quantity.parse("1n") == Quantity(1)
    assert Quantity.parse("1e-300") == Quantity(1)


@pytest.mark.parametrize(
    ("given_text", "text"),
    [
        ("1024Mi", "1Gi"),
        ("1073741824", "1Gi"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("128G", "128G"),
        ("1e3", "1k"),
        ("0Gi", "0"),
        ("1.5Gi", "1536Mi"),
        ("1001", "1001"),
        ("1000k", "1M"),
    ],
)
def test_one_text_for_one_amount(given_text, text):
    assert str(Quantity.parse(given_text)) == text


def test_equal_amounts_are_equal_and_hash_alike():
    same = {Quantity.parse(text) for text in ("1Gi", "1024Mi", "1048576Ki", "1073741824")}
    assert len(same) == 1


def test_it_is_frozen_and_starts_at_zero():
    with pytest.raises(FrozenInstanceError):
        Quantity(5).nanos = 6
    assert Quantity() == Quantity.parse(0)
    with pytest.raises(ValueError, match="negative"):
        Quantity(-1)


def test_only_quantities_add_up_and_compare():
    with pytest.raises(TypeError):
        Quantity(1) + 1
    with pytest.raises(TypeError):
        assert Quantity(1) < 2


@pytest.mark.parametrize(("text", "unit"), [("1", False), ("1.5", False), ("5.", False), ("1k", True), ("1e3", True)])
def test_has_unit(text, unit):
    assert has_unit(text) is unit


@given(texts)
def test_parsing_is_exact_up_to_a_nano(pair):
    text, value = pair
    assert Quantity.parse(text).value == Fraction(math.ceil(value * 10**9), 10**9)


@given(quantities, quantities)
def test_the_order_is_that_of_the_amounts(one, other):
    assert (one < other, one == other, one > other) == (
        one.value < other.value,
        one.value == other.value,
        one.value > other.value,
    )
    assert one != other or hash(one) == hash(other)


@given(quantities)
def test_the_text_reads_back_and_is_canonical(quantity):
    again = Quantity.parse(str(quantity))
    assert again == quantity
    assert str(again) == str(quantity)


@given(st.lists(quantities, max_size=5))
def test_sums_are_exact(many):
    assert sum(many, Quantity()).value == sum((one.value for one in many), Fraction())


@given(st.text(max_size=12) | st.floats() | st.integers())
def test_any_text_is_read_or_refused_with_a_value_error(value):
    with contextlib.suppress(ValueError):
        quantity = Quantity.parse(value)
        assert quantity.value >= 0
        assert Quantity.parse(str(quantity)) == quantity
