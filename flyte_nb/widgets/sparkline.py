"""Sparkline: a short series of numbers as a line of characters, and as a small picture."""

from __future__ import annotations

from collections.abc import Sequence

from flyte_nb.views import escape
from flyte_nb.widgets.timeline import blocks

__all__ = ["characters", "picture"]

_COLOUR = "var(--jp-brand-color1,#1976d2)"


def characters(series: Sequence[float], width: int = 30) -> str:
    """Draw a series in so many characters; each shows the most of its part, a dot for nothing."""
    parts = _parts(series, width)
    most = max(parts, default=0.0)
    return blocks(part / most if most else 0.0 for part in parts).replace(" ", "·")


def picture(series: Sequence[float], label: str) -> str:
    """Draw a series as an area, in SVG.

    Parameters
    ----------
    series : sequence of float
        The numbers, none below 0.
    label : str
        What a screen reader says.
    """
    most = max(series, default=0.0) or 1.0
    points = " ".join(f"{number},{round(19 - value / most * 18, 1):g}" for number, value in _corners(series))
    last = max(len(series) - 1, 1)
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {last} 20" preserveAspectRatio="none" '
        f'style="width:100%;height:32px;display:block;border-bottom:1px solid var(--jp-border-color1,#bdbdbd)">'
        f'<polygon points="0,20 {points} {last},20" style="fill:{_COLOUR};fill-opacity:0.25"/>'
        f'<polyline points="{points}" vector-effect="non-scaling-stroke" '
        f'style="fill:none;stroke:{_COLOUR};stroke-width:1.5"/></svg>'
    )


def _corners(series: Sequence[float]) -> list[tuple[int, float]]:
    """Give the points of a line without those between two that are as high."""
    numbered = list(enumerate(series))
    inner = numbered[1:-1]
    kept = [one for one in inner if not series[one[0] - 1] == one[1] == series[one[0] + 1]]
    return [*numbered[:1], *kept, *numbered[1:][-1:]]


def _parts(series: Sequence[float], width: int) -> list[float]:
    size = max(-(-len(series) // width), 1)
    return [max(series[first : first + size]) for first in range(0, len(series), size)]
