"""Literal types: how Flyte's protocol writes the types of inputs and outputs, from Python's and back."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import enum
import functools
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from flyteidl2.core import types_pb2 as pb
from google.protobuf import json_format, struct_pb2

from flyte_nb.environments.annotations import describe
from flyte_nb.errors import UsageError
from flyte_nb.io import DataFrame, Dir, File

__all__ = ["PICKLE", "kind_of_type", "kind_of_value", "type_of_kind"]

PICKLE = "PythonPickle"  # the format of a blob that is a pickle
_SIMPLE: dict[Any, int] = {
    int: pb.INTEGER, float: pb.FLOAT, str: pb.STRING, bool: pb.BOOLEAN, type(None): pb.NONE,
    datetime.datetime: pb.DATETIME, datetime.date: pb.DATETIME, datetime.timedelta: pb.DURATION,
}  # fmt: skip
#: what the Flyte SDK calls the types in a union
_TAGS: dict[Any, str] = {
    type(None): "none", list: "Typed List", dict: "Typed Dict",
    File: "File", Dir: "Dir", DataFrame: "DataFrame Transformer",
}  # fmt: skip
#: an object is written as MessagePack, which the type says
_MSGPACK = {"cache-key-metadata": {"serialization-format": "msgpack"}}


# --- from Python's types ---


def type_of_kind(kind: Any) -> pb.LiteralType:
    """Give the literal type of a Python type.

    Raises
    ------
    UsageError
        For one that the protocol has no form for but a pickle: ``Any``, ``bytes``, ``set``, a class of one's own.
    """
    kind, origin, arguments = _parts(kind)
    if kind in _SIMPLE:
        return pb.LiteralType(simple=_SIMPLE[kind])
    if origin in (typing.Union, types.UnionType):
        return pb.LiteralType(union_type=pb.UnionType(variants=[_variant(member) for member in arguments]))
    if origin is list and arguments:
        return pb.LiteralType(collection_type=type_of_kind(arguments[0]))
    if origin is dict and arguments[:1] == (str,) and _has_type(arguments[1]):
        return pb.LiteralType(map_value_type=type_of_kind(arguments[1]))
    if (origin or kind) is dict:
        return _object(None)
    if isinstance(origin or kind, type):
        return _type_of_class(origin or kind)
    raise _no_form(kind)


def _parts(kind: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """Take a type apart, without what only annotates it."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    kind = type(None) if kind is None else kind
    return kind, typing.get_origin(kind), typing.get_args(kind)


def _type_of_class(kind: type) -> pb.LiteralType:
    if issubclass(kind, enum.Enum):
        return pb.LiteralType(enum_type=pb.EnumType(values=list(kind.__members__)))
    if issubclass(kind, File | Dir):
        shape = pb.BlobType.MULTIPART if issubclass(kind, Dir) else pb.BlobType.SINGLE
        return pb.LiteralType(blob=pb.BlobType(dimensionality=shape))
    if issubclass(kind, DataFrame):
        return pb.LiteralType(structured_dataset_type=pb.StructuredDatasetType())
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_fields__"):
        return _object(kind)
    raise _no_form(kind)


def _no_form(kind: Any) -> UsageError:
    return UsageError(
        f"given the type {describe(kind)}; accepted by a connector server: int, float, str, bool, datetime, timedelta, "
        "None, enums, dataclasses, pydantic models, File, Dir, DataFrame, and lists, dicts and unions of them"
    )


def _has_type(kind: Any) -> bool:
    try:
        type_of_kind(kind)
    except UsageError:
        return False
    return True


def _object(kind: type | None) -> pb.LiteralType:
    made = pb.LiteralType(simple=pb.STRUCT)
    json_format.ParseDict(_MSGPACK, made.annotation.annotations)
    if kind is not None:
        from pydantic import TypeAdapter

        json_format.ParseDict(TypeAdapter(kind).json_schema(), made.metadata)
    return made


