"""Every exception of flyte_nb, in one tree.

::

    FlyteError
    ├── DeclarationError                 a declaration that cannot be right
    │   ├── DeclarationTypeError         … of the wrong type   (TypeError and ValueError)
    │   └── DeclarationValueError        … with a wrong value  (ValueError)
    ├── NotebookError                    cells, modules and notebooks
    │   ├── DuplicateEnvironmentError    one name, declared by a cell and by a module
    │   ├── SliceError                   a name that cannot leave the kernel
    │   └── ParameterError               a notebook parameter that does not fit
    ├── UsageError                       a verb, a magic or a command used wrongly
    │   └── UnknownNameError             no environment, task, option or file of that name
    ├── StoreError                       the local store cannot be read or written
    └── BaseRuntimeError                 a run or a deployment that failed (RuntimeError)
        ├── InitializationError          … because something has to be started or set up first
        ├── RuntimeUserError             … through the user's code
        │   ├── TaskProcessError         the task's process ended before its task did
        │   ├── RuntimeDataValidationError   an input or an output of the wrong type
        │   └── DeploymentError          nothing was deployed; the last version is untouched
        └── RuntimeSystemError           … through flyte_nb or the machine

Every one of them pickles with its attributes, so it can cross a process.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from flyte_nb import tracebacks

__all__ = [
    "BaseRuntimeError",
    "DeclarationError",
    "DeclarationTypeError",
    "DeclarationValueError",
    "DeploymentError",
    "DuplicateEnvironmentError",
    "FlyteError",
    "InitializationError",
    "NotebookError",
    "ParameterError",
    "RuntimeDataValidationError",
    "RuntimeSystemError",
    "RuntimeUserError",
    "SliceError",
    "StoreError",
    "TaskProcessError",
    "UnknownNameError",
    "UsageError",
]


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


class BaseRuntimeError(FlyteError, RuntimeError):
    """A run or a deployment that failed.

    Parameters
    ----------
    code : str
        A short word for the failure; for an exception in a task, the name of its class.
    kind : {"user", "system", "unknown"}
        Whose fault it is.
    root_cause_message : str
        The message.
    worker : str or None
        Where it happened, if known.
    """

    def __init__(self, code: str, kind: str, root_cause_message: str, worker: str | None = None) -> None:
        super().__init__(root_cause_message)
        self.code, self.kind, self.worker = code, kind, worker
        #: the task's own frames, told in cells and lines; empty when it failed before its first line
        self.remote_traceback: str = ""


class InitializationError(BaseRuntimeError):
    """Something that has to be started or set up first, such as a connection to a cluster."""


class RuntimeUserError(BaseRuntimeError):
    """A failure in the user's code; ``code`` is the name of the exception's class."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "user", message, worker)


class RuntimeSystemError(BaseRuntimeError):
    """A failure of flyte_nb or of the machine."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "system", message, worker)


class TaskProcessError(RuntimeUserError):
    """The process of a task ended before its task did: ``os._exit``, a segfault, a kill."""

    def __init__(self, message: str, exit_code: int | None = None, worker: str | None = None) -> None:
        super().__init__("TaskProcessError", message, worker)
        #: as ``subprocess`` counts: negative is the number of the signal that ended it
        self.exit_code = exit_code


class RuntimeDataValidationError(RuntimeUserError):
    """An input or an output of a task that does not fit its annotation."""

    def __init__(self, var: str, e: Exception | str, task_name: str = "") -> None:
        where = f" of {task_name}" if task_name else ""
        super().__init__("DataValidationError", f"{var}{where}: {e}")


class DeploymentError(RuntimeUserError):
    """A deployment that failed; the last deployed version is untouched."""

    def __init__(self, message: str) -> None:
        super().__init__("DeploymentError", message)
