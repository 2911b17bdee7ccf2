"""Items: a setting of several things, a line each, with one below to add another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flyte_nb.environments.declaration import looks_secret
from flyte_nb.views import shown
from flyte_nb.widgets import controls
from flyte_nb.widgets.editor.state import Item

__all__ = ["Items"]

#: what each setting calls its things, and what it takes to add one
_WORDS = {
    "env_vars": ("variable", "new variable", "value"),
    "secrets": ("secret", "new secret", "group"),
    "depends_on": ("dependency", "environment", ""),
}
MOST = 100  # lines
Put = Callable[[str, str], None]


class Items:
    """The things of one setting.

    Parameters
    ----------
    path : str
        The setting.
    put : callable
        Adds a thing, or gives one another text; raises what is wrong.
    remove : callable
        Takes one away.
    offers : sequence of str
        Names to pick from.
    attempt : callable
        Carries something out, and tells it beside a field where it is refused; tells whether it was done.
    """

    def __init__(
        self,
        path: str,
        put: Put,
        remove: Callable[[str], None],
        offers: Callable[[], Sequence[str]],
        attempt: Callable[[Callable[[], None], controls.Field], bool],
    ) -> None:
        self._path, self._put, self._remove, self._offers, self._attempt = path, put, remove, offers, attempt
        self._rows: dict[str, _Row] = {}
        self._told = controls.html()
        self._below = (self._told, self._adder())
        self.widget = controls.stack(*self._below)

    def _adder(self) -> Any:
        what, label, more = _WORDS[self._path]
        offered = list(self._offers())[:MOST]
        self._name = controls.text(label, offers=offered, tooltip=f"its name  ({self._path})", width=controls.SHORT)
        self._value = controls.text(more, tooltip=f"its {more}  ({self._path})", width=controls.SHORT)
        add = controls.button(f"Add {what}", self._add, tooltip=_twin(self._path))
        self._name.observe(lambda _: self._guard(), "value")
        self._value.observe(lambda _: self._guard(), "value")
        self._adding = controls.Field(self._name, *([self._value] if more else []), add)
        return self._adding.widget

    def _guard(self) -> None:
        """Let nothing be typed into a page that looks like a secret."""
        if self._path != "env_vars":
            return
        is_secret = looks_secret(self._name.value, self._value.value)
        self._value.disabled = looks_secret(self._name.value)
        if is_secret:
            self._value.value = ""
            told = "it looks like a secret: add it under Secrets, or set it in a cell"
            self._adding.tell(f"{told}: draft.set('env_vars.{shown(self._name.value)}', …)", "notice")
        else:
            self._adding.tell()

    def _add(self) -> None:
        name, value = self._name.value.strip(), self._value.value
        if self._attempt(lambda: self._put(name, value), self._adding):
            self._name.value = self._value.value = ""
            self._adding.tell(f"added {name}", "done")

    def show(self, items: Sequence[Item]) -> None:
        """Show what the setting holds now; lines that stay keep what is typed in them."""
        names = [item.name for item in items[:MOST]]
        gone = [name for name, row in self._rows.items() if name not in names or row.is_hidden != _hidden(items, name)]
        for name in gone:
            del self._rows[name]
        for item in items[:MOST]:
            if item.name not in self._rows:
                self._rows[item.name] = _Row(item, self._typed, self._take_away, _untwin(self._path, item.name))
            self._rows[item.name].show(item)
        wanted = (*(self._rows[name].widget for name in names), *self._below)
        if self.widget.children != wanted:
            left = [child for child in self.widget.children if child not in wanted]
            self.widget.children = wanted
            controls.close(*left)
        more = len(items) - MOST
        self._told.value = f"… and {more:,} more: see them with draft.{self._path}" if more > 0 else ""

    def _typed(self, name: str, text: str) -> None:
        row = self._rows[name]
        if looks_secret(name, text):
            row.empty()
            row.field.tell("it looks like a secret: add it under Secrets, or set it in a cell", "error")
        elif self._attempt(lambda: self._put(name, text), row.field):
            row.field.tell(row.note, row.kind)

    def _take_away(self, name: str) -> None:
        self._attempt(lambda: self._remove(name), self._rows[name].field)


class _Row:
    """One thing: its text, or that it has none to see, and a button that takes it away."""

    def __init__(self, item: Item, typed: Callable[[str, str], None], remove: Callable[[str], None], twin: str) -> None:
        self._name, self.is_hidden, self._is_set = item.name, item.is_hidden, False
        self.note = self.kind = ""
        take = controls.button("Remove", lambda: remove(item.name), tooltip=f"Remove {item.name}, {twin}")
        if item.text is None or item.is_hidden:
            held = controls.HIDDEN if item.is_hidden else ""
            self._line = None
            head = controls.html(controls.labelled(item.name, held))
        else:
            self._line = head = controls.text(item.name, item.text, tooltip="its value")
            controls.narrowing(head, "18em", controls.WIDE)
            head.observe(lambda change: None if self._is_set else typed(item.name, str(change["new"])), "value")
        self.field = controls.Field(head, take)
        self.widget = self.field.widget

    def show(self, item: Item) -> None:
        if self._line is not None and item.text is not None and item.text != self._line.value:
            self._write(item.text)
        self.note, self.kind = item.note, item.kind
        if not item.note and item.text is not None and not item.is_hidden and shown(item.text) != item.text:
            self.note, self.kind = f"it reads {shown(item.text)}", "notice"  # some of it is not seen in an input
        self.field.tell(self.note, self.kind)

    def empty(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        self._is_set = True
        try:
            self._line.value = text  # type: ignore[union-attr]
        finally:
            self._is_set = False


def _hidden(items: Sequence[Item], name: str) -> bool:
    return any(item.is_hidden for item in items if item.name == name)


def _twin(path: str) -> str:
    return {
        "env_vars": "as draft.set('env_vars.NAME', 'value')",
        "secrets": "as draft.set('secrets', ['api-key'])",
        "depends_on": "as draft.set('depends_on', [other])",
    }[path]


def _untwin(path: str, name: str) -> str:
    return f"as draft.reset('env_vars.{name}')" if path == "env_vars" else f"as draft.set('{path}', …) without it"
