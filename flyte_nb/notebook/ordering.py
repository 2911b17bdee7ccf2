"""The order of a module's statements: the notebook's own, as far as each stands after what it needs."""

from __future__ import annotations

import ast
import graphlib
import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from flyte_nb.notebook.cells import Cell, statements
from flyte_nb.notebook.names import Names

__all__ = ["Part", "ordered", "respelled"]


@dataclass(frozen=True, eq=False)
class Part:
    """A statement of a module that is being written.

    Parameters
    ----------
    source : str
        Its text.
    node : ast.stmt
        Its syntax tree.
    names : Names
        What it binds and reads.
    cell : str
        The cell it comes from, ``In [n]``; empty for what the export adds.
    line : int
        Its line there.
    comments : str
        The comment lines above it in its cell.
    """

    source: str
    node: ast.stmt
    names: Names
    cell: str = ""
    line: int = 0
    comments: str = ""

    @property
    def is_block(self) -> bool:
        """Whether it is a function or a class, which two blank lines part from the rest."""
        return isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)

    @property
    def at_once(self) -> frozenset[str]:
        """The names that have to exist before it: a decorator may read annotations, too."""
        return self.names.reads | (self.names.hints if getattr(self.node, "decorator_list", []) else frozenset())


def respelled(part: Part, source: str) -> Part:
    """Give a part with another text."""
    if source == part.source:
        return part
    statement = next(statements(Cell(source, 0)))
    return replace(part, source=source, node=statement.node, names=statement.names)


def ordered(parts: Sequence[Part], rank: Callable[[Part], tuple[float, ...]]) -> list[Part]:
    """Sort parts by rank, each after what it needs.

    Parameters
    ----------
    parts : sequence of Part
        In an order that works; whatever one needs stands before it.
    rank : callable
        Gives where a part would stand if nothing else counted.
    """
    sorter = graphlib.TopologicalSorter(dict(enumerate(_needs(parts))))
    sorter.prepare()
    waiting: list[tuple[tuple[float, ...], int]] = []
    done: list[Part] = []
    while sorter.is_active():
        for place in sorter.get_ready():
            heapq.heappush(waiting, (rank(parts[place]), place))
        _, place = heapq.heappop(waiting)
        done.append(parts[place])
        sorter.done(place)
    return done


def _needs(parts: Sequence[Part]) -> list[set[int]]:
    """Say for each part which earlier ones have to stand before it, by their places."""
    binders: dict[str, list[int]] = {}
    for place, part in enumerate(parts):
        for name in part.names.binds:
            binders.setdefault(name, []).append(place)
    touched: dict[str, list[int]] = {}
    needs: list[set[int]] = []
    for place, part in enumerate(parts):
        read = _read(parts, place, binders) & set(binders)
        needs.append({p for name in read for p in binders[name] if p < place})
        for name in read | part.names.binds:
            touched.setdefault(name, []).append(place)
    for name, places in touched.items():
        # a name bound again, and one that a statement works on without binding it, mean another thing further down
        again = binders[name] if len(binders[name]) > 1 else []
        for fixed in [*again, *(p for p in places if not parts[p].names.binds)]:
            needs[fixed].update(p for p in places if p < fixed)
            for place in places:
                needs[place].update([fixed] if place > fixed else [])
    return needs


def _read(parts: Sequence[Part], place: int, binders: Mapping[str, list[int]]) -> set[str]:
    """Give the names that a part may read when it runs: its own, and those of the functions that it may call."""
    part = parts[place]
    if part.is_block and not getattr(part.node, "decorator_list", []):
        return set(part.at_once)
    found, waiting = set[str](), list(part.at_once)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            for binder in binders.get(name, []):
                if binder < place:
                    waiting += [*parts[binder].names.defers, *parts[binder].at_once]
    return found