def _variant(kind: Any) -> pb.LiteralType:
    """Give a member of a union, with the tag that the SDK knows it by."""
    made, (kind, origin, _) = type_of_kind(kind), _parts(kind)
    plain = origin or kind
    if plain in _TAGS:
        tag = _TAGS[plain]
    elif issubclass(plain, enum.Enum):
        tag = "DefaultEnumTransformer"
    elif plain in _SIMPLE:
        tag = plain.__name__
    else:
        tag = "Pydantic Transformer" if hasattr(plain, "model_fields") else "Object-Dataclass-Transformer"
    made.structure.tag = tag
    return made


def kind_of_value(value: Any) -> Any:
    """Give the most exact Python type that a value can be written as, where nothing is declared."""
    if isinstance(value, list):
        items = list(dict.fromkeys(map(kind_of_value, value)))
        return list[typing.Union[tuple(items)]] if items else list[int]  # type: ignore[misc] # noqa: UP007
    return dict if isinstance(value, dict) else type(value)


# --- to Python's types ---


def kind_of_type(given: pb.LiteralType) -> Any:
    """Give the Python type for a literal type: a class is made for an enum and for an object with named fields.

    ``Any`` stands for what says nothing, such as a pickle.
    """
    which = given.WhichOneof("type")
    if which == "simple":
        known = {number: kind for kind, number in _SIMPLE.items() if kind is not datetime.date}
        return _kind_of_object(given) if given.simple == pb.STRUCT else known.get(given.simple, Any)
    if which == "enum_type":
        return enum.Enum("Choice", {value: value for value in given.enum_type.values})
    if which == "collection_type":
        return list[kind_of_type(given.collection_type)]  # type: ignore[misc]
    if which == "map_value_type":
        return dict[str, kind_of_type(given.map_value_type)]  # type: ignore[misc]
    if which == "union_type":
        return typing.Union[tuple(map(kind_of_type, given.union_type.variants))]  # noqa: UP007
    if which == "blob" and given.blob.format != PICKLE:
        return Dir if given.blob.dimensionality == pb.BlobType.MULTIPART else File
    return DataFrame if which == "structured_dataset_type" else Any


def _kind_of_object(given: pb.LiteralType) -> Any:
    if not given.HasField("metadata"):
        return dict
    schema = json.loads(json_format.MessageToJson(given.metadata))
    return _kind_of_schema(schema, schema.get("$defs") or schema.get("definitions") or {})


def _kind_of_schema(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """Give the type that a JSON Schema describes, as far as the shape of objects goes; ``Any`` for the rest."""
    if "$ref" in schema:
        return _kind_of_schema(known.get(str(schema["$ref"]).rpartition("/")[2], {}), known)
    if members := schema.get("anyOf"):
        kinds = [type(None) if m.get("type") == "null" else _kind_of_schema(m, known) for m in members]
        return typing.Union[tuple(kinds)]  # noqa: UP007
    if schema.get("type") == "array":
        return list[_kind_of_schema(schema.get("items") or {}, known)]  # type: ignore[misc]
    if schema.get("type") == "object" and schema.get("properties"):
        return _class_of(schema, known)
    return dict if schema.get("type") == "object" else _FORMATS.get(str(schema.get("format")), Any)


_FORMATS = {"date-time": datetime.datetime, "date": datetime.date, "duration": datetime.timedelta}


def _class_of(schema: Mapping[str, Any], known: Mapping[str, Any]) -> type:
    """Make a dataclass with the fields of an object; those without a default first, as Python wants it."""
    title = str(schema.get("title") or "Object")
    required = [name for name in schema["properties"] if name in schema.get("required", ())]
    others = [name for name in schema["properties"] if name not in required]
    kinds = {name: _kind_of_schema(found, known) for name, found in schema["properties"].items()}
    fields: list[Any] = [(name, kinds[name]) for name in required]
    for name in others:
        default = functools.partial(copy.copy, schema["properties"][name].get("default"))
        fields.append((name, typing.Optional[kinds[name]], dataclasses.field(default_factory=default)))  # noqa: UP045
    return dataclasses.make_dataclass(title if title.isidentifier() else "Object", fields)


def struct_of(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Give JSON data as a ``Struct`` of the protocol."""
    made = struct_pb2.Struct()
    json_format.Parse(json.dumps(dict(values)), made)
    return made


def dict_of(given: Any) -> dict[str, Any]:
    """Give what a ``Struct`` of the protocol holds."""
    return dict(json.loads(json_format.MessageToJson(given)))
