"""Rows: how batches become statements, and values what SQLite takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flyte_nb.engine.store.batches import Row, Statement

__all__ = ["fit", "grouped"]


def grouped(rows: Iterable[Row]) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """Gather the rows of each statement, in their order; statements of a lower rank first."""
    groups: dict[Statement, list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault(row.statement, []).append(row.values)
    return [(statement.sql, groups[statement]) for statement in sorted(groups, key=lambda s: s.rank)]


def fit(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Write the characters that are not Unicode, as of undecodable file names, in a way that is."""
    return tuple(v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for v in values)
