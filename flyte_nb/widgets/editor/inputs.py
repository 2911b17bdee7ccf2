"""Inputs: a control for each shape of field, all of them read and set as one text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte_nb.environments.accelerators import DEVICES, PARTITIONS, QUANTITIES
from flyte_nb.form.fields import FormField
from flyte_nb.views import shown
from flyte_nb.widgets import controls

__all__ = ["Input", "made_input"]

Heard = Callable[[str], None]
_NONE, _ANY, _WHOLE = "none", "any GPU", "whole"
_SHORT = "13em"
_COUNTS = ("1", "2", "3", "4", "5", "6", "7", "8", "16", "32", "64")


class Input:
    """One control, or several that make one text.

    Parameters
    ----------
    field : FormField
        What is edited.
    heard : callable
        Gets the text that a person has made of it.
    """

    def __init__(self, field: FormField, heard: Heard) -> None:
        self._field, self._heard, self._is_set = field, heard, False
        self.widget = self._made()

    def _made(self) -> Any:
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The text that stands in it."""
        raise NotImplementedError

    def _write(self, text: str) -> None:
        raise NotImplementedError

    def set(self, text: str) -> None:
        """Write a text into it; nobody hears of that."""
        if text == self.text:
            return
        self._is_set = True
        try:
            self._write(text)
        finally:
            self._is_set = False

    def _listen(self, *inputs: Any) -> None:
        for one in inputs:
            one.observe(self._changed, "value")

    def _changed(self, _: Any = None) -> None:
        if not self._is_set:
            self._heard(self.text)

    @property
    def _tooltip(self) -> str:
        return f"{self._field.help}  ({self._field.path})".strip()

    @property
    def _hint(self) -> str:
        return self._field.hint or self._field.help


class _Text(Input):
    def _made(self) -> Any:
        self._line = controls.text(self._field.label, hint=self._hint, tooltip=self._tooltip)
        self._listen(self._line)
        return self._line

    @property
    def text(self) -> str:
        return str(self._line.value)

    def _write(self, text: str) -> None:
        self._line.value = text


class _Lines(_Text):
    def _made(self) -> Any:
        self._line = controls.area(self._field.label, rows=3, hint=self._hint, tooltip=self._tooltip)
        self._listen(self._line)
        return self._line


class _Choice(_Text):
    def _made(self) -> Any:
        choices = list(self._field.shape.choices)
        self._line = controls.dropdown(self._field.label, choices, choices[0], tooltip=self._tooltip)
        self._listen(self._line)
        return self._line

    @property
    def text(self) -> str:
        return str(self._line.value or "")

    def _write(self, text: str) -> None:
        _choose(self._line, list(self._field.shape.choices), text)


class _Flag(Input):
    def _made(self) -> Any:
        self._box = controls.checkbox(self._field.label, False, tooltip=self._tooltip)
        self._listen(self._box)
        return self._box

    @property
    def text(self) -> str:
        return "yes" if self._box.value else "no"

    def _write(self, text: str) -> None:
        self._box.value = text == "yes"


class _Pair(Input):
    """A request, and a limit where that is another."""

    def _made(self) -> Any:
        label = self._field.label
        self._request = controls.text(label, hint=self._hint, tooltip=self._tooltip, width="18em")
        self._limit = controls.text(
            f"{label} limit", hint="the same", tooltip=f"the most of it  ({self._field.path})",
            width=_SHORT, label="auto",
        )  # fmt: skip
        self._listen(self._request, self._limit)
        return controls.row(self._request, self._limit)

    @property
    def text(self) -> str:
        request, limit = self._request.value.strip(), self._limit.value.strip()
        return f"{request}:{limit}" if limit else str(request)

    def _write(self, text: str) -> None:
        request, _, limit = text.partition(":")
        self._request.value, self._limit.value = request, limit


class _Accelerator(Input):
    """A device, how many of it, and how each is cut."""

    def _made(self) -> Any:
        names = [_NONE, _ANY, *(name for names in DEVICES.values() for name in names)]
        self._device = controls.dropdown(self._field.label, names, _NONE, tooltip=self._tooltip, width="18em")
        self._count = controls.dropdown(
            "count", ["1"], "1", tooltip="how many of it  (resources.gpu)", width="8em", label="auto"
        )
        self._partition = controls.dropdown(
            "partition", [_WHOLE], _WHOLE, tooltip="how each is cut  (resources.gpu)", width=_SHORT, label="auto"
        )
        self._names = names
        self._fit()
        self._device.observe(self._picked, "value")
        self._listen(self._count, self._partition)
        return controls.row(self._device, self._count, self._partition)

    @property
    def text(self) -> str:
        device, count, cut = self._device.value, self._count.value, self._partition.value
        if device == _NONE:
            return ""
        if device == _ANY:
            return str(count)
        return f"{device}:{count}{f'/{cut}' if cut != _WHOLE else ''}"

    def _write(self, text: str) -> None:
        head, _, cut = text.partition("/")
        device, colon, count = head.partition(":")
        if not text:
            device, count = _NONE, "1"
        elif not colon and device.isdecimal():
            device, count = _ANY, device
        _choose(self._device, self._names, device)
        self._fit()
        _choose(self._count, list(self._counts()), count or "1")
        _choose(self._partition, self._cuts(), cut or _WHOLE)

    def _picked(self, _: Any) -> None:
        if self._is_set:
            return
        self._is_set = True
        try:
            self._fit()
        finally:
            self._is_set = False
        self._changed()

    def _counts(self) -> tuple[str, ...]:
        return tuple(map(str, QUANTITIES.get(self._device.value, ()))) or _COUNTS

    def _cuts(self) -> list[str]:
        return [_WHOLE, *PARTITIONS.get(self._device.value, ())]

    def _fit(self) -> None:
        """Offer the counts and the partitions that there are of the device."""
        is_none = self._device.value == _NONE
        for dropdown, choices in ((self._count, list(self._counts())), (self._partition, self._cuts())):
            held = dropdown.value
            if [choice for _, choice in dropdown.options] != choices:
                dropdown.options = [(choice, choice) for choice in choices]
                dropdown.value = held if held in choices else choices[0]
            dropdown.disabled = is_none or len(choices) == 1


def _choose(dropdown: Any, choices: list[str], choice: str) -> None:
    """Choose one of what a list offers; what it does not offer is added to it."""
    wanted = choices if choice in choices else [choice, *choices]
    if [value for _, value in dropdown.options] != wanted:
        dropdown.options = [(shown(value), value) for value in wanted]
    dropdown.value = choice


class Fixed:
    """What cannot be typed here: a value made in code, or one that must not be seen.

    Parameters
    ----------
    field : FormField
        What it is.
    """

    def __init__(self, field: FormField) -> None:
        self._field = field
        self.widget = controls.html()
        self.text = ""

    def set(self, told: str, is_hidden: bool = False) -> None:
        """Show the value in words."""
        how = f"draft.set('{self._field.path}', …)"
        self.widget.value = controls.labelled(
            self._field.label,
            controls.HIDDEN if is_hidden else told or "none",
            f"hidden, as it looks like a secret; {how}" if is_hidden else f"in code: {how}",
        )


_KINDS: dict[str, type[Input]] = {
    "text": _Text, "lines": _Lines, "choice": _Choice, "flag": _Flag, "pair": _Pair, "accelerator": _Accelerator,
}  # fmt: skip


def made_input(field: FormField, heard: Heard) -> Input:
    """Make the control for a field."""
    return _KINDS[field.shape.kind](field, heard)
