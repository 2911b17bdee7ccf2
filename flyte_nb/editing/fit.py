"""Fit: what this machine makes of the resources that an environment asks for."""

from __future__ import annotations

import functools

from flyte_nb.engine.local.demand import cores, demand_of, size
from flyte_nb.engine.local.machine import Machine
from flyte_nb.environments.base import Environment
from flyte_nb.errors import ResourceError

__all__ = ["here", "machine_notices"]

_FIELDS = ("cpu", "memory", "gpu", "disk", "shm")


@functools.lru_cache(maxsize=1)
def _machine() -> Machine:
    return Machine.here()


def here() -> str:
    """Word what this machine has."""
    machine = _machine()
    gpus = f"{len(machine.gpus)} GPUs" if machine.gpus else "no GPU"
    return f"{cores(int(machine.cores * 1000))} cpu, {size(machine.memory)} memory, {gpus}"


def machine_notices(env: Environment) -> dict[str, str]:
    """Say what this machine makes of the resources, by the field."""
    try:
        notices = demand_of(_machine(), env.resources).notices
    except ResourceError as error:
        return {"resources.gpu": f"a run here is refused: {str(error).partition(' (')[0].partition(';')[0]}"}
    found: dict[str, str] = {}
    for notice in notices:
        kind, _, told = notice.partition(" ")
        path = f"resources.{kind if kind in _FIELDS else 'cpu'}"
        found[path] = f"{found[path]}; {told}" if path in found else told
    return found
