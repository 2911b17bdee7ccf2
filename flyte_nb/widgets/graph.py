"""The graph of environments: a drawing in layers, each box with its state in colour and in words, and a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flyte_nb.plan.graph import Graph
from flyte_nb.plan.preview import Plan, PlannedChange
from flyte_nb.views import Diff, Fold, Stack, Table, View, bullet, escape
from flyte_nb.widgets.layout import HEIGHT, laid_out

__all__ = ["graph", "states"]

MOST = 60  # environments that are drawn one by one
MOST_LAYERS = 20  # that are drawn
_LONGEST = 28  # characters of a line in a box
_CHARACTER, _AROUND, _NARROWEST = 7, 24, 108  # pixels: a character, what is beside a line, a box
_NAMES = 12  # of a layer that is opened
_SIGNS = {"declared": "+", "changed": "~", "out of date": "!", "deployed": "="}
_COLOURS = {
    "+": "var(--jp-info-color1,#0277bd)",
    "~": "var(--jp-warn-color1,#b26a00)",
    "!": "var(--jp-error-color1,#c62828)",
    "=": "var(--jp-success-color1,#2e7d32)",
}
_LINE = "var(--jp-border-color0,#9e9e9e)"


def states(made: Plan) -> dict[str, str]:
    """Say of each environment of a plan how it stands: declared, changed, out of date, or deployed at a version."""
    return {change.environment: _state(change) for change in made.changes}


def _state(change: PlannedChange) -> str:
    if change.what == "same":
        return f"deployed at {change.version}"
    if change.what == "create":
        return "declared"
    own = change.fields or any(task.what != "changed" or task.fields or _is_own(task.task, task.names[0].name)
                               for task in change.tasks)  # fmt: skip
    return "changed" if own else "out of date"


def _is_own(task: str, name: str) -> bool:
    return name == task.rpartition(".")[2]


def graph(made: Graph, states: Mapping[str, str], notices: Iterable[str] = ()) -> View:
    """Show a graph; a large one as its layers, which open.

    Parameters
    ----------
    made : Graph
        What is shown.
    states : mapping of str to str
        How each environment stands, in words.
    notices : iterable of str
        What to say above it.
    """
    if not made.environments:
        return Diff([("!", "no environment is declared yet", "declare one with  %%flyte my-env --cpu 1")])
    small = len(made.environments) <= MOST
    boxes = _of_environments(made, states) if small else _of_layers(made, states)
    table = _table(made, states) if small else _layers(made, states)
    beside = Fold("as a table", table) if small else Stack([*_opening(made, states)])
    told = [Diff([("!", notice, "") for notice in notices])] if notices else []
    return Stack([*told, _Drawn(boxes, table, beside)])


@dataclass(frozen=True)
class _Box:
    title: str
    state: str
    needs: tuple[str, ...]


@dataclass(repr=False)
class _Drawn(View):
    """Boxes in layers; as text a table, and what stands below the drawing."""

    boxes: Sequence[tuple[tuple[str, _Box], ...]]
    table: View
    beside: View

    def text(self) -> str:
        return self.table.text()

    def body(self) -> str:
        boxes = dict(box for layer in self.boxes for box in layer)
        width = max(map(_width, boxes.values()))
        layers = [[key for key, _ in layer] for layer in self.boxes]
        drawn = laid_out(layers, {key: box.needs for key, box in boxes.items()}, width)
        lines = "".join(map(_line, drawn.lines))
        shapes = "".join(_box(box, *drawn.places[key], width) for key, box in boxes.items())
        label = escape(f"{len(boxes)} boxes in {len(self.boxes)} layers, dependencies on the left")
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{drawn.width}" '
            f'height="{drawn.height}" viewBox="0 0 {drawn.width} {drawn.height}" '
            f'style="font-family:inherit;font-size:12px;max-width:none">{lines}{shapes}</svg>'
        )
        return f'<div style="overflow:auto;max-height:48em">{svg}</div>{self.beside.body()}'


def _width(box: _Box) -> int:
    """Estimate the width that a box needs for its texts."""
    longest = min(max(len(box.title), len(box.state) + 2), _LONGEST)
    return max(_NARROWEST, longest * _CHARACTER + _AROUND)


def _box(box: _Box, x: int, y: int, width: int) -> str:
    sign = _sign(box.state)
    needs = f", needs {', '.join(bullet(box.needs, 8))}" if box.needs else ""
    return (
        f"<g><title>{escape(f'{box.title}: {box.state}{needs}')}</title>"
        f'<rect x="{x}" y="{y}" width="{width}" height="{HEIGHT}" rx="4" fill="var(--jp-layout-color1,#ffffff)" '
        f'stroke="{_COLOURS[sign]}"/><rect x="{x}" y="{y}" width="5" height="{HEIGHT}" fill="{_COLOURS[sign]}"/>'
        f'<text x="{x + 13}" y="{y + 16}" font-weight="600" fill="var(--jp-ui-font-color1,#212121)">{_cut(box.title)}'
        f'</text><text x="{x + 13}" y="{y + 32}" fill="var(--jp-ui-font-color1,#212121)">'
        f'<tspan font-weight="600" fill="{_COLOURS[sign]}">{sign}</tspan> {_cut(box.state)}</text></g>'
    )


def _cut(text: str) -> str:
    return escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _line(points: Sequence[tuple[int, int]]) -> str:
    """Draw an arrow: curves from layer to layer, straight where it passes one."""
    path = "M{} {}".format(*points[0])
    for (x1, y1), (x2, y2) in zip(points[::2], points[1::2], strict=True):
        bend = max(20, (x2 - x1) // 2)
        end = x2 - 6 if (x2, y2) == points[-1] else x2
        straight = "" if path.startswith(f"M{x1} {y1}") and len(path) < 16 else f"L{x1} {y1}"
        path += f"{straight}C{x1 + bend} {y1} {x2 - bend} {y2} {end} {y2}"
    x, y = points[-1]
    return f'<path d="{path}" fill="none" stroke="{_LINE}"/><path d="M{x} {y}l-7 -4v8z" fill="{_LINE}"/>'


def _sign(state: str) -> str:
    return next((sign for word, sign in _SIGNS.items() if state.startswith(word)), "+")


# --- a small graph ---


def _of_environments(made: Graph, states: Mapping[str, str]) -> list[tuple[tuple[str, _Box], ...]]:
    return [
        tuple((name, _Box(name, states.get(name, "declared"), made.needs[name])) for name in wave)
        for wave in made.waves
    ]


def _table(made: Graph, states: Mapping[str, str]) -> Table:
    rows = [
        (str(number), name, f"{_sign(state)} {state}", ", ".join(bullet(made.needs[name], 6)))
        for number, wave in enumerate(made.waves, start=1)
        for name in wave
        for state in [states.get(name, "declared")]
    ]
    return Table(("layer", "environment", "state", "depends on"), rows)


# --- a large one ---


def _of_layers(made: Graph, states: Mapping[str, str]) -> list[tuple[tuple[str, _Box], ...]]:
    """Give a box for each layer; of very many layers, the first and the last ones."""
    boxes: list[tuple[tuple[str, _Box], ...]] = []
    before: tuple[str, ...] = ()
    for number, title, names in _shown_layers(made):
        key = f"layer {number}"
        boxes.append(((key, _Box(title, _most(names, states), before)),))
        before = (key,)
    return boxes


def _shown_layers(made: Graph) -> list[tuple[int, str, Sequence[str]]]:
    layers: list[tuple[int, str, Sequence[str]]] = [
        (n, f"layer {n}: {_count(wave)}", wave) for n, wave in enumerate(made.waves, start=1)
    ]
    if len(layers) <= MOST_LAYERS:
        return layers
    first, last = layers[: MOST_LAYERS // 2], layers[1 - MOST_LAYERS // 2 :]
    left = [name for _, _, wave in layers[len(first) : -len(last)] for name in wave]
    return [*first, (len(first) + 1, f"… {len(layers) - len(first) - len(last):,} more layers", left), *last]


def _count(names: Sequence[str]) -> str:
    return f"{len(names):,} environments" if len(names) != 1 else names[0]


def _most(names: Sequence[str], states: Mapping[str, str]) -> str:
    """Word how the environments of a layer stand, what needs notice first."""
    counts = Counter(_word(states.get(name, "declared")) for name in names)
    order = ["changed", "out of date", "declared", "deployed"]
    told = [(word, counts[word]) for word in order if counts[word]]
    return told[0][0] if len(told) == 1 else ", ".join(f"{word} {count:,}" for word, count in told)


def _word(state: str) -> str:
    return next((word for word in _SIGNS if state.startswith(word)), "declared")


def _layers(made: Graph, states: Mapping[str, str]) -> View:
    rows = [(title, _most(names, states), ", ".join(bullet(names, 8))) for _, title, names in _shown_layers(made)]
    title = f"{len(made.environments):,} environments in {len(made.waves):,} layers"
    return Table(("layer", "state", "environments"), rows, title)


def _opening(made: Graph, states: Mapping[str, str]) -> Iterator[View]:
    """Give the layers as lines that open: what is in each, how it stands and what it needs."""
    for _, title, names in _shown_layers(made):
        rows = [(n, states.get(n, "declared"), ", ".join(bullet(made.needs[n], 6))) for n in names[:_NAMES]]
        more = [(f"… and {len(names) - _NAMES:,} more", "", "")] if len(names) > _NAMES else []
        yield Fold(f"{title} ({_most(names, states)})", Table(("environment", "state", "depends on"), [*rows, *more]))
