"""Errors of runs and deployments, with the Flyte SDK's names, codes and kinds."""

from __future__ import annotations

from typing import NoReturn

from flyte_nb.errors.notebook import FlyteError


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
        #: the run that it failed; empty for what is no run
        self.run: str = ""

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
        super().__init__("LogsNotYetAvailable", message)


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


class MissingSecretError(MessageError):
    """Secrets that a task asks for and that no source has; nothing was started."""


class ResourceError(MessageError):
    """A task asks for what this machine does not have; nothing was started."""


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


#: part of a code: the class of the errors with such a code
_BY_CODE: dict[str, type[BaseRuntimeError]] = {
    "oom": OOMError,
    "interrupted": TaskInterruptedError,
    "primarycontainernotfound": PrimaryContainerNotFoundError,
    "retriesexhausted": RetriesExhaustedError,
    "unknown": RuntimeUnknownError,
    "invalidimagename": InvalidImageNameError,
    "imagepullbackoff": ImagePullBackOffError,
}


def by_code(error: BaseRuntimeError) -> BaseRuntimeError:
    """Give an error that a task raised in the class that its code stands for, such as `OOMError` for ``"OOMKilled"``.

    Only a plain `RuntimeUserError` becomes another one; its cause and its frames stay.
    """
    if type(error) is not RuntimeUserError or not isinstance(error.code, str):
        return error
    kind = next((kind for part, kind in _BY_CODE.items() if part in error.code.lower()), None)
    if kind is None:
        return error
    told = kind(error.code, str(error), error.worker)  # type: ignore[arg-type]  # theirs take no kind
    told.__cause__, told.remote_traceback = error.__cause__, error.remote_traceback
    return told
