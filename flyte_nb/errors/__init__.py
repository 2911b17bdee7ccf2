"""Every exception of flyte_nb, in one tree.

::

    FlyteError
    ├── DeclarationError                 a declaration that cannot be right
    │   ├── DeclarationTypeError         … of the wrong type   (TypeError and ValueError)
    │   └── DeclarationValueError        … with a wrong value  (ValueError)
    │       └── DeclarationFileError     … that names a file which is not there (FileNotFoundError)
    ├── NotebookError                    cells, modules and notebooks
    │   ├── DuplicateEnvironmentError    one name, declared by a cell and by a module
    │   ├── SliceError                   a name that cannot leave the kernel
    │   └── ParameterError               a notebook parameter that does not fit
    ├── UsageError                       a verb, a magic or a command used wrongly
    │   ├── InputError                   inputs that do not fit a task
    │   ├── OnlyLocalError               something of this machine, asked of a cluster (AttributeError)
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
        │   ├── AppleSiliconError        … on an Apple machine; six of them
        │   └── MessageError             the errors that are their message
        │       ├── DeploymentError      nothing was deployed; the last version is untouched
        │       ├── ImageBuildError      an image that cannot be built, named or copied from
        │       ├── MissingSecretError   a secret that no source has; nothing was started
        │       ├── ResourceError        more than this machine has; nothing was started
        │       └── ModuleLoad-, CodeBundle-, ActionAborted-, SlowDown-, Condition…Error …
        ├── RuntimeSystemError           … through flyte_nb, the platform or the machine
        │   └── UnionRpcError, LogsNotYetAvailableError
        ├── GPUFaultError                a GPU failed under the task: GPUFaultUser-, GPUFaultSystemError
        └── RuntimeUnknownError

Every one of them pickles with its attributes, so it can cross a process.
``suggestion`` words a hint at the nearest name.
"""

from flyte_nb.errors.devices import (
    APPLE_SILICON_ERRORS_BY_CODE,
    GPU_FAULT_CODES,
    AppleSiliconBridgeUnreachableError,
    AppleSiliconDaemonOOMError,
    AppleSiliconDaemonStartFailedError,
    AppleSiliconError,
    AppleSiliconHostExecFailedError,
    AppleSiliconModelNotFoundError,
    AppleSiliconNotAvailableError,
    GPUFaultError,
    GPUFaultSystemError,
    GPUFaultUserError,
)
from flyte_nb.errors.notebook import (
    DeclarationError,
    DeclarationFileError,
    DeclarationTypeError,
    DeclarationValueError,
    DuplicateEnvironmentError,
    FlyteError,
    InputError,
    NotebookError,
    OnlyLocalError,
    ParameterError,
    SliceError,
    StoreError,
    UnknownNameError,
    UsageError,
    UsageTypeError,
    suggestion,
)
from flyte_nb.errors.runtime import (
    ActionAbortedError,
    ActionNotFoundError,
    BaseRuntimeError,
    CodeBundleError,
    ConditionAlreadyExistsError,
    ConditionFailedError,
    ConditionNotFoundError,
    ConditionTimedoutError,
    CustomError,
    DeadlineExceededError,
    DeploymentError,
    ImageBuildError,
    ImagePullBackOffError,
    InitializationError,
    InlineIOMaxBytesBreached,
    InvalidImageNameError,
    InvalidPackageError,
    LogsNotYetAvailableError,
    MaxQueuedTimeExceededError,
    MaxRuntimeExceededError,
    MissingSecretError,
    ModuleLoadError,
    NonRecoverableError,
    NotInTaskContextError,
    OnlyAsyncIOSupportedError,
    OOMError,
    ParameterMaterializationError,
    PrimaryContainerNotFoundError,
    RemoteTaskNotFoundError,
    RemoteTaskUsageError,
    ResourceError,
    ResourceExhaustedError,
    RestrictedTypeError,
    RetriesExhaustedError,
    RuntimeDataValidationError,
    RuntimeSystemError,
    RuntimeUnknownError,
    RuntimeUserError,
    SlowDownError,
    SyncTaskCallInAsyncContextError,
    TaskInterruptedError,
    TaskProcessError,
    TaskTimeoutError,
    TraceDoesNotAllowNestedTasksError,
    UnionRpcError,
    by_code,
)

__all__ = [
    "APPLE_SILICON_ERRORS_BY_CODE",
    "GPU_FAULT_CODES",
    "ActionAbortedError",
    "ActionNotFoundError",
    "AppleSiliconBridgeUnreachableError",
    "AppleSiliconDaemonOOMError",
    "AppleSiliconDaemonStartFailedError",
    "AppleSiliconError",
    "AppleSiliconHostExecFailedError",
    "AppleSiliconModelNotFoundError",
    "AppleSiliconNotAvailableError",
    "BaseRuntimeError",
    "CodeBundleError",
    "ConditionAlreadyExistsError",
    "ConditionFailedError",
    "ConditionNotFoundError",
    "ConditionTimedoutError",
    "CustomError",
    "DeadlineExceededError",
    "DeclarationError",
    "DeclarationFileError",
    "DeclarationTypeError",
    "DeclarationValueError",
    "DeploymentError",
    "DuplicateEnvironmentError",
    "FlyteError",
    "GPUFaultError",
    "GPUFaultSystemError",
    "GPUFaultUserError",
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
    "MissingSecretError",
    "ModuleLoadError",
    "NonRecoverableError",
    "NotInTaskContextError",
    "NotebookError",
    "OOMError",
    "OnlyAsyncIOSupportedError",
    "OnlyLocalError",
    "ParameterError",
    "ParameterMaterializationError",
    "PrimaryContainerNotFoundError",
    "RemoteTaskNotFoundError",
    "RemoteTaskUsageError",
    "ResourceError",
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
    "by_code",
    "suggestion",
]
