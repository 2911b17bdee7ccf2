"""LiveCard: an app while it is served — its replicas, traffic and last lines as they change, a way in, and its end."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flyte_nb.engine.base import now
from flyte_nb.engine.local.apps.spec import AppPhase
from flyte_nb.errors import UsageError
from flyte_nb.views import Card, escape
from flyte_nb.widgets.app_parts import head, log, replicas, traffic
from flyte_nb.widgets.apps import AppRecord, card
from flyte_nb.widgets.interactive import Interactive
from flyte_nb.widgets.pace import Pace

__all__ = ["AppState", "LiveCard"]

LINK = 30.0  # seconds that a link which works once is shown
STILL = 5.0  # seconds between two renewals of the still form
_ENDS = (AppPhase.STOPPED, AppPhase.FAILED)
_LINK = (
    "display:inline-block;padding:0 12px;line-height:26px;border:1px solid var(--jp-border-color1,#bdbdbd);"
    "border-radius:3px;color:var(--jp-content-link-color,#1565c0)"
)


@dataclass(frozen=True)
class AppState:
    """What a live card asks and does.

    Parameters
    ----------
    look : callable
        Gives the app as it is now.
    stop : callable
        Stops it, without waiting.
    login : callable
        Gives an address that lets a browser in, once.
    withdraw : callable
        Takes such an address, which lets nobody in from then on.
    observe : callable
        Has a callable told, in any thread, that something has changed; gives what ends that.
    """

    look: Callable[[], AppRecord]
    stop: Callable[[], object]
    login: Callable[[], str]
    withdraw: Callable[[str], object]
    observe: Callable[[Callable[[], None]], Callable[[], None]]


class LiveCard(Interactive):
    """A card that changes while its app is served; as text and in its still form it shows what is now.

    Parameters
    ----------
    state : AppState
        The app.
    """

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._leave: Callable[[], None] | None = None
        self._pace: Pace | None = None
        self._still_pace: Pace | None = None
        self._shown: dict[str, Any] = {}
        self._taking: threading.Timer | None = None
        self._link = ""
        self._is_asked = False

    def text(self) -> str:
        return self._card().text()

    def body(self) -> str:
        return self._card().body()

    def _card(self) -> Card:
        """Give the card; of an app that goes on with the time, since this form may be kept."""
        record = self._state.look()
        made = card(record)
        if record.phase not in _ENDS:
            made.strip.append(f"as of {now().astimezone():%Y-%m-%d %H:%M:%S}")
        return made

    def controls(self) -> Any:
        import ipywidgets

        self._shown = {name: ipywidgets.HTML() for name in ("head", "traffic", "replicas", "log", "link")}
        self._opens = ipywidgets.Button(
            description="Open", tooltip="Give a link to the app that works once, as handle.link() does"
        )
        self._stops = ipywidgets.Button(
            description="Stop", tooltip="Stop the app and all its replicas, as handle.deactivate() does"
        )
        self._opens.on_click(self.handler(lambda _: self._open()))
        self._stops.on_click(self.handler(lambda _: self._stop()))
        self._pace, self._still_pace = Pace(self.handler(self._follow)), Pace(self.renew, STILL)
        self._leave = self._state.observe(self._pace.ask)
        record, shown = self._state.look(), self._shown
        self._show(record)
        opens = [self._opens] if record.has_pages else []
        buttons = ipywidgets.HBox([*opens, self._stops, shown["link"]], layout={"flex_flow": "row wrap"})
        layout = {"border": "1px solid var(--jp-border-color1,#bdbdbd)", "padding": "4px 12px", "max_width": "64em"}
        return ipywidgets.VBox(
            [shown["head"], buttons, shown["traffic"], shown["replicas"], shown["log"]], layout=layout
        )

    def left(self) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None
        for pace in (self._pace, self._still_pace):
            if pace is not None:
                pace.end()
        self._take_away()
        self._shown = {}

    # --- what changes ---

    def _follow(self) -> None:
        """Show the app as it is now: only what has changed is sent."""
        record = self._state.look()
        self._show(record)
        if record.phase in _ENDS or self._still_pace is None:
            self.renew()
        else:
            self._still_pace.ask()

    def _show(self, record: AppRecord) -> None:
        parts = {"head": head(record), "traffic": traffic(record), "replicas": replicas(record), "log": log(record)}
        for name, told in parts.items():
            shown = self._shown.get(name)
            if shown is not None and shown.value != told:
                shown.value = told
        has_ended = record.phase in _ENDS
        for button in (self._opens, self._stops):
            if button.disabled != (has_ended or (button is self._stops and record.phase is AppPhase.STOPPING)):
                button.disabled = not button.disabled
        if has_ended:
            self._take_away()
        if self._is_asked and has_ended:
            self._is_asked = False
            self.say(f"it has ended: it is {record.phase.value}", "done")
        elif record.phase is AppPhase.STARTING:  # it is served again
            self.say("")

    # --- what the buttons do ---

    def _open(self) -> None:
        """Show a link that lets the browser in; it goes after a while and is good no longer, wherever it was saved."""
        record = self._state.look()
        if record.phase in _ENDS:
            raise UsageError(f"app {record.name} is {record.phase.value}; serve it again")
        url = self._state.login()
        once = f" (works once; gone in {LINK:.0f} s)" if record.needs_token else ""
        self._take_away()
        self._shown["link"].value = (
            f'<a style="{_LINK}" href="{html.escape(url)}" target="_blank" rel="noopener">open '
            f"{escape(record.name)}{once}</a>"
        )
        self._link, self._taking = url, threading.Timer(LINK, self._take_away)
        self._taking.daemon = True
        self._taking.start()

    def _take_away(self) -> None:
        """Take the link away; it lets nobody in any more, whoever has kept it."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
            self._state.withdraw(self._link)
        link = self._shown.get("link")
        if link is not None and link.value:
            link.value = ""

    def _stop(self) -> None:
        self._stops.disabled = self._is_asked = True  # before it is asked: its end may be here at once
        self.say("asked to stop: replicas finish what they have, and call their shutdown hooks")
        self._state.stop()
