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
    │   ├── InputError                   inputs that do not fit a task
    │   ├── UnknownNameError             no environment, task, option or file of that name
    │   └── UsageTypeError               an argument of the wrong type (TypeError)
    ├── StoreError                       the local store cannot be read or written
    ├── ActionNotFoundError
    └── BaseRuntimeError                 a run or a deployment that failed (RuntimeError)
        ├── InitializationError          no connection, or no setting, for what was asked
        ├── RuntimeUserError             … through the user's code
        │   ├── TaskProcessError         the task's process ended before its task did
        │   ├── RuntimeDataValidationError   an input or an output of the wrong type (TypeError)
        │   ├── TaskTimeoutError         MaxQueuedTimeExceeded-, MaxRuntimeExceeded-, DeadlineExceededError
        │   ├── OOM-, TaskInterrupted-, RetriesExhausted-, NonRecoverable-, CustomError …
        │   └── MessageError             the errors that are their message
        │       ├── DeploymentError      nothing was deployed; the last version is untouched
        │       ├── ImageBuildError      an image that cannot be built, named or copied from
        │       └── ModuleLoad-, CodeBundle-, ActionAborted-, SlowDown-, Condition…Error …
        ├── RuntimeSystemError           … through flyte_nb, the platform or the machine
        │   └── UnionRpcError, LogsNotYetAvailableError
        └── RuntimeUnknownError

Every one of them pickles with its attributes, so it can cross a process.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, NoReturn

from flyte_nb import tracebacks

