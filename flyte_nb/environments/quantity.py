"""Quantity: an amount in the grammar of Kubernetes, such as "500m", "4Gi" or "1e3", held exactly."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from flyte_nb.environments.declaration import WrongType

__all__ = ["Quantity", "has_unit"]

_PER_ONE = 10**9  # Kubernetes keeps nothing finer than a nano
_LARGEST = (2**63 - 1) * _PER_ONE  # nor anything larger than this
_DECIMAL = {suffix: 10 ** (3 * power) for power, suffix in enumerate(["n", "u", "m", "", "k", "M", "G", "T", "P", "E"])}
_BINARY = {f"{letter}i": 1024**power * _PER_ONE for power, letter in enumerate("KMGTPE", start=1)}
_NANOS = {**_BINARY, **_DECIMAL}

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_TEXT = re.compile(rf"({_NUMBER})(?:[eE]([+-]?[0-9]{{1,3}})|([numkMGTPE]|[KMGTPE]i)?)")
_OTHER_UNIT = re.compile(rf"({_NUMBER})\s*([A-Za-z]+)")


@dataclass(frozen=True, order=True)
class Quantity:
    """An amount of something: cores, bytes, a count.

    Two quantities are equal, and hash alike, when they are the same amount: ``1Gi`` and ``1024Mi``. They
    order by amount and add up without rounding. ``str()`` gives the shortest text, which reads back as the
    same quantity.

    Parameters
    ----------
    nanos : int
        The amount, in thousand-millionths: the finest amount Kubernetes keeps.

    Raises
    ------
    ValueError
        When it is negative, or more than 2**63 - 1, the largest amount Kubernetes keeps.
    """

    nanos: int = 0

    def __post_init__(self) -> None:
        if self.nanos < 0:
            raise ValueError("it is negative")
        if self.nanos > _LARGEST:
            raise ValueError("it is more than 2**63 - 1, the largest quantity there is")

    @classmethod
    def parse(cls, given: str | int | float) -> Quantity:
        """Read a quantity; what is finer than a nano is rounded up, as Kubernetes does.

        Parameters
        ----------
        given : str, int or float
            A number; in text optionally followed by a decimal suffix (n u m k M G T P E), a binary one
            (Ki Mi Gi Ti Pi Ei) or an exponent (``e3``). A float stands for its shortest decimal text.

        Raises
        ------
        WrongType
            When it is none of these types; a bool is not a number here.
        ValueError
            When it is not such a text, not finite, negative, or too large; the message says which.
        """
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise WrongType(f"it is of type {type(given).__name__}")
        text = given if isinstance(given, str) else str(given)
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(_why_not(text))
        number, exponent, suffix = match.groups()
        return cls(math.ceil(Fraction(Decimal(number)) * Fraction(10) ** int(exponent or 0) * _NANOS[suffix or ""]))

    @property
    def value(self) -> Fraction:
        """The amount, exactly."""
        return Fraction(self.nanos, _PER_ONE)

    def __add__(self, other: Quantity) -> Quantity:
        """Add up two quantities; ``sum(many, Quantity())`` adds up many."""
        return Quantity(self.nanos + other.nanos) if isinstance(other, Quantity) else NotImplemented

    def __str__(self) -> str:
        whole = (f"{self.nanos // nanos}{suffix}" for suffix, nanos in _NANOS.items() if self.nanos % nanos == 0)
        return min(whole, key=len)


def has_unit(text: str) -> bool:
    """Tell whether the text of a quantity has a suffix or an exponent, so that it is not a bare number."""
    return any(character.isalpha() for character in text)


def _why_not(text: str) -> str:
    """Word why a text is not a quantity, and what was probably meant."""
    if not text.strip():
        return "it is empty"
    if re.fullmatch(r"[+-]?(nan|inf|infinity)", text.strip().lower()):
        return "it is not a finite number"
    other = _OTHER_UNIT.fullmatch(text.strip())
    if other is None:
        return "it is not a number with a unit of Kubernetes"
    number, unit = other.groups()
    near = _near_units(unit)
    if not near:
        return f"{unit!r} is not a unit; there is {', '.join(suffix for suffix in _NANOS if suffix)}"
    return f"{unit!r} is not written so; did you mean {' or '.join(repr(number + suffix) for suffix in near)}?"


def _near_units(unit: str) -> list[str]:
    """Give the units that ``unit`` may stand for, by its first letters; a milli is never meant by them."""
    if unit in _NANOS:  # it is right, with a space before it
        return [unit]
    stem = unit[:2].lower() if unit[1:2].lower() == "i" else unit[0].lower()
    return [suffix for suffix in (*_DECIMAL, *_BINARY) if suffix not in ("", "m") and suffix.lower().startswith(stem)]
