"""The examination: every probe at once, each with its time, and none of them can fail it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flyte_nb.doctor import cluster, front_end, images, machine, secrets, stores, versions, workers
from flyte_nb.doctor.finding import Finding, Patient, notice, problem

__all__ = ["PROBES", "Probe", "examine"]


@dataclass(frozen=True)
class Probe:
    """One group of things to look at.

    Parameters
    ----------
    what : str
        What it looks at, for the case that it does not come to an end.
    look : callable
        Gives the findings.
    seconds : float
        How long it may take.
    is_needed : bool
        Whether tasks cannot run where it does not come to an end.
    """

    what: str
    look: Callable[[Patient], Iterable[Finding]]
    seconds: float = 5.0
    is_needed: bool = False


PROBES = (
    Probe("versions", versions.look),
    Probe("front end", front_end.look),
    Probe("store", stores.look, 10.0, is_needed=True),
    Probe("workers", workers.look, 20.0, is_needed=True),
    Probe("machine", machine.look),
    Probe("shared memory", machine.look_at_shared_memory),
    Probe("GPU", machine.look_at_gpus, 10.0),
    Probe("images", images.look, 10.0),
    Probe("secrets", secrets.look),
    Probe("cluster", cluster.look, 6.0),
)


def examine(patient: Patient, probes: Iterable[Probe] = PROBES) -> list[Finding]:
    """Look at everything; it takes as long as the slowest probe, and no longer than each may.

    Parameters
    ----------
    patient : Patient
        What is examined.
    probes : iterable of Probe
        What is looked at.
    """
    running = [_Running(probe, patient) for probe in probes]
    return [finding for one in running for finding in one.findings()]


class _Running:
    """A probe in a thread of its own, which nobody waits for longer than it may take."""

    def __init__(self, probe: Probe, patient: Patient) -> None:
        self._probe, self._patient = probe, patient
        self._found: list[Finding] | None = None
        self._until = time.monotonic() + probe.seconds
        self._thread = threading.Thread(target=self._look, name=f"flyte_nb-doctor-{probe.what}", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        try:
            self._found = list(self._probe.look(self._patient))
        except Exception as error:  # whatever it is that is broken here: it is what was looked for
            self._found = [self._unknown(f"cannot be examined: {type(error).__name__}: {error}")]

    def findings(self) -> list[Finding]:
        self._thread.join(max(self._until - time.monotonic(), 0))
        found = self._found
        return found if found is not None else [self._unknown(f"no answer within {self._probe.seconds:g} s")]

    def _unknown(self, told: str) -> Finding:
        return (problem if self._probe.is_needed else notice)(self._probe.what, told)
