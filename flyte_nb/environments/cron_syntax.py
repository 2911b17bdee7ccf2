"""Cron syntax: five fields or a word, as the scheduler reads them, and the names of time zones."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from typing import NamedTuple

from flyte_nb.errors import suggestion

__all__ = ["check_expression", "check_zone"]

_WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?P<first>\*|\?|[0-9]+|[A-Za-z]+)(-(?P<last>[0-9]+|[A-Za-z]+))?(/(?P<step>[0-9]+))?")


class _Field(NamedTuple):
    name: str
    least: int
    most: int
    names: Sequence[str] = ()
    may_be_blank: bool = False  # "?" leaves one of the two kinds of days open


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31, may_be_blank=True),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS, may_be_blank=True),  # 0 and 7 are both Sunday
)


def check_expression(expression: str) -> str:
    """Check a cron expression and return it as it is.

    Raises
    ------
    ValueError
        Naming the field that is wrong, and what it accepts.
    """
    if expression.startswith("@"):
        return _check_word(expression)
    if "=" in expression:
        raise ValueError("the time zone has a field of its own: timezone")
    fields = re.split("[ \t]+", expression.strip(" \t"))
    if len(fields) != len(_FIELDS):
        raise ValueError(f"it has {len(fields) if expression.strip() else 0} fields, not 5")
    for text, field in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            _check_part(part, field)
    return expression


def _check_word(expression: str) -> str:
    if expression.startswith("@every"):
        raise ValueError("use FixedRate for an interval")
    if expression not in _WORDS:
        raise ValueError(suggestion(expression, _WORDS))
    return expression


def _check_part(part: str, field: _Field) -> None:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"{part!r} is no {field.name}")
    first, last, step = match["first"], match["last"], match["step"]
    if first in "*?":
        if last is not None or (first == "?" and not field.may_be_blank):
            raise ValueError(f"{part!r} is no {field.name}")
    elif last is not None and _number(first, field) > _number(last, field):
        raise ValueError(f"the {field.name} {part!r} runs backwards")
    else:
        _number(first, field)
    if step is not None and int(step) == 0:
        raise ValueError(f"the {field.name} {part!r} steps by 0")


def _number(text: str, field: _Field) -> int:
    """Give the number that a value of a field stands for."""
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.least
    if not text.isdigit() or not field.least <= int(text) <= field.most:
        names = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise ValueError(f"the {field.name} {text!r} is not from {field.least} to {field.most}{names}")
    return int(text)


def check_zone(zone: str) -> str:
    """Check the name of a time zone and return it as it is; where no zones are installed, any name passes.

    Raises
    ------
    ValueError
        With the nearest names there are.
    """
    if zone == "UTC":  # known without a database of zones
        return zone
    try:
        zoneinfo.ZoneInfo(zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):  # OSError: the name of a folder of zones
        known = zoneinfo.available_timezones()
        if known:
            raise ValueError(suggestion(zone, sorted(known))) from None
    return zone
