"""Errors before anything runs: declarations, cells and notebooks, verbs used wrongly, the store."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from flyte_nb import tracebacks


class FlyteError(Exception):
    """The base of every error that flyte_nb raises on purpose."""

    def __reduce__(self) -> Any:
        return _restore, (type(self), self.args, self.__dict__)

    def _render_traceback_(self) -> list[str]:
        """Say it in a few lines: IPython shows this in place of the library's own frames."""
        return tracebacks.short(self)


def _restore(kind: type[FlyteError], args: tuple[Any, ...], state: dict[str, Any]) -> FlyteError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class DeclarationError(FlyteError):
    """A declaration that was refused; nothing of it was registered.

    Parameters
    ----------
    field : str
        The class and field, for example ``"TaskEnvironment.name"``.
    given : str
        What was given, as a short, masked repr.
    accepted : str
        What the field accepts.
    reason : str
        Why what was given is not that; may be empty.
    """

    def __init__(self, field: str, given: str, accepted: str, reason: str = "") -> None:
        self.field, self.given, self.accepted, self.reason = field, given, accepted, reason
        because = f" ({reason})" if reason else ""
        super().__init__(f"{field}: given {given}{because}; accepted: {accepted}")

    def rows(self) -> list[tuple[str, str]]:
        """Give the parts of the message as ``(label, text)`` rows, for the views."""
        rows = [("field", self.field), ("given", self.given), ("accepted", self.accepted)]
        return [*rows, ("because", self.reason)] if self.reason else rows


class DeclarationValueError(DeclarationError, ValueError):
    """A field of the right type with a value that cannot be right."""


class DeclarationFileError(DeclarationValueError, FileNotFoundError):
    """A declaration that names a file which is not there; also a ``FileNotFoundError``."""

    # what pickling calls; ValueError's cannot make an OSError
    __new__ = FileNotFoundError.__new__  # type: ignore[assignment]


class DeclarationTypeError(DeclarationError, TypeError, ValueError):
    """A field of the wrong type.

    It is a ``ValueError`` as well because the Flyte SDK raises one or the other, field by field: code that
    catches either carries over.
    """


class NotebookError(FlyteError):
    """Something about cells, modules or notebooks."""


class DuplicateEnvironmentError(NotebookError, ValueError):
    """One environment name declared by a cell of the notebook and by an imported module."""


class SliceError(NotebookError):
    """A name that a task reads cannot leave the kernel."""


class ParameterError(NotebookError, ValueError):
    """A parameter that the notebook does not have, or a value that it cannot take."""


class UsageError(FlyteError, ValueError):
    """A verb, a magic or a command that was used wrongly."""


class InputError(UsageError):
    """Inputs that do not fit a task: missing, unknown, or given twice."""


class UsageTypeError(UsageError, TypeError):
    """An argument of a verb that is of the wrong type."""


class OnlyLocalError(UsageError, AttributeError):
    """Something that there is on this machine only, asked of what runs at a cluster."""


class UnknownNameError(UsageError, LookupError):
    """No such name; the nearest ones are suggested.

    Parameters
    ----------
    kind : str
        What was looked for, for example ``"environment"``.
    name : str
        The name that was given.
    known : iterable of str
        The names there are.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str] = ()) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(f"no {kind} named {name!r}; {suggestion(name, self.known)}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Word a hint at the nearest of the known names, or list a few of them."""
    known = list(known)
    if not known:
        return "there is none yet"
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return "there is " + ", ".join(repr(n) for n in known[:8]) + more


class StoreError(FlyteError):
    """The local store cannot be read or written."""
