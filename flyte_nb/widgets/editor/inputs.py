"""Inputs: a control for each shape of field, all of them read and set as one text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte_nb.environments.accelerators import DEVICES, PARTITIONS, QUANTITIES
from flyte_nb.environments.declaration import HIDDEN
from flyte_nb.form.fields import FormField
from flyte_nb.views import shown
from flyte_nb.widgets import controls

__all__ = ["Fixed", "Input", "made_input"]

Heard = Callable[[str], None]
_NONE, _ANY, _WHOLE = "none", "any GPU", "whole"
_LIMIT = "7em"
_COUNTS = ["1", "2", "3", "4", "5", "6", "7", "8", "16", "32", "64"]
_DEVICES = [_NONE, _ANY, *(name for names in DEVICES.values() for name in names)]


class Input:
    """One control, or several that make one text.

    Parameters
    ----------
    field : FormField
        What is edited.
    text : str
        What stands in it at first.
    heard : callable
        Gets the text that a person has made of it.
    """

    def __init__(self, field: FormField, text: str, heard: Heard) -> None:
        self._field, self._heard, self._is_set = field, heard, False
        #: the controls, beside each other
        self.widgets: tuple[Any, ...] = self._made(text)

    def _made(self, text: str) -> tuple[Any, ...]:
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
    def _made(self, text: str) -> tuple[Any, ...]:
        self._line = controls.text(self._field.label, text, hint=self._hint, tooltip=self._tooltip)
        self._listen(self._line)
        return (self._line,)

    @property
    def text(self) -> str:
        return str(self._line.value)

    def _write(self, text: str) -> None:
        self._line.value = text


class _Lines(_Text):
    def _made(self, text: str) -> tuple[Any, ...]:
        self._line = controls.area(
            self._field.label, text, rows=3, hint=self._hint, tooltip=self._tooltip, width=controls.WIDE
        )
        self._listen(self._line)
        return (self._line,)


class _Choice(_Text):
    def _made(self, text: str) -> tuple[Any, ...]:
        choices = _offered(list(self._field.shape.choices), text)
        self._line = controls.dropdown(self._field.label, choices, text, tooltip=self._tooltip)
        self._listen(self._line)
        return (self._line,)

    @property
    def text(self) -> str:
        return str(self._line.value or "")

    def _write(self, text: str) -> None:
        _choose(self._line, list(self._field.shape.choices), text)


class _Flag(Input):
    def _made(self, text: str) -> tuple[Any, ...]:
        self._box = controls.checkbox(self._field.label, text == "yes", tooltip=self._tooltip, is_indented=True)
        self._listen(self._box)
        return (self._box,)

    @property
    def text(self) -> str:
        return "yes" if self._box.value else "no"

    def _write(self, text: str) -> None:
        self._box.value = text == "yes"


class _Pair(Input):
    """A request, and a limit where that is another."""

    def _made(self, text: str) -> tuple[Any, ...]:
        label, (request, _, limit) = self._field.label, text.partition(":")
        self._request = controls.text(label, request, hint=self._hint, tooltip=self._tooltip, width=controls.SHORT)
        self._limit = controls.text(
            f"{label} limit", limit, hint="the same", tooltip=f"the most of it  ({self._field.path})",
            width="15em", label=_LIMIT,
        )  # fmt: skip
        self._listen(self._request, self._limit)
        return self._request, self._limit

    @property
    def text(self) -> str:
        request, limit = self._request.value.strip(), self._limit.value.strip()
        return f"{request}:{limit}" if limit else str(request)

    def _write(self, text: str) -> None:
        request, _, limit = text.partition(":")
        self._request.value, self._limit.value = request, limit


class _Accelerator(Input):
    """A device, how many of it, and how each is cut."""

    def _made(self, text: str) -> tuple[Any, ...]:
        device, count, cut = self._parts(text)
        self._device = self._list(self._field.label, _DEVICES, device, self._tooltip, controls.SHORT, controls.LABEL)
        self._count = self._list("count", self._counts(device), count, "how many of it  (resources.gpu)", "7.5em")
        self._partition = self._list(
            "partition", self._cuts(device), cut, "how each is cut  (resources.gpu)", controls.SHORT, controls.LABEL
        )
        self._device.observe(self._picked, "value")
        self._listen(self._count, self._partition)
        return self._device, self._count, self._partition

    def _list(self, label: str, choices: list[str], choice: str, tooltip: str, width: str, wide: str = "auto") -> Any:
        offered = _offered(choices, choice)
        return controls.dropdown(label, offered, choice, tooltip=tooltip, width=width, label=wide)

    @staticmethod
    def _parts(text: str) -> tuple[str, str, str]:
        """Split a text into the device, the count, and how it is cut."""
        head, _, cut = text.partition("/")
        device, colon, count = head.partition(":")
        if not text:
            return _NONE, "1", _WHOLE
        if not colon and device.isdecimal():
            return _ANY, device, _WHOLE
        return device, count or "1", cut or _WHOLE

    @property
    def text(self) -> str:
        device, count, cut = self._device.value, self._count.value, self._partition.value
        if device == _NONE:
            return ""
        if device == _ANY:
            return str(count)
        return f"{device}:{count}{f'/{cut}' if cut != _WHOLE else ''}"

    def _write(self, text: str) -> None:
        device, count, cut = self._parts(text)
        _choose(self._device, _DEVICES, device)
        _choose(self._count, self._counts(device), count)
        _choose(self._partition, self._cuts(device), cut)

    def _picked(self, _: Any) -> None:
        if self._is_set:
            return
        self._is_set = True
        try:
            self._fit()
        finally:
            self._is_set = False
        self._changed()

    @staticmethod
    def _counts(device: str) -> list[str]:
        return ["1"] if device == _NONE else list(map(str, QUANTITIES.get(device, ()))) or _COUNTS

    @staticmethod
    def _cuts(device: str) -> list[str]:
        return [_WHOLE, *PARTITIONS.get(device, ())]

    def _fit(self) -> None:
        """Offer the counts and the partitions that there are of the device."""
        device = self._device.value
        for dropdown, choices in ((self._count, self._counts(device)), (self._partition, self._cuts(device))):
            _choose(dropdown, choices, dropdown.value if dropdown.value in choices else choices[0])


def _offered(choices: list[str], choice: str) -> list[str]:
    """Give what a list offers, with what is chosen where that is something else."""
    return choices if choice in choices else [choice, *choices]


def _choose(dropdown: Any, choices: list[str], choice: str) -> None:
    """Choose one of what a list offers; what it does not offer is added to it."""
    wanted = _offered(choices, choice)
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
        self._told = controls.html()
        self.widgets = (self._told,)

    def set(self, told: str) -> None:
        """Show the value in words."""
        why = "hidden, as it looks like a secret; in code" if told == HIDDEN else "in code"
        note = f"{why}: draft.set('{self._field.path}', …)"
        self._told.value = controls.labelled(self._field.label, told, note)


_KINDS: dict[str, type[Input]] = {
    "text": _Text, "lines": _Lines, "choice": _Choice, "flag": _Flag, "pair": _Pair, "accelerator": _Accelerator,
}  # fmt: skip


def made_input(field: FormField, text: str, heard: Heard) -> Input:
    """Make the control for a field."""
    return _KINDS[field.shape.kind](field, text, heard)
