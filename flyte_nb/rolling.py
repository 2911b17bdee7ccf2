"""Rolling: when a cell changes what a served app is made of, its replicas are replaced by new ones."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from flyte_nb.engine.local.apps.service import Service
from flyte_nb.engine.local.apps.serving import Apps
from flyte_nb.engine.local.apps.spec import AppPhase, Spec
from flyte_nb.errors import BaseRuntimeError, FlyteError
from flyte_nb.portal import Portal
from flyte_nb.views import Text

__all__ = ["Rolling", "line_on_stderr"]

SOON = 10.0  # seconds that a cell waits for a new version; after that it goes on beside the next cells
Change = Callable[[Text], None]


def line_on_stderr(line: Text) -> Change:
    """Show a line, and give what shows further ones."""
    print(line.text(), file=sys.stderr)
    return lambda changed: print(changed.text(), file=sys.stderr)


def otherwise(service: Service) -> str:
    """Word which version serves meanwhile; empty for an app that was given up."""
    return "" if service.phase is AppPhase.FAILED else f", version {service.spec.version} goes on"


class Rolling:
    """Looks after each cell whether a served app is made of something else now.

    Parameters
    ----------
    portal : Portal
        The engine's loop.
    apps : Apps
        The apps of the engine.
    show : callable
        Shows a line where the cell's output goes, and gives what changes it.
    """

    def __init__(self, portal: Portal, apps: Apps, show: Callable[[Text], Change]) -> None:
        self._portal, self._apps, self._show = portal, apps, show
        #: by the app's name, what says what it asks for now; None where it is not declared any more
        self._asked: dict[str, Callable[[], Spec | None]] = {}
        #: by the app's name, why it cannot be served as it is declared now: said once, not after each cell
        self._refused: dict[str, str] = {}

    def follow(self, name: str, spec: Callable[[], Spec | None]) -> None:
        """Look after an app from now on."""
        self._asked[name] = spec

    def look(self) -> None:
        """Replace the apps that have changed; what becomes of that is shown as soon as it is known."""
        jobs = []
        for name, spec in list(self._asked.items()):
            service = self._apps.services.get(name)
            if service is None:
                self._asked.pop(name)
                self._refused.pop(name, None)
                continue
            try:
                now = spec()
            except FlyteError as error:
                self._refuse(name, service, str(error))
                continue
            refused = self._refused.pop(name, None)
            if now is not None and now != service.newest:
                jobs.append(self._replace(now, otherwise(service)))
            elif now is not None and refused:
                self._show(Text(f"app {name}: it is declared again as it was{otherwise(service)}"))
        wait(jobs, SOON)  # most are there by then, and the next cell asks the new versions

    def _refuse(self, name: str, service: Service, why: str) -> None:
        if self._refused.get(name) != why:
            self._refused[name] = why
            told = f"app {name}: what is declared now cannot be served{otherwise(service)}. {why}"
            self._show(Text(told))

    def _replace(self, spec: Spec, goes_on: str) -> Future[Any]:
        change, began = self._show(Text(f"app {spec.name}: a new version starts …")), time.monotonic()
        job = self._portal.submit(self._apps.serve(spec))

        def tell(done: Future[Any]) -> None:
            error = done.exception()
            if error is None:
                told = f"app {spec.name}: version {spec.version} serves, after {time.monotonic() - began:.1f} s"
            else:
                trace = f"{error.remote_traceback}\n" if isinstance(error, BaseRuntimeError) else ""
                why = str(error).removeprefix(f"app {spec.name!r} did not start: ")
                told = f"app {spec.name}: the new version did not start{goes_on}\n{trace}{why}"
            change(Text(told))

        job.done.add_done_callback(tell)
        return job.done
