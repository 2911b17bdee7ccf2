"""Rows of a run: its tree of actions with where each stands, how long it took, and when; bounded, however many."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flyte_nb.engine.base import Action, Phase, now
from flyte_nb.views import escape, shown
from flyte_nb.widgets.families import Families, Family, Place, state
from flyte_nb.widgets.timeline import GROWS, Axis, Bar, drawn, in_characters, sampled
from flyte_nb.widgets.tree import MOST_FAILED, told

__all__ = ["MOST_ROWS", "STYLE", "Row", "Rows", "marked", "rows", "stands"]

MOST_ROWS = 40
#: of those that are told together, the ones that have run longest are listed as well, after so many seconds
MOST_SLOW, SLOW = 2, 1.0
PARTS = 32  # of the bar of a family
_ERROR = 80  # characters
SIGNS = {
    "succeeded": "✓",
    "kept outputs": "✓",
    "failed": "✗",
    "timed out": "✗",
    "aborted": "■",
    "running": "▶",
    "queued": "○",
    "waiting for resources": "○",
    "initializing": "○",
}
_DIGITS = re.compile(r"[0-9]+")
_SURE = 24  # characters that fit
_SMALL = "font-size:inherit;color:var(--jp-ui-font-color2,#616161)"
#: the rule of style of the rows, sent once
STYLE = (
    "<style>.flyte-nb-row{display:grid;"
    "grid-template-columns:minmax(5em,3fr) minmax(6em,4fr) minmax(4em,7em) minmax(4em,4fr);"
    "column-gap:12px;line-height:20px;font-family:var(--jp-ui-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-ui-font-size1,13px);color:var(--jp-ui-font-color1,#212121)}"
    ".flyte-nb-row>*{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}"
    ".flyte-nb-row>:nth-child(3){text-align:right}"
    ".flyte-nb-row>:nth-child(4){position:relative;height:10px;margin-top:5px;overflow:hidden}"
    f".flyte-nb-row small{{{_SMALL}}}"
    f".flyte-nb-head{{{_SMALL};border-bottom:1px solid var(--jp-border-color1,#bdbdbd)}}"
    ".flyte-nb-head>:nth-child(4){display:flex;justify-content:space-between;height:auto;margin:0}"
    ".flyte-nb-bar{position:absolute;top:0;bottom:0;min-width:3px;border-radius:2px}"
    ".flyte-nb-wait{position:absolute;top:4px;border-top:2px dotted var(--jp-ui-font-color2,#757575)}"
    ".flyte-nb-bar svg{display:block;width:100%;height:100%}"
    f"@keyframes {GROWS}{{to{{right:0}}}}</style>"
)


@dataclass(frozen=True)
class Row:
    """One line of a run.

    Parameters
    ----------
    depth : int
        How far it is from the root.
    number : str
        The action's id; empty for several of them.
    name : str
        The task, and how often.
    group : str
        The group it was called in.
    stands : str
        Where it stands, with its sign, in words.
    took : str
        How long it took.
    bar : Bar, optional
        When it ran.
    """

    depth: int
    number: str
    name: str
    group: str = ""
    stands: str = ""
    took: str = ""
    bar: Bar | None = None

    def text(self, axis: Axis, widths: Sequence[int]) -> str:
        """Give it as text, with its parts as wide as is said."""
        parts = (self.label(), shown(self.stands), self.took)
        padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
        return f"{'  '.join(padded)}  |{in_characters(self.bar, axis)}|"

    def label(self) -> str:
        """Give what it is, indented."""
        words = [self.number, shown(self.name), f"in {shown(self.group)}" if self.group else ""]
        return "  " * self.depth + "  ".join(filter(None, words)).replace("\n", "\\n")

    def html(self, axis: Axis) -> str:
        """Give it as HTML, for a page that has `STYLE`."""
        number = f"<small>{escape(self.number)}</small> " if self.number else ""
        group = f" <small>in {escape(self.group)}</small>" if self.group else ""
        indent = f' style="padding-left:{min(self.depth, 12) * 14}px"' if self.depth else ""
        return (
            f'<div class="flyte-nb-row"><div{indent}{_title(self.label().strip())}>{number}{escape(self.name)}{group}'
            f"</div><div{_title(self.stands)}>{escape(self.stands)}</div><div>{escape(self.took)}</div>"
            f"<div>{drawn(self.bar, axis)}</div></div>"
        )


def _title(text: str) -> str:
    """Give the attribute that shows all of a text that may be cut."""
    return f' title="{escape(text)}"' if len(text) > _SURE else ""


@dataclass(frozen=True)
class Rows:
    """The rows of a run as it is at a moment, over one axis.

    Parameters
    ----------
    axis : Axis
        The time of the run.
    rows : list of Row
        At most 40; the root first.
    more : str
        What is left out.
    until : float
        Seconds until it looks different though nothing has happened; infinite where it never does.
    """

    axis: Axis
    rows: list[Row]
    more: str = ""
    until: float = float("inf")

    def heading(self) -> str:
        """Give the headings of the rows, and the two ends of the axis, as HTML."""
        return (
            '<div class="flyte-nb-row flyte-nb-head"><div>action</div><div>where it stands</div><div>took</div>'
            f"<div><span>0</span><span>{self._end()}</span></div></div>"
        )

    def _end(self) -> str:
        return told(timedelta(seconds=self.axis.seconds))

    def text(self) -> list[str]:
        """Give them as text, a line each."""
        parts = [(row.label(), shown(row.stands), row.took) for row in self.rows]
        widths = [min(max(map(len, column)), 60) for column in zip(*parts, strict=True)]
        head = f"{' ' * (sum(widths) + 4)}  |{f'0 … {self._end()}':24}|"
        return [head, *(row.text(self.axis, widths) for row in self.rows), *([self.more] if self.more else [])]


def rows(families: Families, present: datetime | None = None) -> Rows:
    """Give the rows of a run.

    Parameters
    ----------
    families : Families
        Its actions.
    present : datetime, optional
        The time that what still runs has reached; this moment by default.
    """
    root, clock = families.root, (present or now()).timestamp()
    origin = (root.queued or root.started or present or now()).timestamp()
    end = root.ended.timestamp() if root.ended is not None else clock
    axis = Axis.over(origin, max(end - origin, 0.0), root.phase.is_terminal)
    walk = _Walk(families, clock)
    found = list(itertools.islice(itertools.chain([walk.one(root, 0)], walk.below(families.top, 1)), MOST_ROWS + 1))
    more = f"… {len(families) + 1:,} actions in all" if len(found) > MOST_ROWS else ""
    changes = axis.seconds - (clock - origin) if not root.phase.is_terminal else float("inf")
    return Rows(axis, found[:MOST_ROWS], more, min(changes, walk.until))


class _Walk:
    """One walk over the actions of a run, at one time."""

    def __init__(self, families: Families, clock: float) -> None:
        self._families, self._clock = families, clock
        self.until = float("inf")

    def below(self, place: Place, depth: int) -> Iterator[Row]:
        for family in sorted(place.values(), key=_first):
            if family.is_many:
                yield self.many(family, depth)
                for number in itertools.chain(itertools.islice(family.failed, MOST_FAILED), self._slow(family)):
                    yield self.one(family.members[number], depth + 1)
                yield from self.below(family.below, depth + 1)
                continue
            for action in sorted(family.members.values(), key=lambda one: _called(one.id)):
                yield self.one(action, depth)
                yield from self.below(self._families.own.get(action.id, {}), depth + 1)

    def one(self, action: Action, depth: int) -> Row:
        """Give the row of one action."""
        return Row(depth, action.id, action.task, action.group, stands(action), told(_took(action)), self._bar(action))

    def many(self, family: Family, depth: int) -> Row:
        """Give the row of many of them."""
        counts = [f"{SIGNS.get(word, '')} {count:,} {word}" for word, count in family.counts.most_common() if count]
        if family.retried:
            counts.append(f"{family.retried:,} tried again")
        name = f"{family.task} x {len(family.members):,}"
        took = told(timedelta(seconds=family.seconds)) if family.seconds else ""
        return Row(
            depth, "", name, family.group, ", ".join(counts), f"{took} in all" if took else "", self._bars(family)
        )

    def _bar(self, action: Action) -> Bar | None:
        if action.started is None or (action.ended is None and action.phase.is_terminal):
            return None
        end = action.ended.timestamp() if action.ended is not None else self._clock
        asked = action.queued.timestamp() if action.queued is not None else None
        return Bar(action.started.timestamp(), end, state(action), grows=action.ended is None, asked=asked)

    def _bars(self, family: Family) -> Bar | None:
        """Give the bar of many actions: as high as many of them were under way."""
        busy = family.busy.copy() if family.going else family.busy
        for number in family.going:
            if (started := family.members[number].started) is not None:
                busy.add(started.timestamp(), max(self._clock, started.timestamp()))
        filled = [number for number, value in enumerate(busy.bins) if value > 1e-9]
        if not filled:
            return None
        start, end = busy.origin + filled[0] * busy.width, busy.origin + (filled[-1] + 1) * busy.width
        end = min(end, self._clock) if end > self._clock > start else end
        all_failed = len(family.failed) == len(family.members)
        kind = "running" if family.going else "failed" if all_failed else "mixed" if family.failed else "succeeded"
        return Bar(start, end, kind, heights=[round(value, 2) for value in sampled(busy, start, end, PARTS)])

    def _slow(self, family: Family) -> Iterator[str]:
        """Give the actions that have run longest."""
        for number in itertools.islice(list(family.going), MOST_SLOW):
            started = family.members[number].started
            age = self._clock - started.timestamp() if started is not None else 0.0
            if age >= SLOW:
                yield number
            else:
                self.until = min(self.until, SLOW - age + 0.05)


def _called(number: str) -> tuple[int, ...]:
    """Give what orders actions of one place by when they were called: their ids are counted up."""
    return tuple(map(int, _DIGITS.findall(number)))


def _first(family: Family) -> tuple[int, ...]:
    return min(map(_called, itertools.islice(list(family.members), MOST_ROWS)), default=())


def stands(action: Action) -> str:
    """Word where an action stands: a sign, the phase, since when it runs, which attempt, what failed it."""
    word = state(action)
    since = f"since {_clock(action.started)}" if action.phase is Phase.RUNNING and action.started else ""
    if action.error:
        why = action.error.removeprefix(f"{action.phase.value.upper()}: ").partition("\n")[0][:_ERROR]
    else:
        waits = action.phase in (Phase.QUEUED, Phase.WAITING_FOR_RESOURCES, Phase.INITIALIZING)
        why = action.notice.splitlines()[-1][:_ERROR] if waits and action.notice else ""
    again = f"attempt {action.attempt + 1}" if action.attempt else ""
    first, *rest = filter(None, (f"{marked(word)} {since}".rstrip(), again, why))
    return " · ".join([first, *rest])


def marked(word: str) -> str:
    """Give a state with its sign."""
    return f"{SIGNS.get(word, '')} {word}".strip()


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%H:%M:%S")


def _took(action: Action) -> timedelta | None:
    """Give how long an action took; nothing of one that runs, of which the time it began at is told."""
    return action.duration if action.phase.is_terminal else None
