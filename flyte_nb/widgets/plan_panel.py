"""PlanPanel: a plan with buttons — deploy what is shown, follow it, see the history and go back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from flyte_nb.engine.base import Deployments, History, Progress
from flyte_nb.errors import FlyteError
from flyte_nb.plan.preview import Plan
from flyte_nb.views import Diff, Fold, Stack, View, bullet
from flyte_nb.widgets import controls
from flyte_nb.widgets import plan as plans
from flyte_nb.widgets.going import Going
from flyte_nb.widgets.history_panel import HistoryPanel
from flyte_nb.widgets.interactive import Interactive
from flyte_nb.widgets.own_thread import own_thread
from flyte_nb.widgets.pace import Pace
from flyte_nb.widgets.runs import deployments

__all__ = ["Carried", "PlanActions", "PlanPanel"]

_SINCE = "changed since this plan was made"
_DECLARED, _DEPLOYED = "what is declared", "what is deployed"
_SCROLL = "max-height:32em;overflow:auto"


class Carried(Protocol):
    """A plan of what is declared now, which can be carried out as it is."""

    plan: Plan
    is_heavy: bool

    @property
    def may_have_changed(self) -> bool:
        """Whether it is worth planning again."""

    def begin(
        self, tell: Callable[[Progress], None], ended: Callable[[Future[Deployments]], None], allow_large: bool = False
    ) -> Callable[[], None]:
        """Carry it out beside the kernel's cells; give what cancels that."""


@dataclass(frozen=True)
class PlanActions:
    """What a plan's panel asks and does.

    Parameters
    ----------
    prepare : callable
        Plans the same as it is declared now.
    history : callable
        Gives the versions of an environment.
    back : callable
        Makes a version of an environment current again, beside the cells; what it is given last hears of its end.
    observe : callable
        Calls the first of two after each cell, and the second after each deployment, in whatever thread that is; gives
        what ends it.
    """

    prepare: Callable[[], Carried]
    history: Callable[[str], History]
    back: Callable[[str, str, Callable[[Future[Deployments]], None]], object]
    observe: Callable[[Callable[[], object], Callable[[], object]], Callable[[], None]]


