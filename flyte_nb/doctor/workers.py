"""Whether a worker starts and answers: a task of its own runs, all the way, in a store of its own."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from flyte_nb.doctor.finding import Finding, Patient, ok, problem
from flyte_nb.engine import codec
from flyte_nb.engine.base import Work
from flyte_nb.engine.definition import SCRIPT, Definition
from flyte_nb.engine.local.engine import LocalEngine
from flyte_nb.engine.store import Store

__all__ = ["look"]

_TASK = """import flyte_nb as flyte

env = flyte.TaskEnvironment("doctor")


@env.task
def answer(x: int) -> int:
    return x + 1
"""


def look(patient: Patient) -> Iterator[Finding]:
    """Run a task twice: the first also starts what forks the processes."""
    with tempfile.TemporaryDirectory(prefix="flyte_nb-doctor-") as folder:
        times, wrong = asyncio.run(_two_runs(Path(folder)))
    if wrong:
        yield problem("workers", f"a task does not run: {wrong}", "the message says what is missing")
    else:
        yield ok("workers", f"a task was answered after {times[0]:.0f} ms, and again after {times[1]:.0f} ms")


async def _two_runs(folder: Path) -> tuple[list[float], str]:
    file = folder / "doctor_tasks.py"
    file.write_text(_TASK)
    engine, times = LocalEngine(Store(folder / "store")), list[float]()
    try:
        for number in (1, 2):
            began = time.monotonic()
            work = Work("doctor.answer", Definition(file, SCRIPT), codec.encode({"x": number})[0])
            run = await engine.run(work, lambda event: None)
            times.append((time.monotonic() - began) * 1000)
            if run.error is not None:
                return times, f"{run.error.code}: {run.error}"
            if run.outputs() != (number + 1,):
                return times, f"it answered {run.outputs()!r}"
    finally:
        await engine.stop()
    return times, ""
