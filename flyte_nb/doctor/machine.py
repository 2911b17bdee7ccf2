"""The machine: cores and memory as tasks get them, control groups, shared memory, GPUs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from flyte_nb.doctor.finding import Finding, Patient, notice, ok
from flyte_nb.engine.local.cgroups import Place, ancestry, make_group
from flyte_nb.engine.local.machine import Machine
from flyte_nb.views import told_size

__all__ = ["look", "look_at_gpus", "look_at_shared_memory"]

MEMORY = Path("/dev/shm")
_LEAST = 256 << 20  # bytes of memory or shared memory below which little can be done
_DRIVER = Path("/proc/driver/nvidia")


def look(patient: Patient) -> Iterator[Finding]:
    """Look at cores, memory and control groups."""
    here = Machine.here()
    yield ok("cores", f"{here.cores:g} of {os.cpu_count()} for tasks")
    memory = psutil.virtual_memory()
    told = f"{told_size(here.memory)} of {told_size(memory.total)} for tasks, {told_size(memory.available)} free now"
    if memory.available < _LEAST:
        yield notice("memory", told, "end what is not needed: new processes may be killed")
    else:
        yield ok("memory", told)
    yield ok("control groups", _groups())


def _groups() -> str:
    places = ancestry("memory")
    if not places:
        return "none here; memory limits of tasks are watched, every 20 ms"
    limits = [told_size(limit) for limit in map(_limit, places) if limit is not None]
    group = make_group("memory", "flyte_nb-doctor")
    if group is not None:
        group.remove()
    held = "the system holds tasks to their memory" if group else "memory limits of tasks are watched, every 20 ms"
    return f"version {places[0].version}; {f'memory limit {min(limits)}' if limits else 'no memory limit'}; {held}"


def _limit(place: Place) -> int | None:
    number = place.number("memory.max" if place.version == 2 else "memory.limit_in_bytes")
    return number if number and number < 1 << 60 else None  # version 1 writes a huge number for none


def look_at_shared_memory(patient: Patient) -> Iterator[Finding]:
    """Look at the file system that large values go through."""
    if not MEMORY.is_dir():
        yield ok("shared memory", f"no {MEMORY} here; large values go through files in the temporary folder")
        return
    usage = shutil.disk_usage(MEMORY)
    told = f"{told_size(usage.free)} of {told_size(usage.total)} free in {MEMORY}"
    if usage.free < _LEAST:
        yield notice("shared memory", told, "larger values cannot pass; in a container: docker run --shm-size=2g")
    else:
        yield ok("shared memory", told)


def look_at_gpus(patient: Patient) -> Iterator[Finding]:
    """Look for GPUs as the engine does."""
    here = Machine.here()
    if here.gpus:
        told = ", ".join(f"{gpu.name} ({told_size(gpu.memory)})" for gpu in here.gpus)
        yield ok("GPU", f"{len(here.gpus)}: {told}")
    elif here.apple_silicon:
        yield ok("GPU", "that of the Apple processor")
    elif _DRIVER.exists():
        told = f"a driver is loaded, but no GPU can be used: {here.no_gpus}"
        yield notice("GPU", told, "pip install 'flyte_nb[gpu]', and look at CUDA_VISIBLE_DEVICES")
    else:
        yield ok("GPU", f"none: {here.no_gpus}")
