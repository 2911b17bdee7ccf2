"""Interactive: a view with controls — a widget where the front end has them, its still form everywhere else.

A saved notebook that is opened without its kernel has no widgets. So a view with controls is shown twice: as a widget,
and as a still form that the live widget hides by a rule of style it brings along. Where the widget is not, the still
form is seen; it is brought up to date while the widget lives.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from flyte_nb.errors import FlyteError
from flyte_nb.views import View, escape

__all__ = ["Interactive", "has_widgets", "open_views"]

#: seconds between two renewals of a still form, and until a cell that runs is said to hold back what one presses
STILL_EVERY, BUSY_AFTER = 1.0, 1.0
BUSY = "a cell runs: what you press here may have to wait until it is done"
_MARKS = {"": "", "error": "! ", "done": "✓ "}
_COLOURS = {"": "inherit", "error": "var(--jp-error-color1,#c62828)", "done": "inherit"}  # a green is too pale to read
#: the lines of HTML in widgets are as far apart as in other outputs, and no wider than the page
_LINES = ".flyte-nb-view .widget-html-content{line-height:1.5;min-width:0}"
#: the arrow of a list to choose from, in a grey that is seen on white and on black: ipywidgets' own is always black
_ARROW = (
    '.flyte-nb-view .widget-dropdown>select{background-image:url("data:image/svg+xml,%3Csvg '
    "xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath fill='%23808080' "
    "d='M5.2 5.9 9 9.7l3.8-3.8 1.2 1.2-5 5-5-5z'/%3E%3C/svg%3E\")}"
)
#: a widget whose kernel has ended gives way to its still form, where that follows it
_DEAD = ".jp-OutputArea-child:has(.flyte-nb-view.jupyter-widgets-disconnected)"
_ENDED = "The kernel that showed this has ended: run the cell again."
_VIEW_MIME = "application/vnd.jupyter.widget-view+json"
P = ParamSpec("P")
R = TypeVar("R")


class Interactive(View):
    """A view with controls.

    A subclass gives its text and its body, which are the still form, and `controls`, which makes the widget. It calls
    `renew` when something that it shows has changed, and `say` to tell what became of what was pressed.
    """

    def __init__(self) -> None:
        self._number = next(_numbers)
        self._root: Any = None
        self._is_placed = False
        self._status: Any = None
        self._still: Any = None
        self._busy = self._said = ""
        self._renewed = 0.0
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()

    # --- what a subclass gives ---

    def controls(self) -> Any:
        """Make the widget, once for each time that the view is open."""
        raise NotImplementedError

    def left(self) -> None:
        """Let go of what the view listens to; it is closed."""

    # --- what it may ask for ---

    def handler(self, act: Callable[P, R]) -> Callable[P, R | None]:
        """Wrap what a control does, so that what goes wrong is said in the view; nothing is lost by it."""

        @functools.wraps(act)
        def safely(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return act(*args, **kwargs)
            except FlyteError as error:
                self.say(str(error), "error")
            except Exception as error:  # a bug of ours or of a callback: it must not vanish into the kernel's log
                self.say(f"{type(error).__name__}: {error}", "error")
            return None

        return safely

    def say(self, text: str, kind: str = "") -> None:
        """Say something in the line below the controls; screen readers read it out.

        Parameters
        ----------
        text : str
            Plain text; empty to take back what was said.
        kind : "" or "error" or "done"
            What it is: a sign is set before it, and a colour.
        """
        colour = _COLOURS[kind]
        self._said = f'<span style="color:{colour}">{_MARKS[kind]}{escape(text)}</span>' if text else ""
        self._tell()

    def renew(self) -> None:
        """Bring the still form up to date: at once, or a second after the last time."""
        with self._lock:
            if self._still is None or self._timer is not None:
                return
            pause = self._renewed + STILL_EVERY - time.monotonic()
            if pause > 0:
                self._timer = threading.Timer(pause, self._renew)
                self._timer.daemon = True
                self._timer.start()
                return
        self._renew()

    def status(self) -> Any:
        """Give the line in which `say` tells, for a place among the controls; it stands below them otherwise."""
        self._is_placed = True
        return self._status

    # --- showing ---

    @property
    def is_open(self) -> bool:
        """Whether its widget lives."""
        return self._root is not None

    def widget(self) -> Any:
        """Give the view as one widget, for a layout of your own; `close` ends it."""
        import ipywidgets

        if self._root is None:
            self._status = ipywidgets.HTML()
            self._is_placed = False
            inner = self.controls()
            below = [] if self._is_placed else [self._status]
            hides = ipywidgets.HTML(f"<style>{_rules(self._mark)}</style>", layout={"display": "none"})
            self._root = ipywidgets.VBox([inner, *below, hides]).add_class("flyte-nb-view")
            _open[self._number] = self
        return self._root

    def close(self) -> None:
        """Close the widget, and listen to nothing any more; the still form stays."""
        with self._lock:
            root, self._root = self._root, None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        if root is None:
            return
        _open.pop(self._number, None)
        self.left()
        self._renew()
        self._status = self._still = None
        with contextlib.suppress(Exception):  # the front end may be gone
            _close(root)

    def _ipython_display_(self) -> None:
        """Show the widget and the still form, where there is a front end for them; else the text."""
        if not has_widgets():
            print(self.text())
            return
        from IPython.display import display

        root = self.widget()
        data = {_VIEW_MIME: {"version_major": 2, "version_minor": 0, "model_id": root.model_id}, "text/plain": ""}
        display(data, raw=True)
        self._still = display(self._still_form(), raw=True, display_id=True)
        self._renewed = time.monotonic()
        _watch.shown(self)

    @property
    def _mark(self) -> str:
        return f"flyte-nb-still-{_process}-{self._number}"

    def _still_form(self) -> dict[str, str]:
        # the line that the front end leaves in the place of a widget that is gone is of no use beside the still form
        rule = f".jp-OutputArea-child:not(:has(.flyte-nb-view)):has(+ .jp-OutputArea-child .{self._mark})"
        html = f'<style>{rule}{{display:none}}</style><div class="{self._mark}">{self.html()}</div>'
        return {"text/plain": self.text(), "text/html": html}

    def _renew(self) -> None:
        with self._lock:
            self._timer, still, self._renewed = None, self._still, time.monotonic()
        if still is not None:
            with contextlib.suppress(Exception):  # the front end may be gone
                still.update(self._still_form(), raw=True)

    def _hold(self, busy: str) -> None:
        if busy != self._busy:
            self._busy = busy
            self._tell()

    def _tell(self) -> None:
        if self._status is not None:
            lines = [self._said, escape(self._busy)]
            told = "<br>".join(filter(None, lines))
            self._status.value = f'<div role="status" aria-live="polite">{told}</div>' if told else ""


def _rules(still: str) -> str:
    """Give the rules that a live widget brings along: they hide its still form while its kernel lives."""
    after = f"+ .jp-OutputArea-child .{still}"
    return (
        f".{still}{{display:none}}{_LINES}{_ARROW}@supports selector(:has(a)){{"
        f"{_DEAD}:has({after}){{display:none}}{_DEAD} {after}{{display:block}}"
        f"{_DEAD} {after}::before{{content:'{_ENDED}';color:var(--jp-ui-font-color2,#616161)}}}}"
    )


def has_widgets() -> bool:
    """Tell whether this process is a kernel, whose front end may show widgets."""
    from IPython.core.getipython import get_ipython

    return hasattr(get_ipython(), "kernel")


def open_views() -> list[Interactive]:
    """Give the views whose widgets live."""
    return list(_open.values())


def _close(widget: Any) -> None:
    """Close a widget and all that is in it."""
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()


class _Watch:
    """Hears of cells: one that runs again closes what it showed; a long one is told in the views that are open."""

    def __init__(self) -> None:
        self._of_cell: dict[str, list[Interactive]] = {}
        self._shell: Any = None
        self._timer: threading.Timer | None = None

    def shown(self, view: Interactive) -> None:
        """Take note of a view that the running cell shows."""
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        if self._shell is not shell:
            self._shell = shell
            shell.events.register("pre_run_cell", self._before)
            shell.events.register("post_run_cell", self._after)
        parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
        cell = str(parent.get("metadata", {}).get("cellId") or "")
        if cell:
            self._of_cell.setdefault(cell, []).append(view)

    def _before(self, info: Any) -> None:
        for view in self._of_cell.pop(info.cell_id or "", ()):
            if not any(view in others for others in self._of_cell.values()):
                view.close()
        if _open:
            self._timer = threading.Timer(BUSY_AFTER, self._tell, (BUSY,))
            self._timer.daemon = True
            self._timer.start()

    def _after(self, result: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell("")

    def _tell(self, busy: str) -> None:
        for view in open_views():
            with contextlib.suppress(Exception):  # the front end may be gone
                view._hold(busy)


_numbers = itertools.count(1)
#: tells the still forms of one kernel from those of another in the same page
_process = f"{time.time_ns():x}"
_open: dict[int, Interactive] = {}
_watch = _Watch()
