"""Passing: values between the kernel, whose classes are those of its cells, and the module that the SDK has.

What a task takes and gives travels by the names of its classes: a class of a cell is one of the module there. So the
same value is made anew with the other's classes, by pickling it in memory; large arrays are not copied.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

from flyte_nb.engine.cluster import sdk
from flyte_nb.io import DataFrame, Dir, File

__all__ = ["Passing"]

_ATOMS = (int, float, str, bytes, bool, type(None))
_REFERENCES: dict[type, str] = {File: "flyte.io.File", Dir: "flyte.io.Dir", DataFrame: "flyte.io.DataFrame"}


class Passing:
    """Passes values to a module of the SDK's and back.

    Parameters
    ----------
    modules : mapping of str to ModuleType
        What stands in the place of each module of this process whose classes travel: of ``__main__``, and of the local
        modules that lie beside.
    """

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self._modules = dict(modules)
        self._back = {id(module): name for name, module in modules.items()}

    def to_sdk(self, value: Any) -> Any:
        """Give a value of the kernel with the classes of the module."""
        return _made_anew(value, self._there, _reference_there)

    def from_sdk(self, value: Any) -> Any:
        """Give a value of the module with the classes of the kernel."""
        return _made_anew(value, self._here, _reference_here)

    def _there(self, kind: Any) -> Any:
        module = self._modules.get(kind.__module__)
        return None if module is None else _named(module, kind.__qualname__)

    def _here(self, kind: Any) -> Any:
        for name, module in self._modules.items():
            if _named(module, kind.__qualname__) is kind:
                return _named(sys.modules.get(name), kind.__qualname__)
        return None


def _made_anew(value: Any, other: Callable[[Any], Any], reference: Callable[[Any], Any]) -> Any:
    if type(value) in _ATOMS:
        return value
    buffers: list[Any] = []
    data = _pickler(other, reference, buffers)(value)
    return pickle.loads(data, buffers=buffers)


def _pickler(
    other: Callable[[Any], Any], reference: Callable[[Any], Any], buffers: list[Any]
) -> Callable[[Any], bytes]:
    import cloudpickle

    kept: list[Any] = []  # what is handed over as it is

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, type | FunctionType) and (found := other(obj)) is not None:
                kept.append(found)
                return _taken, (id(found),)
            if (made := reference(obj)) is not None:
                return made
            return super().reducer_override(obj)

    def pickled(value: Any) -> bytes:
        file = io.BytesIO()
        Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
        _handed.update((id(one), one) for one in kept)
        return file.getvalue()

    return pickled


_handed: dict[int, Any] = {}  # classes and functions by what a pickle in memory calls them; they live as long as we do


def _taken(number: int) -> Any:
    return _handed[number]


def _named(module: ModuleType | None, qualified: str) -> Any:
    found: Any = module
    for part in qualified.split("."):
        found = getattr(found, part, None)
    return found


def _reference_there(obj: Any) -> Any:
    """Say how the SDK's file, directory or table is made of one of this package."""
    path = _REFERENCES.get(type(obj))
    if path is None:
        return None
    if isinstance(obj, DataFrame) and (table := getattr(obj, "_table", None)) is not None:
        return functools.partial(_of_table, path), (table,)
    return _of_fields, (path, obj.model_dump())


def _of_fields(path: str, fields: dict[str, Any]) -> Any:
    kind = sdk.find(path)
    if fields.get("path") and "://" not in fields["path"]:
        return kind.from_local_sync(fields["path"])  # the SDK uploads it with the run
    return kind(**{name: value for name, value in fields.items() if name in kind.model_fields})


def _of_table(path: str, table: Any) -> Any:
    kind = sdk.find(path)
    return (kind.wrap_df if hasattr(kind, "wrap_df") else kind.from_df)(table)


def _reference_here(obj: Any) -> Any:
    """Say how one of this package is made of the SDK's file, directory or table."""
    for ours, path in _REFERENCES.items():
        kind = sdk.find(path)
        if kind is not None and isinstance(obj, kind):
            table = getattr(obj, "_raw_df", None)
            if ours is DataFrame and table is not None:
                return DataFrame.wrap_df, (table, obj.uri)
            names = [name for name in ("uri", "path", "name", "format", "hash") if hasattr(obj, name)]
            return functools.partial(ours, **{name: getattr(obj, name) for name in names}), ()
    return None
