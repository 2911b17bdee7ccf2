"""RunLog: what a run prints, or one action of it that is chosen, with what there is to know of that action."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any

from flyte_nb.engine.base import Action, Attempt
from flyte_nb.errors import UnknownNameError
from flyte_nb.views import Table, shown, told_size
from flyte_nb.widgets.run_rows import stands
from flyte_nb.widgets.tail import Tail
from flyte_nb.widgets.tree import told

__all__ = ["RunLog", "facts"]

MOST_CHOICES = 60
WHOLE = "the whole run"
_FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:var(--jp-ui-font-size1,13px);"
    "color:var(--jp-ui-font-color1,#212121)"
)


def facts(action: Action, attempts: Iterable[Attempt]) -> list[tuple[str, str]]:
    """Tell what there is to know of one action, a line each: how it stands, its attempts, what it was told."""
    found = [("action", f"{action.id}  {action.task}"), ("stands", stands(action))]
    if action.started is not None:
        took = f", took {told(action.duration)}" if action.duration and action.phase.is_terminal else ""
        found.append(("started", f"{action.started.astimezone():%H:%M:%S}{took}"))
    for attempt in attempts:
        lasted = attempt.ended - attempt.started if attempt.started and attempt.ended else None
        after = f" after {told(lasted)}" if lasted is not None else ""
        found.append((f"attempt {attempt.number + 1}", f"✗ {attempt.phase.value}{after}: {attempt.error}"))
    if action.error:
        found.append(("error", action.error))
    found += [("to know", line) for line in action.notice.splitlines()]
    if action.peak_memory:
        found.append(("peak memory", told_size(action.peak_memory)))
    return found


class RunLog:
    """A choice of actions, and the end of the log of the one that is chosen.

    Parameters
    ----------
    tail : callable
        Gives the last lines of an action by its id, of the whole run for an empty one.
    attempts : callable
        Gives the attempts of an action that have failed.
    find : callable
        Gives an action by its id, if there is one.
    handler : callable
        Wraps what a control does.
    """

    def __init__(
        self,
        tail: Callable[[str], list[str]],
        attempts: Callable[[str], list[Attempt]],
        find: Callable[[str], Action | None],
        handler: Callable[[Callable[[Any], None]], Callable[[Any], Any]],
    ) -> None:
        import ipywidgets

        self._lines, self._attempts, self._find = tail, attempts, find
        self._lock = threading.RLock()
        self._offered: dict[str, str] = {"": WHOLE}
        self._chosen = ""
        self._told: object = None
        self._choice = ipywidgets.Dropdown(
            description="Log of", options=[(WHOLE, "")], tooltip="Whose log and facts are shown below"
        )
        self._other = ipywidgets.Text(
            description="or action", placeholder="its id, such as a17", continuous_update=False,
            tooltip="The id of any action of the run; press Enter", layout={"width": "16em"},
        )  # fmt: skip
        self._facts = ipywidgets.HTML()
        self._tail = Tail("The last lines of the log")
        self._choice.observe(handler(self._choose), "value")
        self._other.observe(handler(self._choose_other), "value")
        self.widget: Any = ipywidgets.VBox(
            [ipywidgets.HBox([self._choice, self._other], layout={"flex_flow": "row wrap"}), self._facts,
             self._tail.widget]
        )  # fmt: skip

    def show(self, listed: Collection[str], printed: Collection[str], anew: bool = False) -> None:
        """Bring it up to date.

        Parameters
        ----------
        listed, printed : collection of str
            The ids of the actions that are listed one by one, and of those that have printed something.
        anew : bool
            Whether the log is read though nobody is known to have printed.
        """
        with self._lock:
            self._offer([*listed, *printed])
            if anew or (printed and (not self._chosen or self._chosen in printed)):
                self._tail.show(self._lines(self._chosen))
            self._tell()

    def _offer(self, numbers: Iterable[str]) -> None:
        """Offer actions that were not offered yet; those that were keep their places."""
        before = len(self._offered)
        for number in numbers:
            action = self._find(number) if number not in self._offered else None
            if action is not None and len(self._offered) <= MOST_CHOICES:
                self._offered[number] = f"{number}  {_line(action.task)}"
        if len(self._offered) > before:
            self._set_choice()

    def _set_choice(self) -> None:
        chosen = self._chosen
        with self._choice.hold_sync(), self._choice.hold_trait_notifications():
            self._choice.options = [(label, number) for number, label in self._offered.items()]
            self._choice.value = chosen

    def _choose(self, change: Any) -> None:
        with self._lock:
            if change["new"] is not None and change["new"] != self._chosen:
                self._chosen = change["new"]
                self.show((), (), anew=True)

    def _choose_other(self, change: Any) -> None:
        number = change["new"].strip()
        if not number:
            return
        with self._lock:
            action = self._find(number)
            if action is None:
                raise UnknownNameError("action", number, self._offered)
            self._offered[number] = f"{number}  {_line(action.task)}"
            self._chosen = number
            self._set_choice()
            self.show((), (), anew=True)

    def _tell(self) -> None:
        """Tell what there is to know of the action that is chosen."""
        action = self._find(self._chosen) if self._chosen else None
        if action is None:
            self._set("")
            return
        told = (action.id, action.phase, action.attempt, action.notice, action.ended)
        if told != self._told:
            rows = [(name, shown(text)) for name, text in facts(action, self._attempts(action.id))]
            self._set(f'<div style="{_FONT}">{Table((), rows).body()}</div>')
            self._told = told

    def _set(self, html: str) -> None:
        self._told = None
        if self._facts.value != html:
            self._facts.value = html


def _line(text: str) -> str:
    return shown(text).replace("\n", "\\n")
