"""Lines: a field of the form with its control, beside it what it was, what is wrong, what this machine makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte_nb.form.fields import FormField
from flyte_nb.widgets import controls
from flyte_nb.widgets.editor.inputs import Fixed, Input, made_input
from flyte_nb.widgets.editor.state import FieldState

__all__ = ["Line"]


class Line:
    """One field.

    Parameters
    ----------
    field : FormField
        The field.
    state : FieldState
        How it stands.
    typed : callable
        Gets what a person made of its text.
    """

    def __init__(self, field: FormField, state: FieldState, typed: Callable[[str], None]) -> None:
        self._form, self._typed = field, typed
        self._text = state.text
        self._input = self._made(state)
        self._field = controls.Field(*self._input.widgets, is_labelled=True)
        #: the control, and the line beside it
        self.widget: Any = self._field.widget
        self._tell(state)

    def _made(self, state: FieldState) -> Input | Fixed:
        if not state.told:
            return made_input(self._form, state.text, self._typed)
        fixed = Fixed(self._form)
        fixed.set(state.told)
        return fixed

    def show(self, state: FieldState, is_typing: bool = False) -> None:
        """Show how the field stands.

        Parameters
        ----------
        state : FieldState
            How it stands.
        is_typing : bool
            Whether a person types in it, so that its text stays as it is.
        """
        self._text = state.text
        if isinstance(self._input, Fixed) != bool(state.told):
            self._swap(state)
        elif isinstance(self._input, Fixed):
            self._input.set(state.told)
        elif not is_typing:
            self._input.set(state.text)
        self._tell(state)

    def _tell(self, state: FieldState) -> None:
        words, kind = [], ""
        if state.was is not None:
            words, kind = [f"was {state.was}"], "changed"
        if state.notice:
            words, kind = [state.notice, *words], "notice"
        self._field.tell("; ".join(words), kind)

    def refuse(self, why: str) -> None:
        """Say why what is typed is refused; it stays as it is typed."""
        self._field.tell(why, "error")

    def is_as_when_refused(self, state: FieldState) -> bool:
        """Tell whether the draft says of the field what it said when the field was shown last."""
        return self._text == state.text

    def _swap(self, state: FieldState) -> None:
        """Put another control in the place of the one there is: what it holds may be seen now, or not any more."""
        old, self._input = self._input.widgets, self._made(state)
        self.widget.children = (*self._input.widgets, *(w for w in self.widget.children if w not in old))
        controls.close(*old)
