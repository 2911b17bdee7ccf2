"""Shapes: how values are written as text and read again, one shape for each kind of value."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flyte_nb.environments.accelerators import DEVICES
from flyte_nb.environments.devices import Device, check_accelerator, parse_accelerator
from flyte_nb.errors import suggestion

__all__ = [
    "ACCELERATOR", "BYTES", "CORES", "COUNT", "DURATION", "FIXED", "FLAG", "LINES", "NUMBER", "PAIR_OF_COUNTS", "TEXT",
    "VARIABLES", "WORDS", "Shape", "choice", "pair",
]  # fmt: skip

_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+(?:\.\d+)?)s?)?")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_INTEGER = re.compile(r"-?\d{1,18}")
_FLOAT = re.compile(r"-?(\d+\.\d*|\.\d+)")
_DEVICE = re.compile(r"(?P<name>[^:/]+)(?::(?P<count>\d{1,9}))?(?:/(?P<partition>\S+))?")
_CLASS_OF = {name: kind for kind, names in DEVICES.items() for name in names}


@dataclass(frozen=True)
class Shape:
    """How values of one kind are written as text, and read.

    Parameters
    ----------
    kind : str
        The name of the shape, by which a control for it is chosen.
    show : callable
        Gives the text of a value; that of None is empty.
    read : callable
        Gives the value of a text that is not empty; raises ValueError with the reason. Whether the value is right for
        its field is left to the declaration.
    choices : tuple of str
        The texts that there are, where it is one of some.
    of : tuple of type
        The types of the values that a text can say; a value of another type is made in code.
    """

    kind: str
    show: Callable[[Any], str]
    read: Callable[[str], Any]
    choices: tuple[str, ...] = ()
    of: tuple[Any, ...] = (str,)

    def says(self, value: Any) -> bool:
        """Tell whether a text can say a value."""
        if not self.of:
            return False
        if self.choices and value is not None:
            return self.show(value) in self.choices
        if self.kind == "lines" and isinstance(value, self.of) and len(value):
            return self.show(value).count("\n") == len(value) - 1
        return value is None or isinstance(value, self.of)


# --- one value ---


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(text: str) -> Any:
    """Read a number as a person would write it in code; anything else stays text."""
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _count(text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError("it is not a whole number")
    return int(text)


def _decimal(text: str) -> float | int:
    number = _number(text)
    if isinstance(number, str):
        raise ValueError("it is not a number")
    return number  # type: ignore[no-any-return]


def _flag(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("it is not yes or no")
    return text == "yes"


def _show_flag(value: Any) -> str:
    return "yes" if value else "no"


def _show_duration(value: Any) -> str:
    if not isinstance(value, timedelta):
        return _text(value)
    seconds = value.total_seconds()
    if seconds < 0 or value.microseconds or not seconds:
        return f"{seconds:g}s" if float(f"{seconds:g}") == seconds else f"{seconds!r}s"
    words, rest = [], int(seconds)
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        words += [f"{count}{unit}"] if count else []
    return " ".join(words)


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise ValueError("it is not a length of time, such as 90, 90s, 5m or 1h 30m")
    days, hours, minutes = (int(part or 0) for part in found.groups()[:3])
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=float(found[4] or 0))
    except OverflowError:
        raise ValueError("it is longer than can be told") from None


TEXT = Shape("text", _text, str.strip)
COUNT = Shape("text", _text, _count, of=(int,))
NUMBER = Shape("text", _text, _decimal, of=(int, float))
DURATION = Shape("text", _show_duration, _duration, of=(int, timedelta))
FLAG = Shape("flag", _show_flag, _flag, of=(bool,))
#: what is made in code only
FIXED = Shape("fixed", lambda value: "", str, of=())


def choice(choices: tuple[str, ...]) -> Shape:
    """Give the shape of one of some texts."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(suggestion(text, choices))
        return text

    return Shape("choice", _text, read, choices)


# --- amounts, and pairs of them ---


def pair(read: Callable[[str], Any], kind: str = "pair") -> Shape:
    """Give the shape of one value or a pair of two, written ``1:2``."""

    def show(value: Any) -> str:
        if not isinstance(value, tuple):
            return _text(value)
        return ":".join(map(_text, value if value[0] != value[-1] else value[:1]))

    def read_pair(text: str) -> Any:
        parts = [part.strip() for part in text.split(":")]
        if len(parts) == 1:
            return read(parts[0])
        if len(parts) != 2 or not all(parts):
            raise ValueError("a pair has two values")
        return read(parts[0]), read(parts[1])

    return Shape(kind, show, read_pair, of=(int, float, str, tuple))


CORES = pair(_number)
BYTES = pair(str)
PAIR_OF_COUNTS = pair(_count, "text")


# --- accelerators: A100:2, A100:1/1g.5gb, V5E:4/2x2, TPU:1, or a count of any GPU ---


def _show_device(value: Any) -> str:
    if not isinstance(value, Device):
        return _text(value)
    name = value.device or value.device_class
    return f"{name}:{value.quantity}{f'/{value.partition}' if value.partition else ''}"


def _device(text: str) -> Any:
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    found = _DEVICE.fullmatch(text)
    if found is None:
        raise ValueError("it is not an accelerator, such as A100:1, A100:1/1g.5gb or 2")
    name, count, partition = found["name"], int(found["count"] or 1), found["partition"]
    if name in DEVICES:
        return Device(count, name, None, partition)  # type: ignore[arg-type]  # one of the keys
    if name not in _CLASS_OF:
        return check_accelerator(f"{name}:{count}")
    device = Device(count, _CLASS_OF[name], name, partition)
    try:
        return f"{name}:{count}" if parse_accelerator(f"{name}:{count}") == device else device
    except ValueError:  # what no string can say
        return device


ACCELERATOR = Shape("accelerator", _show_device, _device, of=(int, str, Device))


# --- several values ---


def _show_lines(value: Any) -> str:
    return "\n".join(map(str, value or ()))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.split("\n") if line.strip())


def _show_words(value: Any) -> str:
    return shlex.join(value) if isinstance(value, list) else _text(value)


def _show_variables(value: Mapping[str, str] | None) -> str:
    return "\n".join(f"{name}={text}" for name, text in (value or {}).items())


def _variables(text: str) -> dict[str, str]:
    found = {}
    for line in filter(None, map(str.strip, text.split("\n"))):
        name, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"{name!r} has no value; write NAME=VALUE")
        found[name.strip()] = value
    return found


LINES = Shape("lines", _show_lines, _lines, of=(tuple, list))
WORDS = Shape("text", _show_words, str, of=(str, list))
VARIABLES = Shape("lines", _show_variables, _variables, of=(dict,))
