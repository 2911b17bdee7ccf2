"""Fields: one setting of an environment as a form shows it: its label, its text, and what another text makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import reading
from flyte_nb.environments.editing import part_of, with_part
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import DeclarationError, DeclarationValueError
from flyte_nb.form.shapes import Shape
from flyte_nb.notebook.rewriting import RESET

__all__ = ["FormField", "Section", "told_error"]


@dataclass(frozen=True)
class FormField:
    """One setting, or a part of one.

    Parameters
    ----------
    path : str
        The field, and the way to the part: ``"resources.memory"``.
    label : str
        What it is called, in a word or two.
    shape : Shape
        How its values are written.
    help : str
        What it accepts, in a few words.
    hint : str
        The text of its default.
    get, put : callable, optional
        Give the value in an environment, and the whole field with another one; None clears it. By default the path
        says where it is.
    """

    path: str
    label: str
    shape: Shape
    help: str = ""
    hint: str = ""
    get: Callable[[Environment], Any] | None = None
    put: Callable[[Environment, Any], Any] | None = None

    @property
    def root(self) -> str:
        """The field of the environment."""
        return self.path.partition(".")[0]

    def value(self, env: Environment) -> Any:
        """Give its value in an environment."""
        if self.get is not None:
            return self.get(env)
        return part_of(env, self.path.split("."))

    def text(self, env: Environment) -> str:
        """Give the text of its value in an environment; empty where that is made in code."""
        value = self.value(env)
        return self.shape.show(value) if self.shape.says(value) else ""

    def is_editable(self, env: Environment) -> bool:
        """Tell whether a text can say the value that it has."""
        return self.shape.says(self.value(env))

    def change(self, env: Environment, text: str) -> dict[str, Any]:
        """Give what a draft of an environment is to be updated with for another text; nothing for the same text.

        Raises
        ------
        DeclarationError
            When the text cannot be read.
        """
        if self.is_editable(env) and text == self.text(env):
            return {}
        within = reading.set(True)  # what is doubtful about a part is said when all is declared
        try:
            value = self.shape.read(text) if text.strip() else None
            return {self.root: self._whole(env, value)}
        except DeclarationError:
            raise
        except ValueError as error:
            raise DeclarationValueError(self.path, repr(text[:80]), self.help or "another text", str(error)) from None
        finally:
            reading.reset(within)

    def _whole(self, env: Environment, value: Any) -> Any:
        """Give the value of the whole field."""
        if self.put is not None:
            return self.put(env, value)
        held = getattr(env, self.root)
        _, *parts = self.path.split(".")
        if not parts:
            return RESET if value is None else list(value) if isinstance(held, list) else value
        if value is None and held is None:
            return None
        whole = with_part(env, self.root, parts, value, reset=value is None)
        return None if isinstance(whole, Resources) and whole == Resources() else whole


@dataclass(frozen=True)
class Section:
    """Fields that belong together.

    Parameters
    ----------
    title : str
        What they are.
    fields : tuple of FormField
        The fields, in the order in which they are shown.
    """

    title: str
    fields: tuple[FormField, ...]


def told_error(error: Exception) -> str:
    """Word why a text is refused, for the line beside its field: the field and the text are seen there already."""
    if not isinstance(error, DeclarationError):
        return str(error) or type(error).__name__
    accepted = f"accepted: {error.accepted}"
    if not error.reason:
        return accepted
    return error.reason if error.reason.endswith("?") or " such as " in error.reason else f"{error.reason}; {accepted}"
