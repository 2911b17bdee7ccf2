"""Staleness: what changed in the definitions of a task since it last ran, or was deployed, name by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flyte_nb.notebook.cells import Statement
from flyte_nb.notebook.module import Module, locate
from flyte_nb.notebook.reading import definitions

__all__ = ["Stale", "changed_files", "changed_names", "place_of"]


@dataclass(frozen=True)
class Stale:
    """One thing that makes a run or a deployment out of date.

    Parameters
    ----------
    name : str
        The variable, function, class or file.
    where : str
        The cell and line that bound it; empty for a file and for an import.
    what : str
        ``"changed"`` or ``"is new"``.
    since : str
        Since when, in words.
    """

    name: str
    where: str
    what: str
    since: str = ""

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.name}{place} {self.what}{f' since {self.since}' if self.since else ''}"


def changed_names(before: Module, now: Module, since: str) -> list[Stale]:
    """Compare what a task reads now with what it read; what only the former module holds may be another task's.

    Parameters
    ----------
    before : Module
        The definitions that ran, or were deployed.
    now : Module
        The definitions that would be taken now.
    since : str
        What ``before`` is, in words.
    """
    if before.digest == now.digest:
        return []
    known, found = definitions(before), definitions(now)
    return [
        Stale(defined.name, defined.where, "changed" if key in known else "is new", since)
        for key, defined in found.items()
        if key not in known or known[key].digest != defined.digest
    ]


def changed_files(before: Mapping[str, str], now: Mapping[str, str], since: str) -> list[Stale]:
    """Compare files by digest, as `changed_names` compares definitions."""
    return [
        Stale(path, "", "changed" if path in before else "is new", since)
        for path, digest in sorted(now.items())
        if before.get(path) != digest
    ]


def place_of(statement: Statement, lines: list[str]) -> tuple[str, int] | None:
    """Give the cell and the line that the mark right above a statement of a generated module tells."""
    return locate(lines[statement.line - 2], 2) if statement.line > 1 else None