class PlanPanel(Interactive):
    """A plan as a panel; where there is no front end for it, as text.

    Parameters
    ----------
    plan : Plan
        What is shown; nothing else is deployed.
    actions : PlanActions
        What it can do.
    """

    most_checked = 200  # environments of a plan that is made again by itself to see whether it still holds

    def __init__(self, plan: Plan, actions: PlanActions) -> None:
        super().__init__()
        self.plan, self._actions = plan, actions
        self._carried: Carried | None = None
        self._changed, self._what_changed = "", _DECLARED
        #: whether it is deployed as soon as it is shown
        self.starts = False
        self._going: Going | None = None
        self._made: Deployments | None = None
        self._failed = ""
        self._cancel: Callable[[], None] = lambda: None
        self._end_observing: Callable[[], None] = lambda: None

    # --- as it stands ---

    def text(self) -> str:
        return self._view().text()

    def body(self) -> str:
        return self._view().body()

    def _view(self) -> View:
        shown = plans.plan(self.plan)
        if self._made is not None:
            return Stack([self._result(), Fold("the plan of it", shown)])
        return Stack([*([self._result()] if self._failed else []), shown])

    def _result(self) -> View:
        if self._failed:
            return Diff([("!", "not deployed", self._failed), ("=", "what was deployed before", "goes on as it is")])
        return deployments(self._made) if self._made is not None else Stack([])

    # --- the widget ---

    def controls(self) -> Any:
        self._own = own_thread()
        self._shown, self._notice, self._progress = controls.html(), controls.html(), controls.html()
        self._deploy = controls.button("Deploy", self.handler(self.deploy), tooltip=self._twin(), is_main=True)
        self._again = controls.button("Plan again", self.handler(self.plan_again),
                                      tooltip="Plan what is declared now: flyte.plan(…)")  # fmt: skip
        tooltip = "Stop deploying, as interrupting flyte.deploy(…) does; what was current stays current"
        self._cancels = controls.button("Cancel", self.handler(lambda: self._cancel()), tooltip=tooltip)
        self._large = controls.checkbox("Allow more than 100 MiB", False, tooltip="flyte.deploy(…, allow_large=True)")
        self._buttons = controls.row()
        self._tell_progress = Pace(self._show_progress)
        names = [change.environment for change in self.plan.changes]
        self.history = HistoryPanel(self, names, self._actions.history, self._actions.back, self._own)
        self._end_observing = self._actions.observe(self.handler(self._look), self._deployed)
        self._show()
        if self.starts and self.plan:
            self.handler(self.deploy)()
        head = (self._buttons, self.status(), self._notice, self._progress)
        return controls.stack(*head, self._shown, self.history.fold.widget)

    def _twin(self) -> str:
        asked = ", ".join(bullet(self.plan.asked, 3)) or "everything that is declared"
        return f"Deploy what is shown: flyte.deploy(…) of {asked}"

    def left(self) -> None:
        self._end_observing()
        self._tell_progress.end()

    def _show(self) -> None:
        """Bring the whole panel up to date; whichever thread comes last shows what is so by then."""
        with self._lock:
            going = self._going is not None and self._going.is_on
            buttons = [self._cancels] if going else [self._deploy, self._again]
            if not going and self._carried is not None and self._carried.is_heavy:
                buttons.append(self._large)
            self._deploy.disabled = not self.plan or bool(self._changed) or self._made is not None
            if list(self._buttons.children) != buttons:
                self._buttons.children = buttons
            self._set(self._notice, Diff([("!", self._since(), self._changed)]).html() if self._changed else "")
            self._set(self._shown, f'<div style="{_SCROLL}">{self.html()}</div>')
        self.renew()

    @staticmethod
    def _set(shown: Any, html: str) -> None:
        if shown.value != html:
            shown.value = html

    # --- what is declared changes ---

    def _deployed(self) -> None:
        self._own(self.handler(lambda: self._look(deployed=True)))

    def _look(self, deployed: bool = False) -> None:
        """See after a cell whether what is shown still holds; a large plan is looked at when it is deployed."""
        if self._made is not None or (self._going is not None and self._going.is_on):
            return
        if self._carried is None and len(self.plan.order) > self.most_checked:
            return
        if deployed or self._carried is None or self._carried.may_have_changed:
            self._prepare()
            self._show()

    def _prepare(self) -> Carried | None:
        """Plan what is declared now; None, and said, where it is something else than what is shown."""
        try:
            carried = self._actions.prepare()
        except FlyteError as error:
            self._changed, self._what_changed = str(error), _DECLARED
            return None
        if carried.plan.digest != self.plan.digest:
            self._changed = f"{_told(carried.plan, self.plan)}; plan again to see it"
            self._what_changed = _which(carried.plan, self.plan)
            return None
        self._carried, self._changed = carried, ""
        return carried

    def _since(self) -> str:
        are = "have" if self._what_changed not in (_DECLARED, _DEPLOYED) else "has"
        return f"{self._what_changed} {are} {_SINCE}"

    # --- what the buttons do ---

    def plan_again(self) -> None:
        """Plan what is declared now, and show that."""
        self._carried = self._actions.prepare()
        self.plan = self._carried.plan
        self._changed, self._failed, self._made, self._going = "", "", None, None
        self.history.names = [change.environment for change in self.plan.changes]
        self._set(self._progress, "")
        self.say("this is what is declared now" if self.plan else "nothing to deploy: all is as it is declared")
        self._show()

    def deploy(self) -> None:
        """Deploy what is shown, beside the cells; where something else is declared by now, say so in its place."""
        if self._going is not None and self._going.is_on:
            return
        carried = self._prepare()
        if carried is None:
            self.say(f"nothing was deployed: {self._since()}", "error")
            self._show()
            return
        names = [change.environment for change in carried.plan.changes if change.what != "same"]
        self._failed, self._going = "", Going(names)
        self.say("deploying …")
        try:
            self._cancel = carried.begin(self._hear, self._ended, allow_large=self._large.value)
        except FlyteError as error:
            self._going, self._failed = None, str(error)
            self.say("nothing was deployed", "error")
        self._show()

    def _hear(self, progress: Progress) -> None:
        """Take a step of the deployment, in a thread of the engine."""
        if self._going is not None:
            self._going.take(progress)
            self._tell_progress.ask()

    def _show_progress(self) -> None:
        going = self._going
        if going is not None and self._made is None:
            with contextlib.suppress(Exception):  # the front end may be gone
                self._set(self._progress, going.view().html())

    def _ended(self, done: Future[Deployments]) -> None:
        """Take the end of the deployment, in a thread of the engine."""
        if self._going is not None:
            self._going.end()
        error = done.exception()
        if error is None:
            self._made = done.result()
            self.say(_words(self._made), "done")
        else:
            cancelled = isinstance(error, asyncio.CancelledError)
            self._failed = "it was cancelled" if cancelled else str(error) or type(error).__name__
            self.say("not deployed; what was deployed before goes on", "error")
        with contextlib.suppress(Exception):  # the front end may be gone
            self._show_progress() if error is not None else self._set(self._progress, "")
            self._show()
            self.history.refresh()
            self._deployed()  # a part of it may have been deployed


def _words(made: Deployments) -> str:
    new = [one for one in made if not one.unchanged]
    if not new:
        return "nothing had to be deployed"
    return f"deployed {len(new):,} environment{'s' if len(new) != 1 else ''} at {time.strftime('%H:%M:%S')}"


def _which(now: Plan, before: Plan) -> str:
    """Say which has changed between two plans: what is declared, what is deployed, or both."""
    current, former = ({one.environment: one.deployed for one in plan.changes} for plan in (now, before))
    is_deployed = any(current[name] != former[name] for name in current.keys() & former.keys())
    is_declared = now.content != before.content or not is_deployed
    return " and ".join([*([_DECLARED] if is_declared else []), *([_DEPLOYED] if is_deployed else [])])


def _told(now: Plan, before: Plan) -> str:
    """Word how a plan differs from another: the environments of which something else would be deployed."""
    one = {change.environment: (change.what, change.version, change.deployed) for change in before.changes}
    other = {change.environment: (change.what, change.version, change.deployed) for change in now.changes}
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return ", ".join(bullet(names, 5)) or "the bundle"
