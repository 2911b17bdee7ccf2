"""Values: whether one fits the annotation of an input or output, and what it becomes where it is written otherwise.

Nothing is coerced between int, float, bool and str, but an int passes for a float. A dict becomes the dataclass or the
model of the annotation, the name of an enum's member becomes the member, a naive datetime is taken for UTC. What fits
is given back as it is.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import enum
import threading
import types
import typing
from collections import abc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flyte_nb.environments.annotations import EMPTY, describe, hints_of
from flyte_nb.environments.declaration import shorten
from flyte_nb.errors import RuntimeDataValidationError

__all__ = ["Misfit", "check_value", "fit"]

#: types whose values are decided by their class alone, so that a long list of them is checked at once
_PLAIN = (int, float, str, bool, bytes)
_open = threading.local()
_SEQUENCES = (list, tuple, set, frozenset)


class Misfit(Exception):  # noqa: N818 - it never leaves this package
    """A value that does not fit.

    Parameters
    ----------
    value : object
        What does not fit: the value itself, or a part of it.
    kind : object
        What is accepted there.
    where : str
        Where the part is, such as ``.items[2]``; empty for the value itself.
    reason : str
        Why it does not fit, where the types do not say it.
    """

    def __init__(self, value: Any, kind: Any, where: str = "", reason: str = "") -> None:
        super().__init__(value, kind, where, reason)
        self.value, self.kind, self.where, self.reason = value, kind, where, reason

    def inside(self, where: str) -> Misfit:
        """Give the same misfit, seen from the value that holds the part."""
        return Misfit(self.value, self.kind, where + self.where, self.reason)


def check_value(name: str, value: Any, kind: Any, task: str) -> Any:
    """Check one value against its annotation, and give it as the annotation says.

    Parameters
    ----------
    name : str
        What it is, such as ``"input 'x'"``.
    value : object
        The value.
    kind : type
        The annotation; anything passes for ``Any``, for an empty one, and for one that there are no rules for.
    task : str
        The task's name.

    Raises
    ------
    RuntimeDataValidationError
        Naming the input or output, what was given and what is accepted; also where in it, for a part.
    """
    try:
        return fit(value, kind)
    except Misfit as misfit:
        reason = f" ({misfit.reason})" if misfit.reason else ""
        raise RuntimeDataValidationError(
            name + misfit.where,
            f"given {shorten(misfit.value)} of type {type(misfit.value).__name__}; "
            f"accepted: {describe(misfit.kind)}{reason}",
            task,
        ) from None


def fit(value: Any, kind: Any) -> Any:
    """Give a value as its annotation says; itself where nothing is to be done.

    Raises
    ------
    Misfit
        When it does not fit.
    """
    if kind is EMPTY or kind is Any or kind is object:
        return value
    if isinstance(kind, typing.NewType):
        return fit(value, kind.__supertype__)
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return fit(value, typing.get_args(kind)[0])
    if origin is typing.Union or origin is types.UnionType:
        return _one_of(value, kind)
    if origin is typing.Literal:
        if any(type(value) is type(word) and value == word for word in typing.get_args(kind)):
            return value
        raise Misfit(value, kind)
    if origin is None:
        return _as_class(value, type(None) if kind is None else kind)
    return _as_generic(value, kind, origin, typing.get_args(kind)) if isinstance(origin, type) else value


def _one_of(value: Any, kind: Any) -> Any:
    """Give a value as a member of a union: one that takes it as it is, else the first that can be made of it."""
    made = []
    for member in typing.get_args(kind):
        try:
            fitted = fit(value, member)
        except Misfit:
            continue
        if fitted is value:
            return value
        made.append(fitted)
    if not made:
        raise Misfit(value, kind)
    return made[0]


# --- classes ---


def _as_class(value: Any, kind: Any) -> Any:
    """Give a value as an instance of a class that has no parameters."""
    if not isinstance(kind, type):
        return value  # a type variable, a name that nobody resolved: there are no rules for it
    if hasattr(value, "flyte_value_as"):
        value = value.flyte_value_as(kind)
    if hasattr(kind, "flyte_value_from"):
        value = kind.flyte_value_from(value)
    if kind in _CONVERTED:
        return _CONVERTED[kind](value)
    if isinstance(kind, enum.EnumMeta):
        return _as_member(value, kind)
    if dataclasses.is_dataclass(kind):
        return _as_dataclass(value, kind)
    if hasattr(kind, "__pydantic_fields__") and isinstance(value, dict):
        return _as_model(value, kind)
    if typing.is_typeddict(kind) or hasattr(kind, "__total__"):
        return _as_typed_dict(value, kind)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _as_named_tuple(value, kind)
    return _instance(value, kind)


def _instance(value: Any, kind: Any) -> Any:
    try:
        fits = isinstance(value, kind)
    except TypeError:  # a protocol that cannot be asked
        return value
    if fits:
        return value
    older = type(value).__module__ == kind.__module__ and type(value).__qualname__ == kind.__qualname__
    raise Misfit(value, kind, reason=f"it is of an older definition of {kind.__name__}; make it again" if older else "")


def _number(value: Any) -> Any:
    """Give a number of numpy's as Python's own."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value


