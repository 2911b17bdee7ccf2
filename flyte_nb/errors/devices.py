"""Errors of accelerators: a GPU that failed under a task, and Apple's machines."""

from __future__ import annotations

from typing import Any, ClassVar

from flyte_nb.errors.runtime import BaseRuntimeError, RuntimeSystemError, RuntimeUserError

#: what a cluster calls the faults of GPUs
GPU_FAULT_CODES = (
    "GpuXidError", "GpuFallenOffBus", "GpuEccUncorrectable", "GpuRowRemapPending", "GpuNvlinkError", "GpuGspError",
)  # fmt: skip


class GPUFaultError(BaseRuntimeError):
    """A GPU failed while a task ran on it.

    Parameters
    ----------
    code, kind, message, worker
        As for every error of a run; the code is one of ``GPU_FAULT_CODES``.
    fault_kind : {"xid", "sxid"}, optional
        Who reported it: the GPU, or the switch between several.
    fault_code : int, optional
        Its number.
    fault_name, severity : str, optional
        What it is called, and how bad it is.
    gpu_uuid, gpu_index, node, pci_bus_id, process : optional
        Where it happened.
    """

    def __init__(
        self,
        code: str,
        kind: str,
        message: str,
        worker: str | None = None,
        *,
        fault_kind: str | None = None,
        fault_code: int | None = None,
        fault_name: str | None = None,
        severity: str | None = None,
        gpu_uuid: str | None = None,
        gpu_index: int | None = None,
        node: str | None = None,
        pci_bus_id: str | None = None,
        process: str | None = None,
    ) -> None:
        BaseRuntimeError.__init__(self, code, kind, message, worker)
        self.fault_kind, self.fault_code, self.fault_name, self.severity = fault_kind, fault_code, fault_name, severity
        self.gpu_uuid, self.gpu_index = gpu_uuid, gpu_index
        self.node, self.pci_bus_id, self.process = node, pci_bus_id, process

    @property
    def xid(self) -> int | None:
        """The number of a fault that the GPU reported; None for any other."""
        return self.fault_code if self.fault_kind == "xid" else None

    @property
    def sxid(self) -> int | None:
        """The number of a fault that the switch reported; None for any other."""
        return self.fault_code if self.fault_kind == "sxid" else None


class GPUFaultUserError(GPUFaultError, RuntimeUserError):
    """A fault of a GPU that the user's code caused."""

    def __init__(self, code: str, message: str, worker: str | None = None, **fault: Any) -> None:
        GPUFaultError.__init__(self, code, "user", message, worker, **fault)


class GPUFaultSystemError(GPUFaultError, RuntimeSystemError):
    """A fault of a GPU that the machine caused."""

    def __init__(self, code: str, message: str, worker: str | None = None, **fault: Any) -> None:
        GPUFaultError.__init__(self, code, "system", message, worker, **fault)


class AppleSiliconError(RuntimeUserError):
    """A task on an Apple machine failed; ``recoverable`` says whether another attempt may help."""

    code_name: ClassVar[str] = "APPLE_SILICON_ERROR"
    recoverable: ClassVar[bool] = True

    def __init__(self, message: str, worker: str | None = None) -> None:
        super().__init__(self.code_name, message, worker)


class AppleSiliconNotAvailableError(AppleSiliconError):
    """There is no Apple machine to run on."""

    code_name = "APPLE_SILICON_NOT_AVAILABLE"
    recoverable = False


class AppleSiliconHostExecFailedError(AppleSiliconError):
    """The host could not start the task."""

    code_name = "APPLE_SILICON_HOST_EXEC_FAILED"
    recoverable = False


class AppleSiliconDaemonStartFailedError(AppleSiliconError):
    """The host's service did not start."""

    code_name = "APPLE_SILICON_DAEMON_START_FAILED"
    recoverable = False


class AppleSiliconDaemonOOMError(AppleSiliconError):
    """The host's service ran out of memory."""

    code_name = "APPLE_SILICON_DAEMON_OOM"


class AppleSiliconModelNotFoundError(AppleSiliconError):
    """The host has no such model."""

    code_name = "APPLE_SILICON_MODEL_NOT_FOUND"
    recoverable = False


class AppleSiliconBridgeUnreachableError(AppleSiliconError):
    """The host's bridge cannot be reached."""

    code_name = "APPLE_SILICON_BRIDGE_UNREACHABLE"


APPLE_SILICON_ERRORS_BY_CODE = {kind.code_name: kind for kind in AppleSiliconError.__subclasses__()}
