"""Generic: the fields that a JSON Schema describes, for settings that need nothing of their own."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Container, Iterator, Mapping
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import plain
from flyte_nb.form.fields import FormField
from flyte_nb.form.shapes import COUNT, DURATION, FIXED, FLAG, LINES, NUMBER, TEXT, VARIABLES, Shape, choice

__all__ = ["added_fields", "generic_fields", "shape_for"]

Schema = Mapping[str, Any]


def generic_fields(name: str, schema: Schema) -> Iterator[FormField]:
    """Give the fields for a property: one, or one for each of its own properties where it is an object that has some.

    Parameters
    ----------
    name : str
        The name of the field.
    schema : mapping
        Its JSON Schema.
    """
    kinds = _kinds(schema)
    if len(kinds) == 1 and kinds[0].get("properties"):
        for part, inner in kinds[0]["properties"].items():
            yield _field(f"{name}.{part}", inner)
    else:
        yield _field(name, schema)


def added_fields(kind: type[Environment], known: Container[str]) -> Iterator[FormField]:
    """Give the fields that a user's own class adds, which the package's schema leaves out."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:  # a stranger's annotations may name what is not there
        hints = {}
    for field in dataclasses.fields(kind):
        if field.init and field.name not in known:
            default = field.default_factory() if callable(field.default_factory) else field.default
            unset = default is dataclasses.MISSING
            yield from generic_fields(
                field.name, {**_schema(hints.get(field.name)), "default": None if unset else plain(default)}
            )


def _schema(hint: Any) -> Schema:
    from pydantic import ConfigDict, TypeAdapter

    try:
        plain_type = dataclasses.is_dataclass(hint) or typing.is_typeddict(hint)
        adapter = TypeAdapter(hint, config=None if plain_type else ConfigDict(arbitrary_types_allowed=True))
        return adapter.json_schema() if hint is not None else {}
    except Exception:  # a stranger's type
        return {}


def _field(path: str, schema: Schema) -> FormField:
    label = str(schema.get("title") or path.rpartition(".")[2]).replace("_", " ")
    shape, default = shape_for(schema), schema.get("default")
    told = str(default) if isinstance(default, str | int | float) and not isinstance(default, bool) else ""
    return FormField(path, label, shape, str(schema.get("description") or ""), told)


def _kinds(schema: Schema) -> list[Schema]:
    return [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]


def shape_for(schema: Schema) -> Shape:
    """Give the shape of the values that a schema accepts; ``FIXED`` where a text cannot say them all."""
    kinds = _kinds(schema)
    words = tuple(word for kind in kinds for word in kind.get("enum", [kind["const"]] if "const" in kind else []))
    if words:
        return choice(words) if all(isinstance(word, str) for word in words) and len(words) > 1 else FIXED
    types = {str(kind.get("type")) for kind in kinds}
    if any(kind.get("format") == "duration" for kind in kinds):
        return DURATION if types <= {"string", "integer"} else FIXED
    if types == {"boolean"}:
        return FLAG if "anyOf" not in schema else FIXED
    if types == {"array"}:
        return LINES if all(kind.get("items", {}).get("type") == "string" for kind in kinds) else FIXED
    if types == {"object"}:
        return VARIABLES if all(_holds_texts(kind) for kind in kinds) else FIXED
    if types == {"string"}:
        return TEXT if not any(kind.get("format") for kind in kinds) else FIXED
    return {frozenset({"integer"}): COUNT}.get(frozenset(types), NUMBER if types <= {"integer", "number"} else FIXED)


def _holds_texts(kind: Schema) -> bool:
    held = kind.get("additionalProperties")
    return isinstance(held, Mapping) and held.get("type") == "string"
