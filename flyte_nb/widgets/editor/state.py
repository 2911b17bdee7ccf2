"""What the editor shows, as plain records, and what it asks to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flyte_nb.form.fields import Section
from flyte_nb.views import View

__all__ = ["Choice", "Edited", "Editing", "FieldState", "Item"]


@dataclass(frozen=True)
class FieldState:
    """One field as the draft has it.

    Parameters
    ----------
    text : str
        Its text; empty where it must not be seen or is made in code.
    was : str, optional
        What is declared, in words, where the draft says otherwise.
    told : str
        Its value in words, where it has no text.
    notice : str
        What this machine makes of it, such as ``"4 asked, 2 here: clamped"``.
    """

    text: str
    was: str | None = None
    told: str = ""
    notice: str = ""


@dataclass(frozen=True)
class Item:
    """One of several things in a setting: a variable, a secret, a dependency.

    Parameters
    ----------
    name : str
        What it is called; names are unique in their setting.
    text : str, optional
        What can be typed of it; None where there is nothing to type.
    note : str
        What stands beside it.
    kind : str
        The kind of the note, as for `controls.Field.tell`.
    is_hidden : bool
        Whether it looks like a secret, so that its value stays in the kernel.
    """

    name: str
    text: str | None = None
    note: str = ""
    kind: str = ""
    is_hidden: bool = False


@dataclass(frozen=True)
class Choice:
    """A conflict: what the draft changes and was declared otherwise since.

    Parameters
    ----------
    path : str
        The field, or a part of it.
    before, mine, theirs : str
        The three values in words.
    """

    path: str
    before: str
    mine: str
    theirs: str


@dataclass(frozen=True)
class Edited:
    """A draft as it is now.

    Parameters
    ----------
    name, kind, place : str
        The environment, its class, and where it is declared.
    fields : mapping of str to FieldState
        Its fields, by path.
    items : mapping of str to sequence of Item
        What the settings of several things hold, by path.
    changes : View
        What the draft changes.
    code : View
        The lines of source that it changes; None where there are none.
    changed : frozenset of str
        The names of the settings that it changes.
    can_undo, can_redo : bool
        Whether there is a step to go back, and one to make again.
    lost : str
        Why the draft cannot be applied; empty where it can.
    conflicts : sequence of Choice
        What has to be decided first.
    here : str
        What this machine has, in words.
    file : str
        The file that declares it; empty for a cell.
    """

    name: str
    kind: str
    place: str
    fields: Mapping[str, FieldState]
    items: Mapping[str, Sequence[Item]]
    changes: View
    code: View | None = None
    changed: frozenset[str] = frozenset()
    can_undo: bool = False
    can_redo: bool = False
    lost: str = ""
    conflicts: Sequence[Choice] = field(default_factory=tuple)
    here: str = ""
    file: str = ""


class Editing(Protocol):
    """What the editor asks to be done; what is refused raises its error."""

    @property
    def form(self) -> tuple[Section, ...]:
        """The sections and their fields."""
        ...

    def look(self) -> Edited:
        """Give the draft as it is now."""
        ...

    def type(self, path: str, text: str) -> None:
        """Give a field another text."""
        ...

    def put(self, path: str, name: str, text: str) -> None:
        """Add a thing to a setting that holds several, or give one another text."""
        ...

    def remove(self, path: str, name: str) -> None:
        """Take a thing away from a setting that holds several."""
        ...

    def offers(self, path: str) -> Sequence[str]:
        """Give names that may be added."""
        ...

    def files(self) -> Sequence[str]:
        """Give the files that ``include`` names, or what is wrong with it."""
        ...

    def undo(self) -> None:
        """Go back a step."""
        ...

    def redo(self) -> None:
        """Make a step again."""
        ...

    def discard(self, *paths: str) -> None:
        """Take changes back: of some fields, or all."""
        ...

    def keep(self, *paths: str) -> None:
        """Decide conflicts for what the draft says."""
        ...

    def apply(self) -> str:
        """Declare what the draft says; give what became of it, in words."""
        ...

    def code(self) -> str:
        """Give the whole code, to be copied.

        Raises
        ------
        UsageError
            Where there is none, or it holds what must not be shown.
        """
        ...

    def offer(self) -> str:
        """Put the code into a new cell; give what became of it, in words."""
        ...

    def write(self) -> str:
        """Write the file that declares it; give what became of it, in words."""
        ...

    def preview(self, name: str) -> View:
        """Show the clone of a name that has the draft's changes."""
        ...

    def clone(self, name: str) -> str:
        """Declare that clone; give what became of it, in words."""
        ...
