"""The view of the editor: the form, beside it what changes, both brought up to date as one types."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Iterable
from typing import Any

from flyte_nb.errors import FlyteError
from flyte_nb.form.fields import FormField, Section, told_error
from flyte_nb.views import Card, Diff, Stack, Text, View, bullet, escape, shown
from flyte_nb.widgets import controls
from flyte_nb.widgets.controls import Field, Fold
from flyte_nb.widgets.editor.items import Items
from flyte_nb.widgets.editor.lines import Line
from flyte_nb.widgets.editor.panel import UNSAID, Panel, silent
from flyte_nb.widgets.editor.state import Choice, Edited, Editing, Item
from flyte_nb.widgets.interactive import Interactive

__all__ = ["EditorView"]

_OPEN = ("Resources",)
_LONGEST = 80  # characters of a variable in the still form
_TYPE = (
    "change it with  editor.draft.set('resources.memory', '8Gi')  .reset('queue')  .undo()  .redo()\n"
    "use it with     editor.draft.apply()  .code()  .offer()  .write()"
)


class EditorView(Interactive):
    """The editor of an environment: controls in a front end, else the draft as text and what to type.

    Parameters
    ----------
    editing : Editing
        The draft, and what can be done with it.
    """

    def __init__(self, editing: Editing) -> None:
        super().__init__()
        self._editing = editing
        self._refreshing = threading.RLock()
        self._is_acting = False
        self._forget()

    def _forget(self) -> None:
        self._lines: dict[str, Line] = {}
        self._items: dict[str, Items] = {}
        self._folds: dict[str, Fold] = {}
        #: what was typed and refused, with why, by the path of its field
        self._pending: dict[str, str] = {}
        self._head: Any = None
        self._banner: Any = None
        self._panel: Panel | None = None
        self._files: Any = None
        self._included: str | None = None
        self._decided: dict[Choice, Any] = {}

    # --- the still form ---

    def text(self) -> str:
        return Stack([self._told(), Text(_TYPE)]).text()

    def body(self) -> str:
        return self._told().body()

    def _told(self) -> View:
        edited = self._editing.look()
        rows = [
            (path, state.told or state.text, f"was {state.was}" if state.was is not None else "")
            for path, state in edited.fields.items()
            if (state.told or state.text) not in ("", "no", "not set") or state.was is not None
        ]
        sections = [(path, [_item(item) for item in items]) for path, items in edited.items.items() if items]
        card = Card(edited.name, f"{edited.kind}, a draft", [f"declared at {edited.place}"], rows, sections)
        views: list[View] = [card, *([Diff(self._warnings(edited))] if self._warnings(edited) else []), edited.changes]
        if edited.code is not None:
            views += [*([] if edited.changed else [Text(f"{UNSAID}:")]), edited.code]
        return Stack(views)

    def _warnings(self, edited: Edited) -> list[tuple[str, str, str]]:
        lines = [("!", "it cannot be applied", f"{edited.lost}; the draft is kept")] if edited.lost else []
        return lines + [("!", f"{c.path} was declared otherwise since", _choices(c)) for c in edited.conflicts]

    # --- the widget ---

    def controls(self) -> Any:
        self._forget()
        edited = self._editing.look()
        self._panel = Panel(self._editing, self._do, self._undo)
        self._banner = controls.stack()
        self._head = controls.html()
        self._folds = {
            section.title: controls.Fold(
                section.title, self._maker(section, edited), section.title in _OPEN, self.handler(self.changed)
            )
            for section in self._editing.form
        }
        form = controls.stack(*(fold.widget for fold in self._folds.values()), flex="3 1 34em")
        columns = controls.row(form, self._panel.widget, align="flex-start")
        self._refresh()
        bar = controls.row(self._panel.bar, self.status())
        return controls.stack(self._head, bar, self._banner, columns)

    def left(self) -> None:
        self._forget()

    def _maker(self, section: Section, first: Edited) -> Callable[[], Any]:
        """Give what makes the controls of a section when it is opened; at ``first`` the draft is known."""

        def make() -> Any:
            edited = first if section.title not in self._folds else self._editing.look()
            made = [self._control(field, edited) for field in section.fields]
            if section.title == "Resources":
                made.append(controls.html(controls.labelled("this machine", edited.here)))
            if any(field.path == "include" for field in section.fields):
                self._files, self._included = controls.html(), None
                made.append(self._files)
                self._show_files(edited)
            return controls.stack(*made)

        return make

    def _control(self, field: FormField, edited: Edited) -> Any:
        path = field.path
        if field.shape.kind == "items":
            items = self._items[path] = Items(
                path,
                lambda name, text: self._editing.put(path, name, text),
                lambda name: self._editing.remove(path, name),
                lambda: self._editing.offers(path),
                self._attempt,
            )
            items.show(edited.items[path])
            return items.widget
        line = Line(field, edited.fields[path], self.handler(lambda text: self._typed(path, text)))
        self._lines[path] = line
        return line.widget

    # --- what is done ---

    def changed(self) -> None:
        """Bring all up to date: the draft changed, or what is declared."""
        if not self._is_acting:
            self._refresh()

    def noticed(self) -> None:
        """Bring up to date what is told of secrets; any thread may call this, as nothing that is typed is touched."""
        with self._refreshing:
            if self._panel is not None:
                self._show_items(self._editing.look())
        self.renew()

    def _typed(self, path: str, text: str) -> None:
        """Take what was typed in a field; what is refused is said beside it, and stays."""
        self._is_acting = True
        try:
            self._editing.type(path, text)
        except FlyteError as error:
            self._pending[path] = told_error(error)
        else:
            self._pending.pop(path, None)
        finally:
            self._is_acting = False
        self._refresh(typing=path)

    def _attempt(self, act: Callable[[], None], field: Field) -> bool:
        """Carry something out; where it is refused say so beside a field. Tell whether it was done."""
        try:
            act()
        except FlyteError as error:
            field.tell(told_error(error), "error")
            return False
        return True

    def _do(self, act: Callable[[], str]) -> None:
        """Carry out what a button stands for, and say what became of it."""

        def carry_out() -> None:
            self.say(act(), "done")

        if self._pending:
            wrong = ", ".join(self._pending)
            self.say(f"{wrong}: what is typed there is not accepted; mend it, or press Undo to take it back", "error")
            return
        self.handler(carry_out)()
        self.changed()

    def _undo(self) -> None:
        """Take back what was typed and refused; else go back a step."""
        if not self._pending:
            self._do(silent(self._editing.undo))
            return
        told = ", ".join(self._pending)
        self._pending.clear()
        self.say(f"{told}: what was not accepted is taken back", "done")
        self._refresh()

    # --- showing ---

    def _refresh(self, typing: str = "") -> None:
        """Show the draft as it is now; the field that a person types in keeps its text."""
        with self._refreshing:
            if self._panel is None:
                return
            edited = self._editing.look()
            for path, line in self._lines.items():
                self._show_line(path, line, edited, typing)
            self._show_items(edited)
            self._show_head(edited)
            self._show_files(edited)
            self._panel.show(edited, bool(self._pending))
        self.renew()

    def _show_items(self, edited: Edited) -> None:
        for path, items in self._items.items():
            items.show(edited.items[path])
        for section in self._editing.form:
            if section.title in self._folds:  # another thread may come while they are made
                self._folds[section.title].tell(*self._summary(section, edited))

    def _show_line(self, path: str, line: Line, edited: Edited, typing: str) -> None:
        state = edited.fields[path]
        if path in self._pending and (path == typing or line.is_as_when_refused(state)):
            line.refuse(self._pending[path])
            return
        self._pending.pop(path, None)
        line.show(state, is_typing=path == typing)

    def _summary(self, section: Section, edited: Edited) -> tuple[str, str]:
        """Word what is in a section: how much of it is wrong or changed, else what it holds."""
        paths = [field.path for field in section.fields]
        wrong = [path for path in paths if path in self._pending]
        if wrong:
            return f"{len(wrong)} not accepted", "error"
        items = [item for path in paths for item in edited.items.get(path, ())]
        missing = sum(item.kind == "notice" for item in items)
        changed = sum(edited.fields[path].was is not None for path in paths if path in edited.fields)
        changed += sum(path in edited.changed for path in paths if path in edited.items)
        if changed:
            return f"{changed} changed", "changed"
        if self._folds[section.title].is_open:
            return (f"{missing} missing", "notice") if missing else ("", "")  # the rest is seen there
        if items:
            told = ", ".join(bullet((item.name for item in items), 4))
            return (f"{told}; {missing} missing", "notice") if missing else (told, "")
        held = [(field, edited.fields[field.path]) for field in section.fields if field.path in edited.fields]
        words = [_word(section, field, state.told or state.text) for field, state in held]
        return ", ".join(filter(None, words))[:80], ""

    def _show_head(self, edited: Edited) -> None:
        where = f"{escape(edited.kind)}, declared at {escape(edited.place)}"
        muted = "color:var(--jp-ui-font-color2,#616161)"
        head = f'<strong>{escape(edited.name)}</strong> <span style="{muted}">{where}</span>'
        if self._head.value != head:
            self._head.value = head
        self._show_banner(edited)

    def _show_banner(self, edited: Edited) -> None:
        """Show why the draft cannot be applied, and what is to be decided, each with its two buttons."""
        wanted = [Choice("", edited.lost, "", "")] if edited.lost else []
        wanted += edited.conflicts
        if wanted == list(self._decided):
            return
        old = self._decided
        self._decided = {c: old.get(c) or (self._conflict(c) if c.path else self._lost(c.before)) for c in wanted}
        self._banner.children = list(self._decided.values())
        controls.close(*(widget for choice, widget in old.items() if choice not in self._decided))

    def _lost(self, why: str) -> Any:
        field = controls.Field()
        field.tell(f"{shown(why)}; the draft is kept, and so is its code", "notice")
        return field.widget

    def _conflict(self, choice: Choice) -> Any:
        path = choice.path
        said = controls.Field()
        said.tell(f"{path} was declared otherwise since: {_choices(choice)}", "notice")
        keep = self._decision(f"Keep mine ({path})", lambda: self._editing.keep(path), f"as draft.keep('{path}')")
        take = self._decision(
            f"Take theirs ({path})", lambda: self._editing.discard(path), f"as draft.discard('{path}')"
        )
        return controls.row(said.widget, keep, take)

    def _decision(self, words: str, act: Callable[[], None], tooltip: str) -> Any:
        return controls.button(words, lambda: self._do(silent(act)), tooltip=tooltip)

    def _show_files(self, edited: Edited) -> None:
        """Show the files that ``include`` names, where its section is open."""
        if self._files is None or "include" not in edited.fields:
            return
        included = edited.fields["include"].text
        if included != self._included:
            self._included = included
            self._files.value = _listed(self._editing.files())


def _word(section: Section, field: FormField, text: str) -> str:
    """Word what a field holds, for beside the title of its section."""
    if text in ("", "no", "not set"):
        return ""
    one = text.replace("\n", ", ")
    named = field.label.startswith(section.title.lower())
    return field.label if text == "yes" else one if named else f"{field.label} {one}"


def _item(item: Item) -> str:
    """Word one of several things of a setting, with its value where that may be seen."""
    value = f"={_short(item.text)}" if item.text is not None and not item.is_hidden else ""
    return f"{item.name}{value}{f'  {item.note}' if item.note else ''}"


def _short(text: str) -> str:
    line = shown(text).replace("\n", "\\n")
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _choices(choice: Choice) -> str:
    return f"it was {choice.before}, yours is {choice.mine}, theirs is {choice.theirs}"


def _listed(files: Iterable[str]) -> str:
    text = "\n".join(shown(file) for file in files)
    style = f"margin-left:calc({controls.LABEL} + 10px);white-space:pre-wrap;overflow-wrap:anywhere"
    return controls.close_lines(f'<div style="{style}">{html.escape(text)}</div>') if text else ""
