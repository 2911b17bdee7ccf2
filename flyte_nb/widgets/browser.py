"""Browser: the environments that are declared, to search, to look at and to act on; it follows what changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flyte_nb.views import Diff, Stack, Table, Text, View, bullet
from flyte_nb.widgets import controls
from flyte_nb.widgets.interactive import Interactive
from flyte_nb.widgets.lines import heading, lines_of, style_of
from flyte_nb.widgets.listing import ALL, ORDERS, PAGE, SHOWN, Listing, Row, counted, listed
from flyte_nb.widgets.own_thread import own_thread

__all__ = ["Browser", "BrowserActions", "Ended", "Stands"]

_EMPTY = Diff([("!", "no environment is declared yet", "declare one with  %%flyte my-env --cpu 1")])
_FEWEST, _LINES = 3, 12  # lines of the list that are seen at once
_HINT = "name, kind, task, state, description"
_TOOLTIP = "Words that are looked for; Enter shows the first environment that is found, and again the next"


#: hears of an end: an error, or what to tell
Ended = Callable[[BaseException | str], None]


class Stands(Protocol):
    """Tells how environments stand."""

    def rows(self) -> list[Row]:
        """Give a row for each, with what is known so far."""

    def check(self, names: Sequence[str]) -> dict[str, Row]:
        """Find out of some whether they are out of date; give their rows by name."""

    def forget(self) -> bool:
        """Forget what may have changed; tell whether there was any."""


@dataclass(frozen=True)
class BrowserActions:
    """What the browser asks and does.

    Parameters
    ----------
    stands : Stands
        How environments stand.
    views : mapping of str to callable
        By the words of a button, what gives the view of an environment.
    tooltips : mapping of str to str
        Of each of those, what its button does.
    serve, stop : callable
        Serve an app and stop it, beside the cells; the second argument hears of its end: an error, or what to tell.
    observe : callable
        Calls the first of two after each cell and the second after each deployment, in whatever thread that is; gives
        what ends it.
    """

    stands: Stands
    views: dict[str, Callable[[str], View]]
    serve: Callable[[str, Ended], None]
    stop: Callable[[str, Ended], None]
    observe: Callable[[Callable[[], object], Callable[[], object]], Callable[[], None]]
    tooltips: dict[str, str] = field(default_factory=dict)


class Browser(Interactive):
    """The environments as a list to search; where there is no front end for it, as a table.

    Parameters
    ----------
    actions : BrowserActions
        What it can do.
    """

    def __init__(self, actions: BrowserActions) -> None:
        super().__init__()
        self._actions = actions
        self._chosen, self._kind, self._page = "", "", 0
        self._listing = Listing((), 0, 0, 0, 1)
        self._all: list[Row] = []
        self._opened: Any = None
        self._seen: Row | None = None
        self._is_listing = self._is_asked = False
        self._end_observing: Callable[[], None] = lambda: None

    # --- as it stands ---

    def text(self) -> str:
        return self._view().text()

    def body(self) -> str:
        return self._view().body()

    def _view(self) -> View:
        self._all = self._actions.stands.rows()  # a cell that runs may have declared more than the list shows yet
        self._check(listed(self._all).rows)
        rows = listed(self._all).rows
        if not rows:
            return _EMPTY
        cells = [
            (row.sign, row.name, row.kind, ", ".join(bullet(row.tasks, 4)) or "none", row.place, row.told)
            for row in rows
        ]
        left = len(self._all) - len(cells)
        more = [Text(f"… and {left:,} more: %flyte list")] if left > 0 else []
        return Stack([Table(("", "environment", "kind", "tasks", "declared", "state"), cells), *more])

    # --- the widget ---

    def controls(self) -> Any:
        self._own = own_thread()
        self._search = _narrow(controls.text("search", hint=_HINT, tooltip=_TOOLTIP, width="22em"))
        self._shown = _narrow(controls.dropdown("show", list(SHOWN), ALL, tooltip="Which are listed", width="15em"))
        self._order = _narrow(
            controls.dropdown("sort by", list(ORDERS), "name", tooltip="In which order", width="15em")
        )
        self._list = self._select()
        self._count, self._head, self._style = controls.html(), controls.html(heading()), controls.html()
        self._back = controls.button(
            "Previous page", self.handler(lambda: self._turn(-1)), tooltip=f"The {PAGE} before"
        )
        self._next = controls.button("Next page", self.handler(lambda: self._turn(1)), tooltip=f"{PAGE} more")
        self._pages, self._where = controls.row(), controls.html()
        self._buttons, self._detail = controls.row(), self._box()
        self._open = {name: self._opener(name) for name in self._actions.views}
        self._serve = controls.button("Serve", self.handler(self._serve_it), tooltip="Serve it here: flyte.serve(app)")
        self._stop = controls.button("Stop", self.handler(self._stop_it), tooltip="Stop this app: %flyte stop NAME")
        self._former = controls.button(
            "Previous", self.handler(lambda: self._move(-1)), tooltip="Choose the line above"
        )
        self._latter = controls.button("Next", self.handler(lambda: self._move(1)), tooltip="The line below")
        self._search.on_msg(lambda _, told, __: self._move(1) if told.get("event") == "submit" else None)
        for control in (self._search, self._shown, self._order):
            control.observe(lambda _: self.handler(self._found_anew)(), "value")
        self._list.observe(lambda _: self.handler(self._picked)(), "index")
        self._end_observing = self._actions.observe(self.handler(self._look), self._elsewhere)
        self.refresh()
        finds = controls.row(self._search, self._shown, self._order)
        box = controls.stack(self._head, self._list, self._style)
        return controls.stack(finds, self._count, box, self._pages, self._buttons, self.status(), self._detail)

    def _move(self, lines: int) -> None:
        """Choose a line further up or down; the first one where none is chosen."""
        names = [row.name for row in self._listing.rows]
        if names:
            at = names.index(self._chosen) + lines if self._chosen in names else 0
            self._list.index = at % len(names)

    @staticmethod
    def _box() -> Any:
        import ipywidgets

        line = "1px solid var(--jp-border-color2,#e0e0e0)"
        layout = {"border_left": line, "padding": "2px 0 2px 10px", "margin": "4px 0 0 2px", "display": "none"}
        return ipywidgets.VBox(layout=layout)

    def _opener(self, name: str) -> Any:
        tooltip = self._actions.tooltips.get(name, name)
        return controls.button(name, self.handler(lambda: self.open(name)), tooltip=tooltip)

    def _select(self) -> Any:
        import ipywidgets

        made = ipywidgets.Select(
            options=[], rows=_FEWEST, description="environments", tooltip="Choose one: its card is shown below",
            style={"description_width": "0"}, layout={"width": "100%", "max_width": "72em"},
        )  # fmt: skip
        return made.add_class(self._class)

    @property
    def _class(self) -> str:
        return f"flyte-nb-list-{self._number}"

    def left(self) -> None:
        self._end_observing()
        self._close_opened()

    # --- what there is changes ---

    def _look(self) -> None:
        """Take in what a cell has changed, once it is done; what it did not touch is not found out again."""
        if self._actions.stands.forget():
            self._elsewhere()

    def _elsewhere(self) -> None:
        """Have the list brought up to date in the kernel's own thread: once for all that asks for it until then."""
        if not self._is_asked:
            self._is_asked = True
            self._own(self.handler(self._once_asked))

    def _once_asked(self) -> None:
        self._is_asked = False
        if self.is_open:
            self.refresh()

    def refresh(self) -> None:
        """Show what there is now."""
        self._all = self._actions.stands.rows()
        self._find()
        self._show_again()
        self.renew()

    def _show_again(self) -> None:
        """Show the view of the chosen environment anew where that has changed; a panel looks after itself."""
        row = self._row()
        if row is not None and row != self._seen and self._kind and not isinstance(self._opened, Interactive):
            self.open(self._kind)

    def _found_anew(self) -> None:
        self._page = 0
        self._find()

    def _turn(self, pages: int) -> None:
        self._page += pages
        self._find()

    def _find(self) -> None:
        """List what is looked for; where its state matters, that is found out of all of them first."""
        chosen = self._shown.value, self._order.value
        if chosen[0] == "needs attention" or chosen[1] == "state":
            self._check(self._all)
        search = self._search.value
        self._listing = listed(self._all, search, *chosen, self._page)
        if self._check(self._listing.rows):
            self._listing = listed(self._all, search, *chosen, self._page)
        self._page = self._listing.page
        self._show()

    def _check(self, rows: Sequence[Row]) -> bool:
        unknown = [row.name for row in rows if not row.is_checked]
        if unknown:
            known = self._actions.stands.check(unknown)
            self._all = [known.get(row.name, row) for row in self._all]
        return bool(unknown)

    # --- showing it ---

    def _show(self) -> None:
        listing = self._listing
        names = [row.name for row in listing.rows]
        lines = lines_of(listing.rows)
        self._is_listing = True
        try:
            with self._list.hold_sync():  # the front end must not see the first line chosen in between
                if self._list.options != lines:
                    self._list.options = lines
                    self._list.rows = min(max(len(lines), _FEWEST), _LINES)
                self._list.index = names.index(self._chosen) if self._chosen in names else None
        finally:
            self._is_listing = False
        self._set(self._head, heading(listing.rows))
        self._set(self._style, style_of(self._class, listing.rows))
        self._set(self._count, self._counted())
        if listing.pages > 1:
            self._back.disabled, self._next.disabled = listing.page == 0, listing.page + 1 == listing.pages
            self._set(self._where, f"page {listing.page + 1:,} of {listing.pages:,}")
            self._pages.children = (self._back, self._where, self._next)
        elif self._pages.children:
            self._pages.children = ()
        self._show_buttons()

    @staticmethod
    def _set(widget: Any, html: str) -> None:
        if widget.value != html:
            widget.value = html

    def _counted(self) -> str:
        listing = self._listing
        if not listing.total:
            return _EMPTY.html()
        if not listing.found:
            return Text(f"none of {listing.total:,} environments matches; take words out of the search").html()
        told = f"{listing.total:,} environment{'s' if listing.total != 1 else ''}"
        if listing.found != listing.total:
            told = f"{listing.found:,} of {told}"
        return Text(f"{told}: {counted(self._all)}" if listing.found == listing.total else told).html()

    def _row(self) -> Row | None:
        return next((row for row in self._all if row.name == self._chosen), None)

    def _show_buttons(self) -> None:
        row = self._row()
        if row is None:
            if self._chosen:
                self.say(f"{self._chosen} is not declared any more")
                self._chosen = ""
                self._close_opened()
            buttons: list[Any] = []
        else:
            is_app = row.kind in ("app", "connector")
            moves = [self._former, self._latter] if self._listing.found > 1 else []
            buttons = [
                *moves,
                *self._open.values(),
                *([self._stop if row.is_served else self._serve] if is_app else []),
            ]
        if list(self._buttons.children) != buttons:
            self._buttons.children = buttons

    # --- what a person does ---

    def _picked(self) -> None:
        """Show the card of the line that was chosen."""
        index = self._list.index
        rows = self._listing.rows
        if self._is_listing or index is None or index >= len(rows) or rows[index].name == self._chosen:
            return
        self._chosen = self._listing.rows[index].name
        self._show_buttons()
        self.say("")
        self.open(next(iter(self._open)))

    def open(self, kind: str) -> None:
        """Show a view of the chosen environment below the list."""
        self._close_opened()
        self._point_out(kind)
        if not self._chosen:
            self.say("choose an environment first")
            return
        self._kind, self._seen = kind, self._row()
        view = self._actions.views[kind](self._chosen)
        self._opened = view
        made = view.widget() if isinstance(view, Interactive) else controls.html(view.html())
        self._detail.children = (made,)
        self._detail.layout.display = "flex"

    def _point_out(self, kind: str) -> None:
        """Set the words of the button in bold whose view is open."""
        for name, button in self._open.items():
            style = controls.shared(type(button.style), **({"font_weight": "bold"} if name == kind else {}))
            if button.style is not style:
                button.style = style

    def _close_opened(self) -> None:
        opened, self._opened, self._kind = self._opened, None, ""
        if not hasattr(self, "_detail"):
            return
        before, self._detail.children = self._detail.children, ()
        self._detail.layout.display = "none"
        if isinstance(opened, Interactive):
            opened.close()
        else:
            for widget in before:
                widget.close()

    def _serve_it(self) -> None:
        self._begin(self._actions.serve, self._serve, f"serving {self._chosen} …")

    def _stop_it(self) -> None:
        self._begin(self._actions.stop, self._stop, f"stopping {self._chosen} …")

    def _begin(self, act: Callable[[str, Ended], None], button: Any, doing: str) -> None:
        def ended(told: BaseException | str) -> None:
            button.disabled = False
            if isinstance(told, str):
                self.say(told, "done")
            else:
                self.say(str(told) or type(told).__name__, "error")
            self._elsewhere()

        button.disabled = True
        self.say(doing)
        try:
            act(self._chosen, ended)
        except BaseException:
            button.disabled = False
            raise


def _narrow(control: Any) -> Any:
    """Let a control's label be as wide as its words."""
    control.style = controls.shared(type(control.style), description_width="initial")
    return control
