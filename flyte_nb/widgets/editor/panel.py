"""Panel: what the draft changes and the code of it, with what can be done with both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte_nb.errors import UsageError
from flyte_nb.views import escape
from flyte_nb.widgets import controls
from flyte_nb.widgets.editor.state import Edited, Editing

__all__ = ["UNSAID", "Panel", "silent"]

#: what heads the code of an environment that is declared otherwise than its source says
UNSAID = "The source does not say this yet"
Do = Callable[[Callable[[], str]], None]
_NONE = "none yet: type in a field, or draft.set('resources.memory', '8Gi') in a cell"
_COPY = "press Ctrl+A and Ctrl+C (⌘ on a Mac) in the box: a widget cannot reach the clipboard"


class Panel:
    """The buttons, the changes, the code, and the clone.

    Parameters
    ----------
    editing : Editing
        Does what is pressed.
    do : callable
        Carries something out, says what became of it, and shows what is otherwise since.
    undo : callable
        Goes back a step, or takes back what was not accepted.
    """

    def __init__(self, editing: Editing, do: Do, undo: Callable[[], None]) -> None:
        self._editing, self._do = editing, do
        self._undo = controls.button("Undo", undo, tooltip="Go back a step, as draft.undo()", can=False)
        self._redo = self._button("Redo", silent(editing.redo), "Make the step again, as draft.redo()")
        self._discard = self._button(
            "Take all back", silent(editing.discard), "Take all changes back, as draft.discard()"
        )
        self._apply = self._button(
            "Apply", editing.apply, "Declare it so in this kernel, as draft.apply(); the source stays as it is", True
        )
        self._code = self._button("Copy code", self._show_code, "Show the code to copy, as draft.code()")
        self._cell = self._button("Write to a new cell", editing.offer, "Put the code in a cell, as draft.offer()")
        self._file = self._button("Write the file", editing.write, "Edit the file that declares it, as draft.write()")
        self._clone = self._button(
            "Clone as …", self._show_clone, "See a clone with the changes, as preview_clone()", can=True
        )
        #: the buttons
        self.bar = controls.row(self._apply, self._undo, self._redo, self._discard)
        self._seen = controls.html()
        self._buttons = controls.row(self._code, self._cell, self._file, self._clone)
        #: the changes, and the code
        self.widget = controls.stack(self._seen, self._buttons, flex="2 1 22em")
        self._area: Any = None  # the code to copy, while it is open

    def _button(self, name: str, act: Callable[[], str], tooltip: str, is_main: bool = False, can: bool = False) -> Any:
        return controls.button(name, lambda: self._do(act), tooltip=tooltip, is_main=is_main, can=can)

    def show(self, edited: Edited, is_pending: bool = False) -> None:
        """Show a draft as it is now; ``is_pending``: something that is typed is not accepted."""
        none = f'<div style="color:var(--jp-ui-font-color2,#616161)">{escape(_NONE)}</div>'
        parts = [_headed("Changes", edited.changes.body() if edited.changed else none)]
        if edited.code is not None:
            parts.append(_headed("In the source" if edited.changed else UNSAID, edited.code.body()))
        _put(self._seen, "value", controls.close_lines("".join(parts)))
        can_write = edited.code is not None
        states = (
            (self._undo, edited.can_undo or is_pending), (self._redo, edited.can_redo),
            (self._discard, bool(edited.changed)),
            (self._apply, bool(edited.changed) and not edited.lost and not edited.conflicts),
            (self._code, can_write), (self._cell, can_write), (self._file, can_write),
        )  # fmt: skip
        for button, can in states:
            _put(button, "disabled", not can)
        controls.seen(self._file, bool(edited.file))
        controls.seen(self._cell, not edited.file)
        if self._area is not None and edited.code is None:
            self._empty()
        elif self._area is not None:
            self._renew_code()

    def _renew_code(self) -> None:
        try:
            _put(self._area, "value", self._editing.code())
        except UsageError:  # it holds now what must not be shown
            self._empty()

    def _empty(self) -> None:
        usual, old = self.widget.children[:2], self.widget.children[2:]
        self.widget.children, self._area = usual, None
        controls.close(*old)

    def _open(self, *parts: Any) -> None:
        self._empty()
        self.widget.children = (*self.widget.children, *parts)

    def _show_code(self) -> str:
        code = self._editing.code()
        rows = min(max(len(code.splitlines()), 3), 20)
        area = controls.area("code", code, rows=rows, tooltip=_COPY, width="calc(100% - 6px)", label="auto")
        self._open(area, controls.html(controls.close_lines(escape(_COPY))))
        self._area = area
        return ""

    def _show_clone(self) -> str:
        name = controls.text("clone as", tooltip="the name of the clone", hint="such as gpu-env", label="auto")
        field, seen = controls.Field(name), controls.html()

        def look(_: Any = None) -> None:
            try:
                seen.value = controls.close_lines(self._editing.preview(name.value).body() if name.value else "")
                field.tell()
            except Exception as error:  # whatever is wrong with what was typed is said beside it
                field.tell(str(error), "error")

        def declare() -> str:
            told = self._editing.clone(name.value)
            self._empty()
            return told

        name.observe(look, "value")
        make = self._button("Declare the clone", declare, "Declare it in this kernel, as preview.apply()", True, True)
        leave = self._button("Not now", silent(self._empty), "Close this part", can=True)
        self._open(field.widget, seen, controls.row(make, leave))
        return ""


def silent(act: Callable[[], object]) -> Callable[[], str]:
    """Give what carries something out and has nothing to say of it."""

    def done() -> str:
        act()
        return ""

    return done


def _headed(title: str, body: str) -> str:
    return f'<div style="font-weight:600">{escape(title)}</div>{body}'


def _put(widget: Any, name: str, value: Any) -> None:
    """Set what is otherwise: setting the same again would be a message."""
    if getattr(widget, name) != value:
        setattr(widget, name, value)
