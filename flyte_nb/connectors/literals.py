"""Literals: how Flyte's protocol writes the values of inputs and outputs, from Python's and back.

Objects (dataclasses, pydantic models, dicts) are MessagePack, as the Flyte SDK writes them. A pickle is read only where
the other side is trusted: reading one runs code.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import typing
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from flyteidl2.core import literals_pb2 as pb
from flyteidl2.core import types_pb2
from flyteidl2.task import common_pb2

from flyte_nb import pickling
from flyte_nb.connectors.literal_types import PICKLE, dict_of, kind_of_value, type_of_kind
from flyte_nb.environments.annotations import EMPTY
from flyte_nb.environments.values import Misfit, fit
from flyte_nb.errors import RuntimeDataValidationError, UsageError
from flyte_nb.io import DataFrame, Dir, File

__all__ = ["from_literal", "from_literals", "to_literal", "to_literals", "told_kind"]

MSGPACK = "msgpack"
_UNTOLD = (EMPTY, Any, object, list, typing.List)  # noqa: UP006 - annotations that say nothing of the value


# --- several, by name ---


def to_literals(values: Mapping[str, Any], kinds: Mapping[str, Any], what: str) -> list[common_pb2.NamedLiteral]:
    """Give inputs or outputs by name as the protocol has them.

    Parameters
    ----------
    values, kinds : mapping
        The values, and the declared types of those that have one.
    what : str
        What they are of, for the error.

    Raises
    ------
    RuntimeDataValidationError
        For a value that cannot be written, with its name.
    """
    made = []
    for name, value in values.items():
        try:
            made.append(common_pb2.NamedLiteral(name=name, value=to_literal(value, kinds.get(name, Any))))
        except (UsageError, TypeError, ValueError, OverflowError) as error:
            raise RuntimeDataValidationError(repr(name), error, what) from error
    return made


def from_literals(
    given: Iterable[common_pb2.NamedLiteral], kinds: Mapping[str, Any], what: str, trusted: bool = False
) -> dict[str, Any]:
    """Give the values by name that the protocol's literals hold.

    Parameters
    ----------
    given, kinds
        The literals, and the types that their values shall have, where they are known.
    what : str
        What they are of, for the error.
    trusted : bool
        Whether pickles are read.

    Raises
    ------
    RuntimeDataValidationError
        For a literal that cannot be read or has another type, with its name.
    """
    made = {}
    for literal in given:
        try:
            made[literal.name] = from_literal(literal.value, kinds.get(literal.name, Any), trusted)
        except Exception as error:  # what a pickle or a pydantic model raises is a stranger's
            raise RuntimeDataValidationError(repr(literal.name), error, what) from error
    return made


# --- from Python's values ---


def told_kind(kind: Any, value: Any) -> Any:
    """Give the declared type of a value, or the one it has where none is declared."""
    return kind_of_value(value) if kind in _UNTOLD else kind


def to_literal(value: Any, kind: Any = Any) -> pb.Literal:
    """Give a value as a literal.

    Parameters
    ----------
    value : object
        The value; a literal stays itself.
    kind : type
        Its declared type; by default the most exact one that the value has.

    Raises
    ------
    UsageError
        For a type that only a pickle could carry.
    """
    if isinstance(value, pb.Literal):
        return value
    kind = told_kind(kind, value)
    expected = type_of_kind(kind)
    which = expected.WhichOneof("type")
    if which == "union_type":
        return _to_union(value, kind, expected)
    if which == "collection_type":
        item = typing.get_args(kind)[0]
        return pb.Literal(collection=pb.LiteralCollection(literals=[to_literal(one, item) for one in value]))
    if which == "map_value_type":
        item = typing.get_args(kind)[1]
        return pb.Literal(map=pb.LiteralMap(literals={key: to_literal(one, item) for key, one in value.items()}))
    return pb.Literal(scalar=_to_scalar(value, expected), hash=getattr(value, "hash", None) or "")


def _to_union(value: Any, kind: Any, expected: types_pb2.LiteralType) -> pb.Literal:
    """Write a value as the first member of a union that it fits as it is, or else that it can be made to fit."""
    members = list(zip(typing.get_args(kind), expected.union_type.variants, strict=True))
    fitting: list[tuple[bool, int, Any, Any, types_pb2.LiteralType]] = []
    for member, variant in members:
        try:
            fitted = fit(value, member)
        except Misfit:
            continue
        fitting.append((fitted is not value, len(fitting), fitted, member, variant))
    if not fitting:
        raise UsageError(f"given {value!r:.80}; accepted: {kind}")
    _, _, fitted, member, variant = min(fitting, key=lambda one: one[:2])
    return pb.Literal(scalar=pb.Scalar(union=pb.Union(value=to_literal(fitted, member), type=variant)))


def _to_scalar(value: Any, expected: types_pb2.LiteralType) -> pb.Scalar:
    if value is None:
        return pb.Scalar(none_type=pb.Void())
    if isinstance(value, File | Dir):
        shape = types_pb2.BlobType(format=value.format, dimensionality=expected.blob.dimensionality)
        return pb.Scalar(blob=pb.Blob(uri=value.path, metadata=pb.BlobMetadata(type=shape)))
    if isinstance(value, DataFrame):
        if value.uri is None:
            raise UsageError("given a DataFrame that is nowhere but in memory; accepted: one with a uri")
        told = types_pb2.StructuredDatasetType(format=value.format or "parquet")
        meta = pb.StructuredDatasetMetadata(structured_dataset_type=told)
        return pb.Scalar(structured_dataset=pb.StructuredDataset(uri=value.uri, metadata=meta))
    if expected.simple == types_pb2.STRUCT:
        import msgpack

        return pb.Scalar(binary=pb.Binary(value=msgpack.packb(_plain(value)), tag=MSGPACK))
    return pb.Scalar(primitive=_to_primitive(value, expected.simple))


def _to_primitive(value: Any, simple: int) -> pb.Primitive:
    if isinstance(value, enum.Enum):
        return pb.Primitive(string_value=value.name)
    if isinstance(value, bool):
        return pb.Primitive(boolean=value)
    if isinstance(value, int | float):
        return pb.Primitive(float_value=value) if simple == types_pb2.FLOAT else pb.Primitive(integer=int(value))
    if isinstance(value, datetime.timedelta):
        made = pb.Primitive()
        made.duration.FromTimedelta(value)
        return made
    if isinstance(value, datetime.date):
        return _to_datetime(value)
    return pb.Primitive(string_value=value)


def _to_datetime(value: datetime.date) -> pb.Primitive:
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    if value.tzinfo is None:
        value = value.replace(tzinfo=datetime.timezone.utc)
    made = pb.Primitive()
    made.datetime.FromDatetime(value)
    return made


def _plain(value: Any) -> Any:
    """Give the data of an object, as MessagePack can write it."""
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "__pydantic_fields__"):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    raise UsageError(f"given {value!r:.80} of type {type(value).__name__}, in an object; accepted there: plain data")


# --- to Python's values ---


def from_literal(given: pb.Literal, kind: Any = Any, trusted: bool = False) -> Any:
    """Give the value of a literal.

    Parameters
    ----------
    given : Literal
        The literal.
    kind : type
        The type that the value shall have; what the literal itself says by default.
    trusted : bool
        Whether a pickle is read.

    Raises
    ------
    UsageError
        For a pickle that is not trusted, and for forms that are references to somewhere else.
    Misfit
        When the value does not have the type.
    """
    value = _natural(given, trusted)
    return value if kind in _UNTOLD else _shaped(value, kind)


def _shaped(value: Any, kind: Any) -> Any:
    try:
        return fit(value, kind)
    except Misfit as misfit:
        from pydantic import TypeAdapter, ValidationError

        if not isinstance(value, dict | list) and not isinstance(misfit.value, dict):
            raise UsageError(_misfit(misfit)) from None
        try:  # texts in an object stand for dates, numbers for durations
            return TypeAdapter(kind).validate_python(value)
        except ValidationError:
            raise UsageError(_misfit(misfit)) from None


def _misfit(misfit: Misfit) -> str:
    return f"given {misfit.value!r:.80}; accepted: {getattr(misfit.kind, '__name__', misfit.kind)}{misfit.where}"


def _natural(given: pb.Literal, trusted: bool) -> Any:
    """Give the value that a literal says by itself."""
    which = given.WhichOneof("value")
    if which == "collection":
        return [_natural(one, trusted) for one in given.collection.literals]
    if which == "map":
        return {key: _natural(one, trusted) for key, one in given.map.literals.items()}
    if which != "scalar":
        raise UsageError(f"given a literal that is {which or 'empty'}; accepted: a value")
    scalar = given.scalar
    form = scalar.WhichOneof("value")
    if form == "union":
        return _natural(scalar.union.value, trusted)
    if form == "primitive":
        return _from_primitive(scalar.primitive)
    if form == "binary":
        return _from_binary(scalar.binary, trusted)
    if form == "blob":
        return _from_blob(scalar.blob, given.hash or None, trusted)
    if form == "structured_dataset":
        told = scalar.structured_dataset.metadata.structured_dataset_type
        return DataFrame(scalar.structured_dataset.uri, told.format, given.hash or None)
    if form == "generic":
        return dict_of(scalar.generic)
    if form == "none_type":
        return None
    raise UsageError(f"given a literal of the form {form}; accepted: a value")


def _from_primitive(given: pb.Primitive) -> Any:
    which = given.WhichOneof("value")
    if which == "datetime":
        return given.datetime.ToDatetime(tzinfo=datetime.timezone.utc)
    if which == "duration":
        return given.duration.ToTimedelta()
    return getattr(given, which) if which else None


def _from_binary(given: pb.Binary, trusted: bool) -> Any:
    if given.tag == MSGPACK:
        import msgpack

        return msgpack.unpackb(given.value, strict_map_key=False)
    return _unpickled(given.value, trusted)


def _from_blob(given: pb.Blob, digest: str | None, trusted: bool) -> Any:
    shape = given.metadata.type
    if shape.format == PICKLE:
        raise UsageError(f"given a pickle in {given.uri}, which is not read; accepted: a typed value")
    made = Dir if shape.dimensionality == types_pb2.BlobType.MULTIPART else File
    return made(given.uri, format=shape.format, hash=digest)


def _unpickled(data: bytes, trusted: bool) -> Any:
    if not trusted:
        raise UsageError(
            "given a pickle, which is not read: reading one runs code; accepted: an input with a type that Flyte has, "
            "not Any, bytes, set or a list without the type of its items"
        )
    return pickling.loads(data)
