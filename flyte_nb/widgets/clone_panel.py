"""ClonePanel: a clone before it is declared — its name, what it overrides and resets, each checked as one types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flyte_nb.environments.declaration import looks_secret
from flyte_nb.errors import FlyteError
from flyte_nb.views import Fold, Stack, Table, Text, View, told_size
from flyte_nb.widgets import controls
from flyte_nb.widgets.controls import Field
from flyte_nb.widgets.drafts import hides
from flyte_nb.widgets.interactive import Interactive

__all__ = ["Asked", "CloneActions", "ClonePanel", "Previewed"]


_WIDE = "32em"  # of an input with its label
_FEWEST, _MOST = 3, 14  # lines of code that are seen


@dataclass(frozen=True)
class Asked:
    """What a person asks of a clone.

    Parameters
    ----------
    name : str
        Its name.
    texts : mapping of str to str
        What is overridden, as it is typed: ``{"cpu": "2", "env": "A=1"}``; the names are those of ``%flyte clone``.
    reset : tuple of str
        The fields that go back to their defaults.
    """

    name: str
    texts: Mapping[str, str] = field(default_factory=dict)
    reset: tuple[str, ...] = ()


class Previewed(Protocol):
    """A clone that is not declared."""

    errors: dict[str, str]
    name: str

    def code(self) -> str:
        """Give the statement that makes it."""

    def view(self, declared: str = "") -> View:
        """Show what differs and where each setting comes from."""


@dataclass(frozen=True)
class CloneActions:
    """What a clone's panel asks and does.

    Parameters
    ----------
    preview : callable
        Gives the clone that is asked for; what is wrong with it is in its errors.
    apply : callable
        Declares it; gives where.
    files : callable
        Gives the files that a clone includes: path, bytes, why.
    observe : callable
        Calls what it is given after each cell, and gives what ends that.
    edit : callable, optional
        Gives the editor of an environment that is declared, by its name.
    """

    preview: Callable[[Asked], Previewed]
    apply: Callable[[Previewed], str]
    files: Callable[[Previewed], Sequence[tuple[str, int, str]]]
    observe: Callable[[Callable[[], object]], Callable[[], None]]
    edit: Callable[[str], Any] | None = None


@dataclass(frozen=True)
class Input:
    """An input of the panel: what is typed, the field it belongs to, what it is called and a hint."""

    key: str
    field: str
    label: str
    hint: str = ""
    tooltip: str = ""


class ClonePanel(Interactive):
    """A clone as a panel; where there is no front end for it, as text.

    Parameters
    ----------
    source : str
        The name of what is cloned.
    asked : Asked
        What is asked for at first.
    inputs : sequence of Input
        What can be overridden by typing.
    resettable : sequence of str
        The fields that can go back to their defaults.
    actions : CloneActions
        What it can do.
    """

    def __init__(
        self, source: str, asked: Asked, inputs: Sequence[Input], resettable: Sequence[str], actions: CloneActions
    ) -> None:
        super().__init__()
        self._source, self._asked, self._actions = source, asked, actions
        self._inputs, self._resettable = tuple(inputs), tuple(resettable)
        self._declared, self._is_applying = "", False
        self.preview = actions.preview(asked)
        self._end_observing: Callable[[], None] = lambda: None

    # --- as it stands ---

    def text(self) -> str:
        return self._view().text()

    def body(self) -> str:
        return self._view().body()

    def _view(self) -> View:
        return Stack(
            [self.preview.view(self._declared), self._files(), *([] if self.preview.errors else [self._code()])]
        )

    def _files(self) -> View:
        try:
            files = self._actions.files(self.preview)
        except FlyteError as error:
            return Text(f"its files cannot be told: {error}")
        if not files:
            return Stack([])
        rows = [(path, told_size(size), why) for path, size, why in files]
        total = told_size(sum(size for _, size, _ in files))
        plural = "s" if len(files) != 1 else ""
        return Fold(f"includes {len(files):,} file{plural}, {total}", Table(("file", "size", "why"), rows))

    def _code(self) -> View:
        return Fold("the code", Text(self._shown_code()))

    def _shown_code(self) -> str:
        """Give the code as it may be seen: what looks like a secret stays in the kernel."""
        try:
            code = self.preview.code()
        except FlyteError as error:
            return f"# {error}"
        shown = "\n".join(_without_secrets(line) for line in code.split("\n"))
        return shown if shown == code else f"{shown}\n# what looks like a secret is left out; preview.code() has it"

    # --- the widget ---

    def controls(self) -> Any:
        typed = {"": self._asked.name, **self._asked.texts}
        inputs = (Input("", "name", "name", "", "The clone's name"), *self._inputs)
        self._typed_in = {
            one.key: controls.text(one.label, typed.get(one.key, ""), hint=one.hint, tooltip=one.tooltip, width=_WIDE)
            for one in inputs
        }
        if "env" in self._typed_in:
            self._typed_in["env"].continuous_update = False  # a value is looked at when it is whole
        self._fields = {key: Field(control, is_labelled=True) for key, control in self._typed_in.items()}
        self._boxes = {
            name: controls.checkbox(name, name in self._asked.reset, tooltip=f"Reset {name}", width="auto")
            for name in self._resettable
        }
        for control in (*self._typed_in.values(), *self._boxes.values()):
            control.observe(lambda _: self.handler(self._typed)(), "value")
        self._shown, self._buttons, self._below = controls.html(), controls.row(), controls.stack()
        self._make_buttons()
        self._end_observing = self._actions.observe(self.handler(self._again))
        self._show()
        resets = [controls.apart(controls.html("Reset to the default:"), *self._boxes.values())] if self._boxes else []
        form = controls.stack(*(one.widget for one in self._fields.values()), *resets, self._buttons, self.status())
        return controls.stack(_beside(form, self._shown), self._copies.widget, self._below)

    def _make_buttons(self) -> None:
        self._code_area = controls.area("code", "", rows=_FEWEST, tooltip="What makes the clone: copy it into a cell")
        self._copies = controls.Fold("Copy code", lambda: self._code_area)
        tooltip = "Declare the clone now: flyte.preview_clone(…).apply()"
        self._apply = controls.button("Apply", self.handler(self.apply), is_main=True, tooltip=tooltip)
        tooltip = "Open its editor: flyte.edit(env)"
        self._edits = controls.button("Edit the clone", self.handler(self._edit), tooltip=tooltip)

    def left(self) -> None:
        self._end_observing()
        editor = getattr(self, "_editor", None)
        if editor is not None:
            editor.close()

    def _typed(self) -> None:
        """Take in what was typed, and preview that."""
        self._take_secrets_out()
        texts = {key: one.value for key, one in self._typed_in.items() if key and one.value.strip()}
        reset = tuple(name for name, box in self._boxes.items() if box.value)
        self._asked, self._declared = Asked(self._typed_in[""].value, texts, reset), ""
        self._again()

    def _take_secrets_out(self) -> None:
        """Let no value that looks like a secret stay in an input: a saved notebook may keep what is in one."""
        typed = self._typed_in.get("env")
        if typed is None:
            return
        words = typed.value.split(" ")
        kept = [_without_secret(word) for word in words]
        if kept != words:
            typed.value = " ".join(kept)
            self.say("what looks like a secret was taken out: declare secrets=, and give it with %flyte secret set",
                     "error")  # fmt: skip

    def _again(self) -> None:
        """Preview once more: what was typed, or what is declared, has changed."""
        if self._is_applying:
            return
        if not self._declared:
            self.preview = self._actions.preview(self._asked)
        self._show()

    def _show(self) -> None:
        errors = dict(self.preview.errors)
        self._fields[""].tell(errors.pop("name", ""), "error")
        for name, given in self._by_field().items():
            self._tell_field(given, errors.pop(name, ""))
        self._apply.disabled = bool(self.preview.errors) or bool(self._declared)
        code = "" if self.preview.errors else self._shown_code()
        if self._code_area.value != code:
            self._code_area.value = code
            self._code_area.rows = min(max(code.count("\n") + 1, _FEWEST), _MOST)
        html = Stack([self.preview.view(self._declared), self._files()]).html()
        if self._shown.value != html:
            self._shown.value = html
        buttons = [self._apply, *([self._edits] if self._declared and self._actions.edit else [])]
        self._buttons.children = buttons
        self.renew()

    def _by_field(self) -> dict[str, list[Input]]:
        found: dict[str, list[Input]] = {}
        for one in self._inputs:
            found.setdefault(one.field, []).append(one)
        return found

    def _tell_field(self, inputs: list[Input], error: str) -> None:
        """Say what is wrong beside the input that it is about; of several of one field, the one that is named."""
        named = [one for one in inputs if error.startswith(f"{one.key}:")]
        typed = [one for one in inputs if self._typed_in[one.key].value.strip()]
        blamed = (named or typed or inputs)[0].key if error else ""
        for one in inputs:
            self._fields[one.key].tell(error if one.key == blamed else "", "error")

    # --- what the buttons do ---

    def apply(self) -> None:
        """Declare the clone that is shown."""
        if self._declared:
            return
        self.preview = self._actions.preview(self._asked)  # what is declared now, not what was when it was shown
        if self.preview.errors:
            self.say("nothing was declared: " + next(iter(self.preview.errors.values())), "error")
            self._show()
            return
        self._is_applying = True
        try:
            place = self._declared = self._actions.apply(self.preview)
        finally:
            self._is_applying = False
        self.say(f"declared {self.preview.name} at {place}; no cell of the notebook has it yet: copy the code into one",
                 "done")  # fmt: skip
        self._show()

    def _edit(self) -> None:
        assert self._actions.edit is not None
        self._editor = self._actions.edit(self.preview.name)
        self._below.children = (self._editor.widget(),)


def _without_secrets(line: str) -> str:
    """Leave out a line of code that holds what looks like a secret; that of the process's environment holds none."""
    if "os.environ[" in line or not hides(line):
        return line
    return f"{line[: len(line) - len(line.lstrip())]}...  # looks like a secret"


def _without_secret(word: str) -> str:
    name, equals, value = word.partition("=")
    return f"{name}=" if equals and value and looks_secret(name, value) else word


def _beside(form: Any, shown: Any) -> Any:
    """Put what is filled in beside what becomes of it; below, where the page is narrow."""
    import ipywidgets

    form.layout = ipywidgets.Layout(flex="0 1 36em", max_width="36em")
    shown.layout = ipywidgets.Layout(flex="1 1 30em", min_width="0", margin="0 0 0 16px")
    return ipywidgets.HBox([form, shown], layout={"flex_flow": "row wrap", "align_items": "flex-start"})
