"""Forms: declarations from JSON and back, their JSON Schema, and differences applied — one way for all of them."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, TypeVar

from flyte_nb.environments.declaration import Change, Declaration, field_types, plain, reading
from flyte_nb.errors import DeclarationValueError, UnknownNameError

__all__ = ["apply", "from_dict", "from_json", "json_schema"]

_D = TypeVar("_D", bound=Declaration)
Find = Callable[[str], Any]


def _unknown(name: str) -> Any:
    raise UnknownNameError("environment", name)


def from_json(text: str, find: Find = _unknown) -> Declaration:
    """Make the declaration that `Declaration.to_json` gave.

    Parameters
    ----------
    text : str
        The JSON.
    find : callable
        Gives the environment of a name, for ``depends_on``.

    Raises
    ------
    DeclarationError
        When the data is not a declaration, or a field is not what it accepts.
    """
    return from_dict(json.loads(text), find)


def from_dict(data: dict[str, Any], find: Find = _unknown) -> Declaration:
    """Make the declaration that `Declaration.to_dict` gave; it is checked like any other, and not announced.

    Raises
    ------
    DeclarationError
        When the data is not a declaration, or a field is not what it accepts.
    """
    kinds = {kind.__name__: kind for kind in declared_classes()}
    name = data.get("type")
    if name not in kinds:
        raise DeclarationValueError("type", repr(name), ", ".join(sorted(kinds)))
    kind = kinds[str(name)]
    hints = field_types(typing.cast(Any, kind))
    given = {key: value for key, value in data.items() if key != "type"}
    unknown = sorted(set(given) - {f.name for f in dataclasses.fields(typing.cast(Any, kind))})
    if unknown:
        raise DeclarationValueError(
            f"{name}.{unknown[0]}", repr(given[unknown[0]]), f"the fields of {name}", "no such field"
        )
    if "depends_on" in given:
        given["depends_on"] = [find(dependency) for dependency in given["depends_on"]]
    within = reading.set(True)
    try:
        return made(kind, {key: revived(value, hints.get(key, Any), find) for key, value in given.items()})
    finally:
        reading.reset(within)


def made(kind: type[_D], values: dict[str, Any]) -> _D:
    """Make a declaration from field values without its constructor, which may announce it or be closed to callers."""
    declared = kind.__new__(kind)
    for f in dataclasses.fields(typing.cast(Any, kind)):
        default = f.default_factory() if callable(f.default_factory) else f.default
        value = values.get(f.name, default)
        if value is dataclasses.MISSING:
            raise DeclarationValueError(f"{kind.__name__}.{f.name}", "nothing", "a value", "it has no default")
        object.__setattr__(declared, f.name, value)
    declared.__post_init__()
    return declared


def apply(declared: _D, changes: Iterable[Change]) -> _D:
    """Give a declaration with some fields changed: ``apply(a, a.diff(b)) == b``. It is checked, and not announced.

    Raises
    ------
    DeclarationError
        When a field is not what it accepts.
    """
    values = {f.name: getattr(declared, f.name) for f in dataclasses.fields(typing.cast(Any, declared))}
    return made(type(declared), {**values, **{change.field: change.after for change in changes}})


def declared_classes(base: type[Declaration] = Declaration) -> Iterator[type[Declaration]]:
    """Give every declared class, a user's own included; the newest of a name comes last."""
    for kind in base.__subclasses__():
        yield kind
        yield from declared_classes(kind)


def revived(value: Any, hint: Any, find: Find) -> Any:
    """Turn JSON data back into the value of a field, as far as the field's type asks for it."""
    if isinstance(value, dict):
        if isinstance(value.get("type"), str) and value["type"] in {k.__name__ for k in declared_classes()}:
            return from_dict(value, find)
        if set(value) == {"seconds"}:
            return timedelta(seconds=value["seconds"])
        return {key: revived(item, Any, find) for key, item in value.items()}
    kinds = list(alternatives(hint))
    if isinstance(value, list):
        return _sequence(value, kinds, find)
    return _scalar(value, [kind for kind in kinds if isinstance(kind, type)])


def _sequence(value: list[Any], kinds: list[Any], find: Find) -> Any:
    origins = {typing.get_origin(kind) or kind: kind for kind in kinds}
    tupled = tuple in origins and list not in origins
    inner = typing.get_args(origins.get(tuple if tupled else list, Any))
    items = [revived(item, inner[0] if inner else Any, find) for item in value]
    return tuple(items) if tupled else items


def _scalar(value: Any, kinds: list[type]) -> Any:
    if not isinstance(value, str) or str in kinds:
        return value
    for kind in kinds:
        if issubclass(kind, PurePath):
            return Path(value)
        if issubclass(kind, datetime | date):
            return kind.fromisoformat(value)
        if issubclass(kind, Enum):
            return kind(value)
    return value


def alternatives(hint: Any) -> Iterator[Any]:
    """Give the types that an annotation allows, one by one."""
    if hasattr(hint, "__metadata__"):
        yield from alternatives(typing.get_args(hint)[0])
    elif typing.get_origin(hint) in (typing.Union, types.UnionType):
        for inner in typing.get_args(hint):
            yield from alternatives(inner)
    else:
        yield hint


def json_schema(kind: type[Declaration]) -> dict[str, Any]:
    """Give the JSON Schema of a declared class, good enough to build a form from.

    Returns
    -------
    dict
        An object; each property has a title, a default where there is one, what it accepts as the description, and
        patterns, bounds and choices where the field has them.
    """
    properties, required = {}, []
    hints = field_types(typing.cast(Any, kind))
    for f in dataclasses.fields(typing.cast(Any, kind)):
        if f.name not in hints or not f.compare:
            continue
        properties[f.name] = {"title": f.name.replace("_", " "), **_property(hints[f.name])}
        default = f.default_factory() if callable(f.default_factory) else f.default
        if default is dataclasses.MISSING:
            required.append(f.name)
        else:
            properties[f.name]["default"] = plain(default)
    doc = (kind.__doc__ or "").strip().partition("\n")[0]
    return {"title": kind.__name__, "description": doc, "type": "object", "properties": properties,
            "required": required, "additionalProperties": False}  # fmt: skip


def _property(hint: Any) -> dict[str, Any]:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

    bare = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    config = None if dataclasses.is_dataclass(bare) else ConfigDict(arbitrary_types_allowed=True)
    try:
        return TypeAdapter(hint, config=config).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return {}  # an object of a stranger's class: any value, as far as JSON can say
