"""Rolling: when a cell changes what a served app is made of, its replicas are replaced by new ones."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

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

    def follow(self, name: str, spec: Callable[[], Spec | None]) -> None:
        """Look after an app from now on."""
        self._asked[name] = spec

    def look(self) -> None:
        """Replace the apps that have changed; what becomes of that is shown as soon as it is known."""
        for name, spec in list(self._asked.items()):
            service = self._apps.services.get(name)
            if service is None:
                del self._asked[name]
                continue
            try:
                now = spec()
            except FlyteError as error:
                self._show(Text(f"app {name}: what is declared now cannot be served: {error}"))
                continue
            if now is not None and now != service.newest:
                failed = service.phase is AppPhase.FAILED
                self._replace(now, "" if failed else f", {service.spec.version} goes on")

    def _replace(self, spec: Spec, otherwise: str) -> None:
        change, began = self._show(Text(f"app {spec.name}: a new version starts …")), time.monotonic()
        job = self._portal.submit(self._apps.serve(spec))

        def tell(done: Future[Any]) -> None:
            error = done.exception()
            if error is None:
                told = f"app {spec.name}: version {spec.version} serves, after {time.monotonic() - began:.1f} s"
            else:
                trace = f"\n{error.remote_traceback}" if isinstance(error, BaseRuntimeError) else ""
                told = f"app {spec.name}: the new version did not start{otherwise}. {error}{trace}"
            change(Text(told))

        job.done.add_done_callback(tell)
        wait([job.done], SOON)  # most are there by then, and the next cell asks the new version