__all__ = [
    "ActionAbortedError",
    "ActionNotFoundError",
    "BaseRuntimeError",
    "CodeBundleError",
    "ConditionAlreadyExistsError",
    "ConditionFailedError",
    "ConditionNotFoundError",
    "ConditionTimedoutError",
    "CustomError",
    "DeadlineExceededError",
    "DeclarationError",
    "DeclarationTypeError",
    "DeclarationValueError",
    "DeploymentError",
    "DuplicateEnvironmentError",
    "FlyteError",
    "ImageBuildError",
    "ImagePullBackOffError",
    "InitializationError",
    "InlineIOMaxBytesBreached",
    "InputError",
    "InvalidImageNameError",
    "InvalidPackageError",
    "LogsNotYetAvailableError",
    "MaxQueuedTimeExceededError",
    "MaxRuntimeExceededError",
    "ModuleLoadError",
    "NonRecoverableError",
    "NotInTaskContextError",
    "NotebookError",
    "OOMError",
    "OnlyAsyncIOSupportedError",
    "ParameterError",
    "ParameterMaterializationError",
    "PrimaryContainerNotFoundError",
    "RemoteTaskNotFoundError",
    "RemoteTaskUsageError",
    "ResourceExhaustedError",
    "RestrictedTypeError",
    "RetriesExhaustedError",
    "RuntimeDataValidationError",
    "RuntimeSystemError",
    "RuntimeUnknownError",
    "RuntimeUserError",
    "SliceError",
    "SlowDownError",
    "StoreError",
    "SyncTaskCallInAsyncContextError",
    "TaskInterruptedError",
    "TaskProcessError",
    "TaskTimeoutError",
    "TraceDoesNotAllowNestedTasksError",
    "UnionRpcError",
    "UnknownNameError",
    "UsageError",
    "UsageTypeError",
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


class InputError(UsageError):
    """Inputs that do not fit a task: missing, unknown, or given twice."""


class UsageTypeError(UsageError, TypeError):
    """An argument of a verb that is of the wrong type."""


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

    Arithmetic with one raises it, so that ``sum(results)`` over a mapped task shows the real error.

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

    def _raise_again(self, other: object) -> NoReturn:
        raise self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _raise_again
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _raise_again


class InitializationError(BaseRuntimeError):
    """Something needs a connection or a setting that this process does not have."""


class ActionNotFoundError(FlyteError, RuntimeError):
    """No such action."""


class RuntimeUserError(BaseRuntimeError):
    """A failure in the user's code; ``code`` is the name of the exception's class."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "user", message, worker)


class RuntimeSystemError(BaseRuntimeError):
    """A failure of flyte_nb, of the platform or of the machine."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "system", message, worker)


class RuntimeUnknownError(BaseRuntimeError):
    """A failure of which nobody knows whose it is."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "unknown", message, worker)


class UnionRpcError(RuntimeSystemError):
    """A call to the control plane failed."""


class LogsNotYetAvailableError(RuntimeSystemError):
    """The logs of an action are not there yet."""

    def __init__(self, message: str) -> None:
        super().__init__(type(self).__name__, message)


class OOMError(RuntimeUserError):
    """A task needed more memory than it had."""


class TaskInterruptedError(RuntimeUserError):
    """A task's machine was taken away."""


class PrimaryContainerNotFoundError(RuntimeUserError):
    """A pod has no primary container."""


class RetriesExhaustedError(RuntimeUserError):
    """A task failed in every one of its attempts."""


class InvalidImageNameError(RuntimeUserError):
    """An image's name is not one."""


class ImagePullBackOffError(RuntimeUserError):
    """An image cannot be pulled."""


class NotInTaskContextError(RuntimeUserError):
    """Something that works in a running task only was used outside one."""


class TaskTimeoutError(RuntimeUserError):
    """A task took longer than it may."""

    def __init__(self, message: str, code: str = "TaskTimeoutError") -> None:
        super().__init__(code, message)


class MaxQueuedTimeExceededError(TaskTimeoutError):
    """An attempt waited longer than it may."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type(self).__name__)


class MaxRuntimeExceededError(TaskTimeoutError):
    """An attempt ran longer than it may."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type(self).__name__)


class DeadlineExceededError(TaskTimeoutError):
    """All attempts together took longer than they may."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type(self).__name__)


class CustomError(RuntimeUserError):
    """An error with a code of the user's own."""

    @classmethod
    def from_exception(cls, e: Exception) -> CustomError:
        """Make one of an exception, which stays its cause."""
        made = cls(type(e).__name__, str(e))
        made.__cause__ = e
        return made


class NonRecoverableError(RuntimeUserError):
    """A failure that another attempt cannot mend; no attempt follows."""

    def __init__(self, message: str, code: str = "NonRecoverableError") -> None:
        super().__init__(code, message)


class TaskProcessError(RuntimeUserError):
    """The process of a task ended before its task did: ``os._exit``, a segfault, a kill."""

    def __init__(self, message: str, exit_code: int | None = None, worker: str | None = None) -> None:
        super().__init__("TaskProcessError", message, worker)
        #: as ``subprocess`` counts: negative is the number of the signal that ended it
        self.exit_code = exit_code


class RuntimeDataValidationError(RuntimeUserError, TypeError):
    """An input or an output of a task that does not fit its annotation."""

    def __init__(self, var: str, e: Exception | str, task_name: str = "") -> None:
        where = f" of {task_name}" if task_name else ""
        super().__init__("DataValidationError", f"{var}{where}: {e}")


class InvalidPackageError(RuntimeUserError):
    """A system package that cannot be installed."""

    def __init__(self, package_name: str, original_error: str) -> None:
        super().__init__(type(self).__name__, f"invalid system package {package_name!r}: {original_error}")


class MessageError(RuntimeUserError):
    """The base of the errors that are their message; ``code`` is the name of the class."""

    def __init__(self, message: str) -> None:
        super().__init__(type(self).__name__, message)


class DeploymentError(MessageError):
    """A deployment that failed; the last deployed version is untouched."""


class ImageBuildError(MessageError):
    """An image that cannot be built, named or copied from."""


class ModuleLoadError(MessageError):
    """A module of the user's that cannot be loaded."""


class InlineIOMaxBytesBreached(MessageError):  # noqa: N818 - the Flyte SDK's name
    """Inputs or outputs with more bytes than a task may have inline."""


class ActionAbortedError(MessageError):
    """An action was aborted."""


class SlowDownError(MessageError):
    """A service asks to be called more slowly."""


class ResourceExhaustedError(SlowDownError):
    """A service has no more to give for now."""

    def __init__(self, message: str) -> None:
        RuntimeUserError.__init__(self, "SlowDownError", message)


class OnlyAsyncIOSupportedError(MessageError):
    """Something that only works with async IO was used without."""


class ParameterMaterializationError(MessageError):
    """A parameter of an app whose value cannot be found."""


class RestrictedTypeError(MessageError):
    """A type that a task may not take or give."""

    def __init__(self, message: str) -> None:
        RuntimeUserError.__init__(self, "RestrictedTypeUsage", message)


class CodeBundleError(MessageError):
    """The code that should travel cannot be bundled."""


class SyncTaskCallInAsyncContextError(MessageError):
    """A sync task was called in an async one; use ``await task.aio(…)``."""


class TraceDoesNotAllowNestedTasksError(MessageError):
    """A task was called in a traced function; call its ``forward``."""


class ConditionTimedoutError(MessageError):
    """A condition was not met in time."""


class ConditionAlreadyExistsError(MessageError):
    """A condition of that name exists."""


class ConditionFailedError(MessageError):
    """A condition failed."""


class ConditionNotFoundError(MessageError):
    """No such condition."""


class RemoteTaskNotFoundError(MessageError):
    """No such task is deployed."""


class RemoteTaskUsageError(MessageError):
    """A deployed task was used in a way that only a declared one can be."""
