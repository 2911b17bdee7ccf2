"""RunView: a run as it happens — its actions as a tree over time, the log of each, and its end when one asks for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flyte_nb.engine.base import Action, Attempt, Event, Phase, Run
from flyte_nb.errors import UsageError
from flyte_nb.views import Card, Text, escape
from flyte_nb.widgets import runs
from flyte_nb.widgets.families import Families
from flyte_nb.widgets.interactive import Interactive, open_views
from flyte_nb.widgets.pace import Pace
from flyte_nb.widgets.run_log import RunLog
from flyte_nb.widgets.run_rows import STYLE, Rows, marked, rows, stands
from flyte_nb.widgets.tree import told

__all__ = ["RunState", "RunView", "is_watched"]

STILL = 5.0  # seconds between two renewals of the still form while the run goes on
_MUTED = "color:var(--jp-ui-font-color2,#616161)"
_FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:var(--jp-ui-font-size1,13px);"
    "color:var(--jp-ui-font-color1,#212121)"
)


@dataclass(frozen=True)
class RunState:
    """What a view of a run asks and does.

    Parameters
    ----------
    run : Run
        The run.
    tail : callable
        Gives the last lines that an action has printed, by its id; of the whole run for an empty one.
    attempts : callable
        Gives the attempts of an action that have failed, by its id.
    cancel : callable, optional
        Asks for the run's end, and does not wait for it; None where that is not possible from here.
    again : callable, optional
        Gives the run as it is recorded now, where another process carries it out: nobody tells of it.
    """

    run: Run
    tail: Callable[[str], list[str]]
    attempts: Callable[[str], list[Attempt]]
    cancel: Callable[[], object] | None = None
    again: Callable[[], Run] | None = None


class RunView(Interactive):
    """A run that changes while one looks at it; of a run that has ended, what it did.

    What happens is noted where it happens, and shown a few times a second at most. Nothing is sent while nothing
    happens.

    Parameters
    ----------
    state : RunState
        The run.
    """

    def __init__(self, state: RunState) -> None:
        super().__init__()
        self._state, self._run = state, state.run
        self._heard: deque[Event] = deque()
        self._drawing = threading.RLock()
        self._families = Families(_as_they_are(self._run))
        self._leave: Callable[[], None] | None = None
        self._pace: Pace | None = None
        self._still_pace: Pace | None = None
        self._shown: dict[str, Any] = {}
        self._rows: list[Any] = []
        self._log: RunLog | None = None

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    # --- the still form ---

    def text(self) -> str:
        with self._drawing:
            self._take()
            return "\n".join([self._card().text(), *self._counts(), *(f"  {line}" for line in self._made().text())])

    def body(self) -> str:
        with self._drawing:
            self._take()
            return self._card().body() + self._counted() + Text("\n".join(self._made().text())).body()

    def _counted(self) -> str:
        return "".join(f"<div>{escape(line.strip())}</div>" for line in self._counts())

    def _made(self) -> Rows:
        return rows(self._families)

    def _card(self) -> Card:
        card, root = runs.head(self._run), self._families.root
        took = told(root.duration) if root.phase.is_terminal else ""
        first, *rest = stands(root).split(" · ")
        card.strip = [" · ".join(filter(None, [first, took])), *[word for word in rest if word.startswith("attempt")]]
        return card

    def _counts(self) -> list[str]:
        """Word how many actions there are below the root, and where they stand."""
        families, total = self._families, len(self._families)
        if not total:
            return []
        counts = families.counts
        ended = sum(counts[word] for word in _ENDED)
        words = [f"{ended:,} of {total:,} tasks called are done"]
        words += [f"{marked(word)}: {count:,}" for word, count in counts.most_common() if count and word != "succeeded"]
        words += [f"tried again: {families.retried:,}"] if families.retried else []
        return ["  " + " · ".join(words)]

    # --- what happens ---

    def _hear(self, event: Event) -> None:
        """Take an event, in the thread of whoever carries the run out: it is shown later."""
        self._heard.append(event)
        if self._pace is not None:
            self._pace.ask()

    def _take(self) -> tuple[set[str], bool]:
        """Take in what has happened; give the ids of those that have printed, and whether anything has changed."""
        if self._leave is None and not self._heard:
            if self._families.root.phase.is_terminal:
                return set(), False
            self._families = Families(_as_they_are(self._run))
            return set(), True
        printed, changed = set(), False
        while self._heard:
            event = self._heard.popleft()
            if event.text:
                printed.add(event.action.id)
            else:
                self._families.put(event.action)
                changed = True
        return printed, changed

    # --- the widget ---

    def controls(self) -> Any:
        import ipywidgets

        self._log = RunLog(self._state.tail, self._state.attempts, self._families.find, self.handler)
        self._shown = {name: ipywidgets.HTML() for name in ("card", "counts", "more")}
        self._table = ipywidgets.VBox([])
        common = ipywidgets.Layout(margin="0"), ipywidgets.HTML().style
        self._new_row: Callable[[], Any] = lambda: ipywidgets.HTML(layout=common[0], style=common[1])
        self._pace, self._still_pace = Pace(self.handler(self._show)), Pace(self.renew, STILL)
        with self._drawing:
            if not self._run.done():
                self._leave = self._run.observe(self._hear)
            self._families = Families(_as_they_are(self._run))
            self._rows = []
            self._show(first=True)
        shown = self._shown
        return ipywidgets.VBox(
            [shown["card"], shown["counts"], ipywidgets.HBox(self._buttons()), self._table, shown["more"],
             self._log.widget, ipywidgets.HTML(STYLE, layout={"display": "none"})]
        )  # fmt: skip

    def _buttons(self) -> list[Any]:
        import ipywidgets

        buttons = []
        if self._state.cancel is not None and not self._run.done():
            self._stops = ipywidgets.Button(
                description="Cancel run", tooltip="End the run and all that it has started, as run.cancel() does"
            )
            self._stops.on_click(self.handler(lambda _: self._cancel()))
            buttons.append(self._stops)
        if self._state.again is not None and not self._run.done():
            looks = ipywidgets.Button(
                description="Look again", tooltip="Another process carries it out: read what it has recorded by now"
            )
            looks.on_click(self.handler(lambda _: self._look_again()))
            buttons.append(looks)
        return buttons

    def _cancel(self) -> None:
        if self._run.done() or self._state.cancel is None:
            raise UsageError(f"run {self._run.name} has ended: it is {self._run.phase.value}")
        self._state.cancel()
        self._stops.disabled = True
        self.say("asked for its end; what it has started is ended now")

    def _look_again(self) -> None:
        assert self._state.again is not None
        self._run = self._state.again()
        with self._drawing:
            self._families = Families(_as_they_are(self._run))
            self._show(first=True)
        self.say(f"as recorded now: it is {self._run.phase.value}", "done")

    def _show(self, first: bool = False) -> None:
        """Bring what is seen up to date: only what has changed is sent."""
        with self._drawing:
            if not self._shown:
                return
            printed, changed = self._take()
            made = self._made()
            self._set("card", self._card().html())
            self._set("counts", f'<div style="{_FONT}">{self._counted()}</div>')
            self._set("more", f'<div style="{_FONT};{_MUTED}">{escape(made.more)}</div>' if made.more else "")
            self._set_rows(made)
            assert self._log is not None
            self._log.show([row.number for row in made.rows if row.number], printed, first)
            is_over = self._families.root.phase.is_terminal
            if is_over:
                self._end()
            elif self._pace is not None and self._leave is not None:
                self._pace.ask_in(max(made.until, 0.1))
        if not first and (changed or printed):
            (self.renew if is_over or self._still_pace is None else self._still_pace.ask)()

    def _set(self, name: str, html: str) -> None:
        if self._shown[name].value != html:
            self._shown[name].value = html

    def _set_rows(self, made: Rows) -> None:
        """Give each row its widget; those that look as before are left alone."""
        values = [made.heading(), *(row.html(made.axis) for row in made.rows)]
        while len(self._rows) < len(values):
            self._rows.append(self._new_row())
        for row, value in zip(self._rows, values, strict=False):
            if row.value != value:
                row.value = value
        seen = self._rows[: len(values)]
        if list(self._table.children) != seen:
            self._table.children = seen

    def _end(self) -> None:
        """Show how it has ended; the last that is told comes when its outputs are there."""
        if hasattr(self, "_stops"):
            self._stops.disabled = True
        if self._run.result is not None or self._run.error is not None or self._families.root.phase is Phase.ABORTED:
            self._unsubscribe()

    def _unsubscribe(self) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None

    def left(self) -> None:
        self._unsubscribe()
        for pace in (self._pace, self._still_pace):
            if pace is not None:
                pace.end()
        with self._drawing:
            self._shown = {}


def is_watched(run: str) -> bool:
    """Tell whether a view of a run is open, by the run's name."""
    return any(isinstance(view, RunView) and view.run.name == run for view in open_views())


_ENDED = ("succeeded", "kept outputs", "failed", "timed out", "aborted")


def _as_they_are(run: Run) -> list[Action]:
    """Give the actions of a run, copied: those of one that runs change meanwhile."""
    return [action.copy() for action in list(run.actions)]
