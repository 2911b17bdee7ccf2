"""Groups: which environments of a bundle depend on each other, and so become current together or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["groups"]


def groups(rows: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Part the environments of a bundle into groups that have no dependency between them.

    Parameters
    ----------
    rows : iterable of mapping
        The rows of a bundle: ``environment``, and ``depends_on`` in its ``declaration``.

    Returns
    -------
    list of list of str
        The names, in each group and over all in the order given.
    """
    needs = {row["environment"]: row["declaration"].get("depends_on") or () for row in rows}
    head = {name: name for name in needs}

    def head_of(name: str) -> str:
        while head[name] != name:
            head[name] = name = head[head[name]]
        return name

    for name, needed in needs.items():
        for other in needed:
            if other in head:
                head[head_of(other)] = head_of(name)
    found: dict[str, list[str]] = {}
    for name in needs:
        found.setdefault(head_of(name), []).append(name)
    return list(found.values())
