"""Layout: where the boxes of a layered drawing stand, layer by layer from left to right, and how its lines run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["HEIGHT", "WIDTH", "Drawing", "laid_out"]

WIDTH, HEIGHT = 196, 40  # of a box, in pixels, unless its texts need less or more
_LANE = 10  # the height that a line takes which passes a layer
_GAP_X, _GAP_Y, _EDGE = 56, 14, 4
_TALLEST = 12 * (HEIGHT + _GAP_Y)  # pixels of a column
_MOST_LANES = 400
_SWEEPS = 6
_Lane = tuple[str, str, int]  # from, to, and the layer that is passed


@dataclass(frozen=True)
class Drawing:
    """Boxes and the lines between them, in pixels.

    Parameters
    ----------
    places : dict of str to (x, y)
        The upper left corner of each box.
    lines : list of list of (x, y)
        From the right side of what is needed to the left side of what needs it; of the points between them, each two
        are the ends of a straight part.
    width, height : int
        Of the whole.
    """

    places: dict[str, tuple[int, int]]
    lines: list[list[tuple[int, int]]]
    width: int
    height: int


def laid_out(waves: Sequence[Sequence[str]], needs: Mapping[str, Sequence[str]], width: int = WIDTH) -> Drawing:
    """Place the boxes of some layers so that few lines cross, and none runs behind a box where that can be had.

    Parameters
    ----------
    waves : sequence of sequence of str
        The layers, each after what it needs.
    needs : mapping of str to sequence of str
        What each needs.
    width : int
        The width of a box.
    """
    level = {name: index for index, wave in enumerate(waves) for name in wave}
    edges = [(one, name) for name in level for one in needs.get(name, ()) if one in level]
    lanes = [(a, b, passed) for a, b in edges for passed in range(level[a] + 1, level[b])]
    if len(lanes) > _MOST_LANES:
        lanes = []
    passing: dict[tuple[str, str], list[_Lane]] = {}
    for lane in lanes:
        passing.setdefault(lane[:2], []).append(lane)
    columns = [part for wave in _sorted(_with_lanes(waves, lanes), edges, passing) for part in _parts(wave)]
    tallest = max(map(_height, columns), default=0)
    places: dict[str | _Lane, tuple[int, int]] = {}
    for index, column in enumerate(columns):
        y = _EDGE + (tallest - _height(column)) // 2
        for item in column:
            places[item] = (_EDGE + index * (width + _GAP_X), y)
            y += _size(item) + _GAP_Y
    lines = [_points(places, one, other, passing.get((one, other), []), width) for one, other in edges]
    whole = 2 * _EDGE + len(columns) * (width + _GAP_X) - (_GAP_X if columns else 0)
    boxes = {item: place for item, place in places.items() if isinstance(item, str)}
    return Drawing(boxes, lines, whole, 2 * _EDGE + tallest)


def _size(item: str | _Lane) -> int:
    return HEIGHT if isinstance(item, str) else _LANE


def _height(column: Sequence[str | _Lane]) -> int:
    return sum(_size(item) + _GAP_Y for item in column) - (_GAP_Y if column else 0)


def _with_lanes(waves: Sequence[Sequence[str]], lanes: Sequence[_Lane]) -> list[list[str | _Lane]]:
    columns: list[list[str | _Lane]] = [list(wave) for wave in waves]
    for lane in lanes:
        columns[lane[2]].append(lane)
    return columns


def _parts(wave: list[str | _Lane]) -> list[list[str | _Lane]]:
    """Break a layer that is too tall into several columns."""
    count = max(1, -(-_height(wave) // _TALLEST))
    size = -(-len(wave) // count) or 1
    return [wave[start : start + size] for start in range(0, len(wave), size)]


def _sorted(
    columns: list[list[str | _Lane]],
    edges: Sequence[tuple[str, str]],
    lanes: Mapping[tuple[str, str], Sequence[_Lane]],
) -> list[list[str | _Lane]]:
    """Sort each layer by where its neighbours stand, there and back a few times."""
    before: dict[str | _Lane, list[str | _Lane]] = {}
    after: dict[str | _Lane, list[str | _Lane]] = {}
    for a, b in edges:
        chain: list[str | _Lane] = [a, *lanes.get((a, b), ()), b]
        for one, other in itertools.pairwise(chain):
            before.setdefault(other, []).append(one)
            after.setdefault(one, []).append(other)
    for sweep in range(_SWEEPS):
        neighbours, order = (before, columns) if sweep % 2 == 0 else (after, columns[::-1])
        rank = {item: row for column in columns for row, item in enumerate(column)}
        for column in order:
            middle = {item: _middle(rank, neighbours.get(item, ()), rank[item]) for item in column}
            column.sort(key=middle.__getitem__)
            rank.update({item: row for row, item in enumerate(column)})
    return columns


def _middle(rank: Mapping[str | _Lane, int], neighbours: Sequence[str | _Lane], own: int) -> float:
    known = [rank[one] for one in neighbours if one in rank]
    return sum(known) / len(known) if known else own


def _points(
    places: Mapping[str | _Lane, tuple[int, int]], one: str, other: str, lanes: Sequence[_Lane], width: int
) -> list[tuple[int, int]]:
    (x1, y1), (x2, y2) = places[one], places[other]
    points = [(x1 + width, y1 + HEIGHT // 2)]
    for lane in lanes:
        x, y = places[lane]
        points += [(x, y + _LANE // 2), (x + width, y + _LANE // 2)]
    return [*points, (x2 - 1, y2 + HEIGHT // 2)]
