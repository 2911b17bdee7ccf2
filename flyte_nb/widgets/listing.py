"""Listing: rows of environments, searched, narrowed, sorted and cut into pages."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

__all__ = ["ALL", "ORDERS", "PAGE", "SHOWN", "Listing", "Row", "counted", "listed"]

PAGE = 50  # rows
_NUMBER = re.compile(r"(\d+)")
ALL = "all"
#: the states that a row can have, what needs notice first, each with its sign
SIGNS = {"out of date": "!", "cannot be deployed": "!", "failed": "!", "serving": "▶", "declared": "+", "deployed": "="}
_RANKS = {word: rank for rank, word in enumerate(SIGNS)}


@dataclass(frozen=True)
class Row:
    """One environment.

    Parameters
    ----------
    name, kind : str
        Its name and its class, in a word.
    tasks : tuple of str
        The names of its tasks, without the environment's.
    place : str
        Where it is declared.
    state : str
        How it stands: a word of `SIGNS`.
    version : str
        What of it is deployed; empty for nothing.
    note : str
        More of its state, such as where it is served.
    description : str
        What it says of itself.
    is_checked : bool
        Whether it is known that what is deployed is what is declared.
    number : int
        Another one for another declaration.
    is_served : bool
        Whether there is something of it to stop.
    """

    name: str
    kind: str
    tasks: tuple[str, ...] = ()
    place: str = ""
    state: str = "declared"
    version: str = ""
    note: str = ""
    description: str = ""
    is_checked: bool = True
    number: int = 0
    is_served: bool = False

    @property
    def sign(self) -> str:
        """The sign of its state."""
        return SIGNS.get(self.state, "?")

    @property
    def told(self) -> str:
        """Its state in words."""
        if self.state == "deployed":
            return f"deployed at {self.version}{'' if self.is_checked else ' …'}"
        version = f"deployed at {self.version}" if self.version else ""
        more = ", ".join(filter(None, (self.note, version)))
        return f"{self.state} ({more})" if more else self.state


@functools.lru_cache(maxsize=20_000)
def _natural(text: str) -> tuple[tuple[int, str], ...]:
    """Give a key that sorts ``env-2`` before ``env-10``."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in _NUMBER.split(text))


#: what of the rows is shown, by what a person chooses
SHOWN: dict[str, Callable[[Row], bool]] = {
    ALL: lambda row: True,
    "needs attention": lambda row: row.sign == "!",
    "not deployed": lambda row: not row.version,
    "deployed": lambda row: bool(row.version),
    "tasks": lambda row: row.kind == "task",
    "apps": lambda row: row.kind == "app",
    "connectors": lambda row: row.kind == "connector",
    "served": lambda row: row.is_served,
}
#: in which order, by what a person chooses
ORDERS: dict[str, Callable[[Row], object]] = {
    "name": lambda row: _natural(row.name),
    "state": lambda row: (_RANKS.get(row.state, len(_RANKS)), _natural(row.name)),
    "kind": lambda row: (row.kind, _natural(row.name)),
    "number of tasks": lambda row: (-len(row.tasks), _natural(row.name)),
    "place": lambda row: (_natural(row.place), _natural(row.name)),
}


@dataclass(frozen=True)
class Listing:
    """One page of what was found.

    Parameters
    ----------
    rows : tuple of Row
        The page.
    found, total : int
        How many rows were found, and how many there are.
    page, pages : int
        Which page it is, from 0, and how many there are; at least one.
    """

    rows: tuple[Row, ...]
    found: int
    total: int
    page: int
    pages: int


def listed(
    rows: Sequence[Row], search: str = "", shown: str = ALL, order: str = "name", page: int = 0, size: int = PAGE
) -> Listing:
    """Search, narrow and sort rows, and give a page of them.

    Parameters
    ----------
    rows : sequence of Row
        All there are.
    search : str
        Words that a row has to have, all of them, wherever; upper and lower case are the same.
    shown, order : str
        Of `SHOWN` and of `ORDERS`.
    page : int
        Which page; the nearest there is.
    size : int
        How many rows a page has.
    """
    words = search.casefold().split()
    found = sorted(
        (row for row in rows if SHOWN[shown](row) and _has(row, words)),
        key=ORDERS[order],  # type: ignore[arg-type]  # the keys of one order are alike
    )
    pages = max(1, -(-len(found) // size))
    page = min(max(page, 0), pages - 1)
    return Listing(tuple(found[page * size : (page + 1) * size]), len(found), len(rows), page, pages)


def counted(rows: Iterable[Row]) -> str:
    """Word how many rows are in which state, what needs notice first."""
    counts = Counter(row.state for row in rows)
    return ", ".join(f"{counts[state]:,} {state}" for state in SIGNS if counts[state])


def _has(row: Row, words: Sequence[str]) -> bool:
    if not words:
        return True
    text = "\n".join((row.name, row.kind, *row.tasks, row.place, row.told, row.description)).casefold()
    return all(word in text for word in words)
