"""Standing: where an app stands, for those who look at it; they are told when that changes, and not else."""

from __future__ import annotations

import time
from collections.abc import Sequence

from flyte_nb.engine.local.apps.log import AppLog
from flyte_nb.engine.local.apps.spec import AppPhase, ReplicaRecord
from flyte_nb.engine.local.apps.traffic import History, Load
from flyte_nb.observers import Observers

__all__ = ["Standing"]


class Standing:
    """What there is to show of an app.

    Parameters
    ----------
    log : AppLog
        Takes what its replicas print.
    """

    def __init__(self, log: AppLog) -> None:
        self.log = log
        #: hear that something has changed, in the engine's loop; None is all that they are told
        self.observers: Observers[None] = Observers()
        #: what there was to do lately
        self.history = History()
        self._phase, self._why, self._load = AppPhase.STARTING, "", Load()
        self._told: Sequence[ReplicaRecord] = ()
        log.hear(lambda line: self.changed())

    @property
    def records(self) -> list[ReplicaRecord]:
        """What there is to show of its replicas."""
        raise NotImplementedError

    @property
    def phase(self) -> AppPhase:
        """Where it stands."""
        return self._phase

    @phase.setter
    def phase(self, phase: AppPhase) -> None:
        if phase is not self._phase:
            self._phase = phase
            self.changed()

    @property
    def why(self) -> str:
        """Why it failed; empty where it did not."""
        return self._why

    @why.setter
    def why(self, why: str) -> None:
        if why != self._why:
            self._why = why
            self.changed()

    @property
    def load(self) -> Load:
        """What it has to do."""
        return self._load

    @load.setter
    def load(self, load: Load) -> None:
        self._load = load
        self.history.add(time.monotonic(), load)
        self.changed()

    def say(self, text: str) -> None:
        """Put a line of the service's own into the log."""
        self.log.write("service", text)

    def changed(self) -> None:
        """Tell that something has changed."""
        self.observers.tell(None)

    def compare(self) -> None:
        """Tell, should its replicas stand otherwise than when that was last told here."""
        records = self.records
        if records != self._told:
            self._told = records
            self.changed()
