"""Timeline: when something ran, drawn as a bar over the time of a run; in HTML, and in characters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Axis", "Bar", "Busy", "blocks", "drawn"]

BINS = 48
FINEST = 1 / 32  # seconds of a bin, at first
WIDTH = 24  # characters of a bar
_LEVELS = "▁▂▃▄▅▆▇█"
COLOURS = {
    "succeeded": "var(--jp-success-color1,#2e7d32)",
    "failed": "var(--jp-error-color1,#c62828)",
    "timed out": "var(--jp-error-color1,#c62828)",
    "mixed": "var(--jp-warn-color1,#b26a00)",
    "running": "var(--jp-brand-color1,#1976d2)",
}
OTHER = "var(--jp-ui-font-color2,#757575)"
#: moves the end of a bar to the end of the axis, with nobody sending anything
GROWS = "flyte-nb-grows"


class Busy:
    """How much was under way at each time, in a fixed number of bins: they become wider as time goes on."""

    def __init__(self) -> None:
        self.origin = math.nan
        self.width = FINEST
        self.bins = [0.0] * BINS

    def add(self, start: float, end: float, times: float = 1) -> None:
        """Add something that was under way from one time to another, in seconds."""
        if math.isnan(self.origin):
            self.origin = start
        while start < self.origin:
            self._earlier()
        while end - self.origin >= self.width * BINS:
            self._coarsen()
        first, last = (int((time - self.origin) / self.width) for time in (start, end))
        if first == last:
            self.bins[first] += times * max((end - start) / self.width, 1e-6)
            return
        for number in range(first, last + 1):
            begin = self.origin + number * self.width
            self.bins[number] += times * (min(end, begin + self.width) - max(start, begin)) / self.width

    def copy(self) -> Busy:
        """Give another with the same in it."""
        made = Busy()
        made.origin, made.width, made.bins = self.origin, self.width, list(self.bins)
        return made

    def _coarsen(self) -> None:
        halves = [(self.bins[number] + self.bins[number + 1]) / 2 for number in range(0, BINS, 2)]
        self.bins, self.width = halves + [0.0] * (BINS // 2), self.width * 2

    def _earlier(self) -> None:
        """Make room in front, by half of what there is."""
        self._coarsen()
        self.bins = [0.0] * (BINS // 2) + self.bins[: BINS // 2]
        self.origin -= self.width * (BINS // 2)


@dataclass(frozen=True)
class Bar:
    """When something ran.

    Parameters
    ----------
    start, end : float
        In seconds, on the clock of the axis.
    state : str
        Where it stands: it gives the colour.
    grows : bool
        Whether it still runs, so that its end is the present.
    heights : sequence of float
        How much was under way, from 0 to 1, in equal parts from start to end; empty for one thing.
    """

    start: float
    end: float
    state: str = "succeeded"
    grows: bool = False
    heights: Sequence[float] = ()


@dataclass(frozen=True)
class Axis:
    """The time of a run.

    Parameters
    ----------
    origin : float
        When it began, in seconds.
    seconds : float
        How much of it is shown.
    """

    origin: float
    seconds: float

    @classmethod
    def over(cls, origin: float, elapsed: float, is_over: bool) -> Axis:
        """Give the axis of a run: all of one that is over; of another, with room, so that its bars seldom move."""
        return cls(origin, max(elapsed, 1e-3) if is_over else rounded_up(elapsed))

    def at(self, time: float) -> float:
        """Give where a time is, from 0 to 1."""
        return min(max((time - self.origin) / self.seconds, 0.0), 1.0)


def rounded_up(seconds: float) -> float:
    """Give the next of 1, 2, 5, 10, 20, 50, … seconds."""
    base = 10 ** max(math.floor(math.log10(max(seconds, 1.0))), 0)
    return next(float(step * base) for step in (1, 2, 5, 10, 20) if step * base > seconds)


def sampled(busy: Busy, start: float, end: float, parts: int) -> list[float]:
    """Give how much was under way in equal parts of a time, from 0 to 1 of the most."""
    if math.isnan(busy.origin) or end <= start:
        return [1.0] * parts
    step = (end - start) / parts
    found = [_mean(busy, start + number * step, start + (number + 1) * step) for number in range(parts)]
    most = max(found)
    return [value / most for value in found] if most > 0 else [1.0] * parts


def _mean(busy: Busy, start: float, end: float) -> float:
    """Give how much was under way between two times, on average."""
    first, last = ((time - busy.origin) / busy.width for time in (start, end))
    total = 0.0
    for number in range(max(int(first), 0), min(int(last), BINS - 1) + 1):
        total += busy.bins[number] * max(min(number + 1, last) - max(number, first), 0.0)
    return total / max(last - first, 1e-9)


def blocks(values: Iterable[float]) -> str:
    """Draw numbers from 0 to 1 in characters; what is not 0 is seen."""
    return "".join(_LEVELS[min(math.ceil(value * 8), 8) - 1] if value > 0 else " " for value in values)


def in_characters(bar: Bar | None, axis: Axis, width: int = WIDTH) -> str:
    """Draw a bar in characters."""
    if bar is None:
        return " " * width
    first = min(int(axis.at(bar.start) * width), width - 1)
    size = max(min(math.ceil(axis.at(bar.end) * width), width) - first, 1)
    if bar.heights:
        parts = [bar.heights[number * len(bar.heights) // size] for number in range(size)]
        inner = blocks(max(value, 0.01) for value in parts)
    else:
        inner = "█" * size if not bar.grows else "█" * (size - 1) + "▶"
    return " " * first + inner + " " * (width - first - size)


def drawn(bar: Bar | None, axis: Axis) -> str:
    """Draw a bar in HTML; what still runs grows by itself to the end of the axis."""
    if bar is None:
        return ""
    left, right = axis.at(bar.start) * 100, 100 - axis.at(bar.end) * 100
    colour = COLOURS.get(bar.state, OTHER)
    place = f"left:{left:.4g}%;right:{max(right, 0):.4g}%"
    if bar.heights:
        return f'<div class="flyte-nb-bar" style="{place}">{_area(bar.heights, colour)}</div>'
    moves = ""
    if bar.grows:
        moves = f";animation:{GROWS} {max(axis.origin + axis.seconds - bar.end, 0.01):.3g}s linear forwards"
    return f'<div class="flyte-nb-bar" style="{place};background:{colour}{moves}"></div>'


def _area(heights: Sequence[float], colour: str) -> str:
    """Draw heights as a filled shape of steps."""
    path = "".join(f"V{10 - round(max(value, 0.1) * 10)}h1" for value in heights)
    return (
        f'<svg viewBox="0 0 {len(heights)} 10" preserveAspectRatio="none" aria-hidden="true" style="fill:{colour}">'
        f'<path d="M0 10{path}V10z"/></svg>'
    )
