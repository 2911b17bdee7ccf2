"""Pickling that keeps a notebook's own classes and functions by reference, and says which ones it met."""

from __future__ import annotations

import functools
import io
import pickle
import sys
import typing
from collections.abc import Container
from types import FunctionType
from typing import Any, ClassVar

MAIN = "__main__"
_SETS = (pickle.EMPTY_SET + pickle.MEMOIZE + pickle.MARK, pickle.FROZENSET + pickle.MEMOIZE)
_CACHED = type(functools.lru_cache(lambda: None))
_BY_NAME = (type, FunctionType, _CACHED, typing.TypeVar, typing.ParamSpec, typing.NewType)  # pickle writes their name


def dumps(value: Any, defined: Container[str] = (), buffers: list[Any] | None = None) -> tuple[bytes, set[str]]:
    """Pickle a value for another process that has the notebook's definitions as its ``__main__``.

    Parameters
    ----------
    value : object
        Anything. Classes and functions of ``__main__`` named in ``defined`` go by reference, other ones by value.
    defined : container of str
        The names that the other process will have.
    buffers : list, optional
        Takes the large buffers out of band, without a copy; None keeps them in the pickle.

    Returns
    -------
    data : bytes
        The pickle, protocol 5.
    used : set of str
        The names of ``defined`` that the pickle refers to.

    Raises
    ------
    Exception
        Whatever the value's own pickling raises, for example ``TypeError`` for a lock.
    """
    keep = None if buffers is None else lambda buffer: buffers.append(buffer.raw())
    plain = _Plain(defined, keep)
    try:
        return plain.dump_bytes(value), plain.used
    except Exception:  # a lambda, a local class: what pickle refuses, cloudpickle may take by value
        if buffers is not None:
            buffers.clear()
        by_value = _by_value(defined, keep)
        return by_value.dump_bytes(value), by_value.used


def steady_dumps(value: Any, defined: Container[str] = ()) -> tuple[bytes, set[str]]:
    """Pickle as `dumps` does, sets in an order that does not depend on the process: the same value, the same bytes."""
    data, used = dumps(value, defined)
    if not any(code in data for code in _SETS):  # a byte of something else may look like one
        return data, used
    try:
        if not _Seeing(defined, None).has_sets(value):
            return data, used
        ordered = _Ordered(defined)
        return ordered.dump_bytes(value), ordered.used
    except Exception:  # what travels by value, or a set that holds itself
        return data, used


def loads(data: bytes | memoryview, buffers: list[Any] | None = None) -> Any:
    """Read what `dumps` wrote."""
    return pickle.loads(data, buffers=buffers or None)


def _resolve(qualified: str) -> Any:
    """Give what a qualified name of ``__main__`` stands for, or None."""
    value: Any = sys.modules[MAIN]
    for part in qualified.split("."):
        value = getattr(value, part, None)
    return value


def _name_of(obj: Any) -> str | None:
    """Give the qualified name of a class, a function or the like of the notebook; None for any other object."""
    if not isinstance(obj, _BY_NAME) or getattr(obj, "__module__", None) != MAIN:
        return None
    return str(getattr(obj, "__qualname__", obj.__name__))


def _cached(function: Any, settings: dict[str, Any]) -> Any:
    """Give a function a cache again; what the first one held stays behind."""
    return functools.lru_cache(**settings)(function)


class _Recording:
    """Records which of the defined names are met; the other half of both picklers below."""

    used: set[str]
    defined: Container[str]

    def is_defined(self, obj: Any, name: str) -> bool:
        root = name.partition(".")[0]
        if root not in self.defined or _resolve(name) is not obj:
            return False
        self.used.add(root)
        return True

    def by_name(self, obj: Any) -> Any:
        """Leave an object to pickle, unless it is one of the notebook's that the other process will not have."""
        name = _name_of(obj)
        if name is not None and not self.is_defined(obj, name):
            raise pickle.PicklingError(f"{name} is not a definition of the notebook")
        return NotImplemented


class _Plain(_Recording, pickle.Pickler):
    def __init__(self, defined: Container[str], keep: Any) -> None:
        self._file = io.BytesIO()
        pickle.Pickler.__init__(self, self._file, protocol=5, buffer_callback=keep)
        self.used, self.defined = set(), defined

    def reducer_override(self, obj: Any) -> Any:
        return self.by_name(obj)

    def dump_bytes(self, value: Any) -> bytes:
        self.dump(value)
        return self._file.getvalue()


class _Seeing(_Plain):
    """Tells whether a value holds sets, for much less than what writing them in order costs."""

    _met = False

    def persistent_id(self, obj: Any) -> None:
        self._met = self._met or type(obj) in (set, frozenset)

    def has_sets(self, value: Any) -> bool:
        self.dump(value)
        return self._met


class _Ordered(_Recording, pickle._Pickler):
    """Writes sets with their items sorted by what would be written for each alone."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def __init__(self, defined: Container[str]) -> None:
        self._file = io.BytesIO()
        super().__init__(self._file, protocol=5)
        self.used, self.defined = set(), defined

    def reducer_override(self, obj: Any) -> Any:
        return self.by_name(obj)

    def dump_bytes(self, value: Any) -> bytes:
        self.dump(value)
        return self._file.getvalue()

    def _save_set(self, found: set[Any] | frozenset[Any]) -> None:
        items = sorted(found, key=self._key)
        self.save_reduce(type(found), (items,), obj=found)  # type: ignore[attr-defined]

    def _key(self, item: Any) -> tuple[str, bytes]:
        kind = type(item)
        data = item.encode("utf-8", "surrogatepass") if kind is str else _Ordered(self.defined).dump_bytes(item)
        return kind.__qualname__, data

    dispatch[set] = dispatch[frozenset] = _save_set


def _by_value(defined: Container[str], keep: Any) -> Any:
    import cloudpickle

    class ByValue(_Recording, cloudpickle.Pickler):  # type: ignore[misc]
        def __init__(self) -> None:
            self._file = io.BytesIO()
            super().__init__(self._file, protocol=5, buffer_callback=keep)
            self.used, self.defined = set(), defined

        def reducer_override(self, obj: Any) -> Any:
            name = _name_of(obj)
            if name is not None and self.is_defined(obj, name):
                return name  # by reference
            if name is not None and isinstance(obj, _CACHED):
                return _cached, (obj.__wrapped__, obj.cache_parameters())
            if name is not None and isinstance(obj, typing.NewType):
                return typing.NewType, (obj.__name__, obj.__supertype__)
            return super().reducer_override(obj)

        def dump_bytes(self, value: Any) -> bytes:
            self.dump(value)
            return self._file.getvalue()

    return ByValue()
