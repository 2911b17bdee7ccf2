"""Annotations: how people write the type of an input or output, and what stands for none."""

from __future__ import annotations

import enum
import functools
import inspect
import typing
from typing import Any

__all__ = ["EMPTY", "describe", "hints_of"]

EMPTY = inspect.Parameter.empty


def describe(kind: Any) -> str:
    """Name a type the way people write it."""
    if kind is EMPTY or kind is Any:
        return "Any"
    if isinstance(kind, enum.EnumMeta) and kind.__name__ == "LiteralEnum":
        return "Literal[" + ", ".join(map(repr, kind.__members__)) + "]"
    if kind is type(None):
        return "None"
    if isinstance(kind, type) and not typing.get_args(kind):
        return kind.__qualname__
    return str(kind).replace("typing.", "").replace("__main__.", "")


@functools.lru_cache(maxsize=1024)
def hints_of(kind: Any) -> dict[str, Any]:
    """Give the annotations of a class; none where they name what cannot be found."""
    try:
        return typing.get_type_hints(kind)
    except Exception:  # the names in them are a stranger's
        return {}