def _as_int(value: Any) -> Any:
    value = _number(value)
    if isinstance(value, bool):
        raise Misfit(value, int)
    return _instance(value, int)


def _as_float(value: Any) -> Any:
    value = _number(value)
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise Misfit(value, float)
    try:
        return value if type(value) is float else float(value)
    except OverflowError:
        raise Misfit(value, float, reason="it is too large for one") from None


def _as_bool(value: Any) -> Any:
    return _instance(_number(value), bool)


def _as_bytes(value: Any) -> Any:
    return bytes(value) if isinstance(value, bytearray | memoryview) else _instance(value, bytes)


def _as_datetime(value: Any) -> Any:
    _instance(value, datetime.datetime)
    return value if value.tzinfo is not None else value.replace(tzinfo=datetime.timezone.utc)


def _as_date(value: Any) -> Any:
    return value.date() if isinstance(value, datetime.datetime) else _instance(value, datetime.date)


_CONVERTED: dict[type, Any] = {
    int: _as_int, float: _as_float, bool: _as_bool, bytes: _as_bytes,
    datetime.datetime: _as_datetime, datetime.date: _as_date,
}  # fmt: skip


def _as_member(value: Any, kind: Any) -> Any:
    """Give the member of an enum for its name; a word of a ``Literal`` stays a word."""
    if kind.__name__ == "LiteralEnum":
        value = value.value if isinstance(value, kind) else value
        if isinstance(value, str) and value in kind.__members__:
            return value
        raise Misfit(value, kind)
    if isinstance(value, str) and not isinstance(value, kind) and value in kind.__members__:
        return kind[value]
    return _instance(value, kind)


def _as_dataclass(value: Any, kind: Any) -> Any:
    """Give a value as a dataclass: made of a dict, or with fields that fit; a default fits whatever its type."""
    fields = [field for field in dataclasses.fields(kind) if field.init]
    hints = hints_of(kind)
    if isinstance(value, dict) and not issubclass(kind, dict):
        return _made_of(value, kind, {field.name: hints.get(field.name, Any) for field in fields})
    _instance(value, kind)
    with _looked_into(value) as is_new:
        return _with_fields_that_fit(value, fields, hints) if is_new else value


def _with_fields_that_fit(value: Any, fields: list[Any], hints: dict[str, Any]) -> Any:
    changed = {}
    for field in fields:
        held = getattr(value, field.name, field.default)
        if held is not field.default:
            fitted = _inside(".{}", field.name, held, hints.get(field.name, Any), naive=True)
            if fitted is not held:
                changed[field.name] = fitted
    return _with(value, changed) if changed else value


@contextmanager
def _looked_into(value: Any) -> Iterator[bool]:
    """Look into an object; False where it is being looked into already, as it refers to itself."""
    known: set[int] = _open.__dict__.setdefault("objects", set())
    if id(value) in known:
        yield False
        return
    known.add(id(value))
    try:
        yield True
    finally:
        known.discard(id(value))


def _with(value: Any, changed: dict[str, Any]) -> Any:
    """Give a copy of a dataclass with other values, without another run of its own checks."""
    other = copy.copy(value)
    for name, held in changed.items():
        object.__setattr__(other, name, held)  # it may be frozen
    return other


def _made_of(value: dict[str, Any], kind: Any, hints: dict[str, Any]) -> Any:
    unknown = [name for name in value if name not in hints]
    if unknown:
        raise Misfit(value, kind, reason=f"it has no field {unknown[0]!r}; the fields are {', '.join(hints)}")
    fitted = {name: _inside(".{}", name, part, hints[name], naive=True) for name, part in value.items()}
    try:
        return kind(**fitted)
    except (TypeError, ValueError) as error:  # a missing field, or the class's own checks
        raise Misfit(value, kind, reason=str(error)) from error


def _as_model(value: dict[str, Any], kind: Any) -> Any:
    from pydantic import ValidationError

    try:
        return kind.model_validate(value)
    except ValidationError as error:
        told = error.errors(include_url=False)[0]
        where = ".".join(map(str, told["loc"]))
        raise Misfit(value, kind, reason=f"{where}: {told['msg']}" if where else str(told["msg"])) from None


