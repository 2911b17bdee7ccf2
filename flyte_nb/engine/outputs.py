"""Outputs: what a task returned, held against its signature."""

from __future__ import annotations

from typing import Any

from flyte_nb.environments.interface import check_value
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import RuntimeDataValidationError

__all__ = ["checked"]


def checked(value: Any, task: TaskTemplate) -> Any:
    """Check what a task returned against its signature.

    Raises
    ------
    RuntimeDataValidationError
        When it has another type or another number of outputs.
    """
    outputs = task.interface.outputs
    if not outputs:
        if value is not None:
            raise RuntimeDataValidationError(
                "output",
                f"given {value!r:.80}; accepted: None, since the task has no return annotation",
                task.name,
            )
        return None
    if len(outputs) == 1:
        return check_value("output o0", value, next(iter(outputs.values())), task.name)
    if not isinstance(value, tuple) or len(value) != len(outputs):
        raise RuntimeDataValidationError(
            "outputs", f"given {value!r:.80}; accepted: a tuple of {len(outputs)}", task.name
        )
    values = [check_value(f"output {n}", v, k, task.name) for v, (n, k) in zip(value, outputs.items(), strict=True)]
    return type(value)(*values) if hasattr(value, "_fields") else tuple(values)
