"""Apps as cards: where one stands, its address and replicas, what it has to do, its last lines; live in a notebook."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flyte_nb.engine.local.apps.spec import AppPhase, ReplicaRecord
from flyte_nb.engine.local.apps.traffic import Load
from flyte_nb.views import Card, Table, Text, View, escape

__all__ = ["AppRecord", "AppState", "LiveCard", "apps", "card"]

EVERY = 0.4  # seconds between two looks at an app
LINK = 30.0  # seconds that a link which works once is shown
LINES = 8  # of its log
_ENDS = (AppPhase.STOPPED, AppPhase.FAILED)
_BUTTON = (
    "display:inline-block;padding:2px 12px;border:1px solid var(--jp-border-color1,#bdbdbd);border-radius:3px;"
    "color:var(--jp-content-link-color,#1565c0);text-decoration:none"
)


@dataclass(frozen=True)
class AppRecord:
    """An app as it is now.

    Parameters
    ----------
    name : str
        Its name.
    phase : AppPhase
        Where it stands.
    url : str
        Its address.
    why : str
        Why it failed.
    replicas : tuple of ReplicaRecord
        Its replicas.
    load : Load
        What it has to do.
    lines : tuple of str
        The last lines of its log.
    links : tuple of (str, str)
        Path and title of pages of it.
    needs_token : bool
        Whether callers have to show a token.
    """

    name: str
    phase: AppPhase
    url: str
    why: str = ""
    replicas: tuple[ReplicaRecord, ...] = ()
    load: Load = field(default_factory=Load)
    lines: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    needs_token: bool = False


def card(app: AppRecord) -> Card:
    """Show one app."""
    rows = [("address", app.url, "asks for the token" if app.needs_token else "anybody on this machine may call")]
    if app.why:
        rows.append(("failed", app.why, ""))
    rows += [("replicas", told_replicas(app), ""), ("requests", told_requests(app.load), "")]
    if app.load.latency:
        rows.append(("latency", f"{app.load.latency * 1e3:.1f} ms", "half of the last requests were quicker"))
    rows += [(title, f"{app.url.rstrip('/')}/{path.lstrip('/')}", "") for path, title in app.links]
    told = [f"{r.id}  {r.phase.value}  pid {r.pid}{f'  {r.note}' if r.note else ''}" for r in app.replicas]
    sections = [("replicas", told), ("log", list(app.lines))]
    return Card(app.name, "app", [app.phase.value], rows, [section for section in sections if section[1]])


def told_replicas(app: AppRecord) -> str:
    """Word how many replicas there are, by where they stand."""
    counts = Counter(replica.phase.value for replica in app.replicas)
    if not counts:
        return "none: the next request starts one" if app.phase is AppPhase.IDLE else "none"
    return ", ".join(f"{count} {phase}" for phase, count in counts.items())


def told_requests(load: Load) -> str:
    """Word what there was and is to do."""
    words = [f"{load.requests:,} so far", f"{load.rate:.1f} per second"] if load.requests else ["none so far"]
    words += [f"{load.failures:,} failed"] if load.failures else []
    words += [f"{load.in_flight} in flight"] if load.in_flight else []
    words += [f"{load.waiting} waiting"] if load.waiting else []
    return ", ".join(words)


def apps(records: list[AppRecord], elsewhere: list[dict[str, Any]]) -> View:
    """Show all that are served, a line each; those of other kernels after this one's."""
    rows = [(a.name, a.phase.value, a.url, told_replicas(a), told_requests(a.load)) for a in records]
    rows += [(str(a["name"]), "another kernel's", str(a["url"]), f"pid {a['pid']}", "") for a in elsewhere]
    if not rows:
        return Text("no app is served; serve one with  %flyte serve NAME")
    return Table(("app", "", "address", "replicas", "requests"), rows)


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
    """

    look: Callable[[], AppRecord]
    stop: Callable[[], object]
    login: Callable[[], str]


class LiveCard(View):
    """A card that changes while its app is served; as text and HTML it shows what is now.

    Parameters
    ----------
    state : AppState
        The app.
    """

    def __init__(self, state: AppState) -> None:
        self._state = state

    def text(self) -> str:
        return card(self._state.look()).text()

    def body(self) -> str:
        return card(self._state.look()).body()

    def _ipython_display_(self) -> None:
        """Show the card with its buttons where there is a notebook, else as text."""
        from IPython.display import display

        if _has_notebook():
            display(self.widget())
        else:
            print(self.text())

    def widget(self) -> Any:
        """Give the card as a widget: what changes is shown a few times a second, until the app ends."""
        import ipywidgets

        shown = ipywidgets.HTML(self.html())
        link = ipywidgets.HTML()
        opens = ipywidgets.Button(description="Open", tooltip="Give a link to the app that works once")
        stops = ipywidgets.Button(description="Stop", tooltip="Stop the app and all its replicas")
        opens.on_click(lambda _: self._open(link))
        stops.on_click(lambda _: self._stop(stops))
        box = ipywidgets.VBox([shown, ipywidgets.HBox([opens, stops, link])])
        follows = threading.Thread(target=self._follow, args=(shown, link, (opens, stops)), daemon=True)
        follows.start()
        return box

    def _open(self, link: Any) -> None:
        """Show a link that lets the browser in; it goes after a while, so that no saved notebook holds it."""
        record = self._state.look()
        url = self._state.login()
        once = " (works once)" if record.needs_token else ""
        link.value = f'<a style="{_BUTTON}" href="{escape(url)}" target="_blank">open {escape(record.name)}{once}</a>'
        timer = threading.Timer(LINK, setattr, (link, "value", ""))
        timer.daemon = True
        timer.start()

    def _stop(self, button: Any) -> None:
        button.disabled = True
        self._state.stop()

    def _follow(self, shown: Any, link: Any, buttons: tuple[Any, ...]) -> None:
        """Change what is shown as the app changes, until it has ended or the card is closed."""
        pause = threading.Event()
        while shown.comm is not None:
            record = self._state.look()
            html = card(record).html()
            if html != shown.value:
                with contextlib.suppress(Exception):  # the front end may be gone
                    shown.value = html
            if record.phase in _ENDS:
                link.value = ""
                for button in buttons:
                    button.disabled = True
                return
            pause.wait(EVERY)


def _has_notebook() -> bool:
    from IPython.core.getipython import get_ipython

    return hasattr(get_ipython(), "kernel")