def _as_typed_dict(value: Any, kind: Any) -> Any:
    _instance(value, dict)
    hints = hints_of(kind)
    missing = [name for name in kind.__required_keys__ if name not in value]
    if missing:
        raise Misfit(value, kind, reason=f"it has no {missing[0]!r}")
    fitted = {key: _inside("[{!r}]", key, part, hints.get(key, Any)) for key, part in value.items()}
    return _same_or(value, fitted.values(), value.values(), lambda: fitted)


# --- generics ---


def _as_generic(value: Any, kind: Any, origin: Any, args: tuple[Any, ...]) -> Any:
    """Give a value as a container, or as another class with parameters."""
    if issubclass(origin, tuple):
        return _as_tuple(value, kind, args)
    if origin is type:
        return value if isinstance(value, type) else _refused(value, kind)
    if issubclass(origin, abc.Mapping) and len(args) == 2:
        return _as_mapping(value, kind, origin, args)
    if issubclass(origin, abc.Iterable) and len(args) == 1:
        return _as_sequence(value, kind, origin, args[0])
    return _as_class(value, origin)  # File[T], Callable[…], a class of the user's own


def _refused(value: Any, kind: Any) -> Any:
    raise Misfit(value, kind)


def _as_tuple(value: Any, kind: Any, args: tuple[Any, ...]) -> Any:
    if not isinstance(value, tuple):
        raise Misfit(value, kind)
    if len(args) == 2 and args[1] is Ellipsis:
        return _as_items(value, [args[0]] * len(value), kind)
    return _as_items(value, list(() if args == ((),) else args), kind)


def _as_items(value: tuple[Any, ...], kinds: list[Any], kind: Any) -> Any:
    if len(value) != len(kinds):
        raise Misfit(value, kind, reason=f"it has {len(value)} items")
    fitted = [_inside("[{}]", i, item, k) for i, (item, k) in enumerate(zip(value, kinds, strict=True))]
    named = hasattr(value, "_fields")
    return _same_or(value, fitted, value, lambda: type(value)(*fitted) if named else tuple(fitted))


def _as_named_tuple(value: Any, kind: Any) -> Any:
    """Give a value as a NamedTuple; a plain tuple of as many items becomes one."""
    if not isinstance(value, tuple) or (hasattr(value, "_fields") and not isinstance(value, kind)):
        return _instance(value, kind)
    hints = hints_of(kind)
    fitted = _as_items(value, [hints.get(name, Any) for name in kind._fields], kind)
    return fitted if isinstance(fitted, kind) else kind(*fitted)


def _as_mapping(value: Any, kind: Any, origin: Any, args: tuple[Any, ...]) -> Any:
    if not isinstance(value, origin):
        raise Misfit(value, kind)
    if _all_of(value, args[0]) and _all_of(value.values(), args[1]):
        return value
    keys = [_inside("[{!r}]", key, key, args[0]) for key in value]
    parts = [_inside("[{!r}]", key, part, args[1]) for key, part in value.items()]
    same = all(a is b for a, b in zip(keys, value, strict=True))
    return _same_or(value, parts if same else (), value.values(), lambda: _filled(value, zip(keys, parts, strict=True)))


def _filled(value: Any, items: Any) -> Any:
    """Give a mapping of the same class, and with the same settings, that holds other items."""
    other = copy.copy(value)
    other.clear()
    other.update(items)
    return other


def _as_sequence(value: Any, kind: Any, origin: Any, item: Any) -> Any:
    if not isinstance(value, origin) or isinstance(value, str | bytes):
        raise Misfit(value, kind)
    if not isinstance(value, _SEQUENCES):
        return value  # a range, a deque, an iterator: it is what it is
    if _all_of(value, item):
        return value
    ordered = isinstance(value, list | tuple)
    fitted = [_inside("[{}]" if ordered else "", i, part, item) for i, part in enumerate(value)]
    return _same_or(value, fitted, value, lambda: type(value)(fitted))


def _all_of(parts: Any, kind: Any) -> bool:
    """Tell at once whether every part is plainly of a kind, without a look at each."""
    return kind in _PLAIN and set(map(type, parts)) <= {kind}


def _inside(form: str, name: Any, value: Any, kind: Any, naive: bool = False) -> Any:
    """Give a part as its annotation says; ``form`` words where it is, ``naive`` leaves a field's datetime as it is."""
    if naive and isinstance(value, datetime.datetime) and kind in (datetime.datetime, datetime.datetime | None):
        return value
    try:
        return fit(value, kind)
    except Misfit as misfit:
        raise misfit.inside(form.format(name)) from None


def _same_or(value: Any, fitted: Any, parts: Any, other: Any) -> Any:
    """Give the container itself when all of its parts are what they were."""
    same = len(fitted) == len(parts) and all(a is b for a, b in zip(fitted, parts, strict=True))
    return value if same else other()
