"""Magic line: the options of a ``%%flyte NAME`` line, edited where they are written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from flyte_nb.environments.declaration import looks_secret
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.resources import Resources

__all__ = ["edited_line", "options_for"]

_FLAG = "--interruptible"
_LISTED = ("--secret", "--include", "--depends-on")
_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""")
#: an option and its value; None for the flag
Option = tuple[str, str | None]


class _Written(NamedTuple):
    """An option as it stands on the line, the white space before it included."""

    option: Option
    start: int
    end: int


def options_for(field: str, value: Any) -> list[Option] | None:
    """Give the options that declare one field; None where the line has none that say the same.

    Parameters
    ----------
    field : str
        The name of a field of a `TaskEnvironment`.
    value : object
        Its value; at its default the list is empty.
    """
    spell = _SPELLED.get(field)
    options = spell(value) if spell is not None else None
    return None if options is None or any(map(_unfit, options)) else options


def _unfit(option: Option) -> bool:
    """Tell whether a value cannot stand on the line: it has lines itself, or looks like a secret."""
    name, value = option
    variable, _, held = (value or "").partition("=")
    return "\n" in (value or "") or "\r" in (value or "") or (name == "--env" and looks_secret(variable, held))


def _text(option: str) -> Callable[[Any], list[Option] | None]:
    def spell(value: Any) -> list[Option] | None:
        return [] if value is None else [(option, value)] if isinstance(value, str) else None

    return spell


def _cache(value: Any) -> list[Option] | None:
    return [] if value == "disable" else [("--cache", value)] if isinstance(value, str) else None


def _many(option: str) -> Callable[[Any], list[Option] | None]:
    def spell(value: Any) -> list[Option] | None:
        if value is None or value == ():
            return []
        plain = isinstance(value, list | tuple) and value and all(type(item) is str for item in value)
        return [(option, item) for item in value] if plain else None

    return spell


def _resources(value: Any) -> list[Option] | None:
    if value is None:
        return []
    if type(value) is not Resources or value.shm is not None:
        return None
    given = {name: getattr(value, name) for name in ("cpu", "memory", "gpu", "disk")}
    found = {name: held for name, held in given.items() if held is not None}
    plain = all(_says(held) for held in found.values())
    return [(f"--{name}", str(held)) for name, held in found.items()] if found and plain else None


def _says(value: Any) -> bool:
    """Tell whether an option makes this value of its text again."""
    return (type(value) is int and value >= 0) or (type(value) is str and not re.fullmatch(r"\d+", value))


def _variables(value: Any) -> list[Option] | None:
    if value == {}:
        return None
    return [("--env", f"{name}={text}") for name, text in (value or {}).items()]


def _reusable(value: Any) -> list[Option] | None:
    if value is None:
        return []
    usual = ReusePolicy()
    if any(getattr(value, name) != getattr(usual, name) for name in ("idle_ttl", "scaledown_ttl", "scope")):
        return None
    least, most = value.replicas
    options: list[Option] = [("--replicas", str(least) if least == most else f"{least}:{most}")]
    return [*options, ("--concurrency", str(value.concurrency))] if value.concurrency != 1 else options


def _dependencies(value: Any) -> list[Option] | None:
    return [("--depends-on", env.name) for env in value]


_SPELLED: dict[str, Callable[[Any], list[Option] | None]] = {
    "resources": _resources,
    "image": lambda value: [] if value == "auto" else [("--image", value)] if isinstance(value, str) else None,
    "description": _text("--description"),
    "cache": _cache,
    "env_vars": _variables,
    "secrets": _many("--secret"),
    "include": _many("--include"),
    "depends_on": _dependencies,
    "interruptible": lambda value: [(_FLAG, None)] if value else [],
    "reusable": _reusable,
}
_FIELDS = {
    "resources": ("--cpu", "--memory", "--gpu", "--disk"),
    "reusable": ("--replicas", "--concurrency"),
    "env_vars": ("--env",),
    "secrets": ("--secret",),
    "include": ("--include",),
    "depends_on": ("--depends-on",),
    "interruptible": (_FLAG,),
    "image": ("--image",),
    "description": ("--description",),
    "cache": ("--cache",),
}


def edited_line(line: str, fields: Sequence[tuple[str, list[Option]]]) -> str:
    """Give the line with the options of some fields edited; all others stay as they are written.

    Parameters
    ----------
    line : str
        The line, ``%%flyte`` included.
    fields : sequence of (str, list of option)
        What the options of each field become.
    """
    for field, wanted in fields:
        line = _edited(line, _FIELDS[field], wanted)
    return line


def _edited(line: str, names: tuple[str, ...], wanted: list[Option]) -> str:
    written = [one for one in _options(line) if one.option[0] in names]
    pairs = list(_matched(written, wanted))
    rest = list(wanted)
    for _, kept in pairs:
        if kept is not None:
            rest.remove(kept)
    for one, kept in reversed(pairs):
        if kept != one.option:
            line = line[: one.start] + ("" if kept is None else f" {_spelled(kept)}") + line[one.end :]
    return line.rstrip() + "".join(f" {_spelled(option)}" for option in rest)


def _matched(written: list[_Written], wanted: list[Option]) -> Iterator[tuple[_Written, Option | None]]:
    """Give for each option on the line what it becomes; None for one that goes."""
    left = list(wanted)
    for one in written:
        if one.option[0] in _LISTED:  # what is added comes after what stays, so that has to come first
            found = left[0] if left and left[0] == one.option else None
        else:
            found = next((option for option in left if _key(option) == _key(one.option)), None)
        if found is not None:
            left.remove(found)
        yield one, found


def _key(option: Option) -> tuple[str, str]:
    """Give what two values of one setting share: the option, and the name of a variable."""
    name, value = option
    return name, (value or "").partition("=")[0] if name == "--env" else ""


def _options(line: str) -> Iterator[_Written]:
    """Give the options of a line, in order."""
    words = list(_WORD.finditer(line))
    index = 0
    while index < len(words):
        start = words[index - 1].end() if index else 0
        (text,) = shlex.split(words[index][0]) or [""]
        name, equals, value = text.partition("=")
        index += 1
        if not name.startswith("--"):
            continue
        end, held = words[index - 1].end(), value if equals else None
        if not equals and name != _FLAG and index < len(words):
            (held,) = shlex.split(words[index][0]) or [""]
            end = words[index].end()
            index += 1
        yield _Written((name, held), start, end)


def _spelled(option: Option) -> str:
    name, value = option
    if value is None:
        return name
    return f"{name}={shlex.quote(value)}" if value.startswith("-") else f"{name} {shlex.quote(value)}"
