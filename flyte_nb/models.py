"""The records that travel with tasks, runs and actions."""

from flyte_nb.context.records import ActionID, CodeBundle, GroupData, PathRewrite, RawDataPath, SerializationContext
from flyte_nb.context.task_context import TaskContext
from flyte_nb.environments.interface import NativeInterface
from flyte_nb.environments.phases import ActionPhase

__all__ = [
    "ActionID",
    "ActionPhase",
    "CodeBundle",
    "GroupData",
    "NativeInterface",
    "PathRewrite",
    "RawDataPath",
    "SerializationContext",
    "TaskContext",
]
