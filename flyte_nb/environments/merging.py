"""Merging: a value that two sides changed, each in its own parts; what both changed otherwise is told."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import Declaration, same
from flyte_nb.environments.image import Image

__all__ = ["Contested", "merged"]

_GONE = object()


class Contested(NamedTuple):
    """A part that both sides changed.

    Parameters
    ----------
    path : str
        The field, or the way to a part of it: ``"resources.memory"``.
    before : object
        What it was; None where it was not there.
    theirs : object
        What the others made of it.
    """

    path: str
    before: Any
    theirs: Any


def merged(path: str, before: Any, mine: Any, theirs: Any) -> tuple[Any, list[Contested]]:
    """Merge two changes of a value: mine counts where both changed the same part.

    Parameters
    ----------
    path : str
        The field.
    before : object
        What both started from.
    mine, theirs : object
        What each side made of it.

    Returns
    -------
    tuple
        The value, and the parts that both changed, each to another value.
    """
    if same(mine, theirs) or same(before, theirs):
        return mine, []
    if same(before, mine):
        return theirs, []
    parts = [_parts(value) for value in (before, mine, theirs)]
    if any(part is None for part in parts) or not type(before) is type(mine) is type(theirs):
        return mine, [Contested(path, before, theirs)]
    old, own, others = (part or {} for part in parts)
    made, contested = {}, []
    for name in {**own, **others}:
        value, found = merged(f"{path}.{name}", *(side.get(name, _GONE) for side in (old, own, others)))
        contested += [c._replace(before=_told(c.before), theirs=_told(c.theirs)) for c in found]
        if value is not _GONE:
            made[name] = value
    return (made if isinstance(mine, dict) else dataclasses.replace(mine, **made)), contested


def _parts(value: Any) -> dict[str, Any] | None:
    """Give the parts of a value that have names; None for what is one whole."""
    if type(value) is dict:
        return value
    if isinstance(value, Declaration) and not isinstance(value, Image | Environment):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}  # type: ignore[arg-type]
    return None


def _told(value: Any) -> Any:
    return None if value is _GONE else value
