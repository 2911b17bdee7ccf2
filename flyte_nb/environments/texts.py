"""Text: a declared str that says something."""

from __future__ import annotations

from typing import Annotated, TypeVar

from flyte_nb.environments.declaration import Check

__all__ = ["Text", "not_empty"]

_Value = TypeVar("_Value")


def not_empty(value: _Value) -> _Value:
    """Refuse an empty text or an empty collection.

    Raises
    ------
    ValueError
        When it is empty.
    """
    if not value:
        raise ValueError("it is empty")
    return value


Text = Annotated[str, Check(not_empty, "text that is not empty", schema={"minLength": 1})]
