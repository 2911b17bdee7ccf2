"""HistoryPanel: the versions of environments, and the button that makes one of them current again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from flyte_nb.engine.base import Deployments, History
from flyte_nb.errors import UnknownNameError
from flyte_nb.views import Text
from flyte_nb.widgets import controls
from flyte_nb.widgets.deployments import history
from flyte_nb.widgets.interactive import Interactive
from flyte_nb.widgets.runs import deployments

__all__ = ["HistoryPanel"]


_BEFORE = ", the one before"


class HistoryPanel:
    """A part of a view that folds: history and going back.

    Parameters
    ----------
    view : Interactive
        Where it says what became of it.
    names : sequence of str
        The environments.
    versions : callable
        Gives the versions of one.
    back : callable
        Makes a version of one current again, beside the cells.
    own : callable
        Calls something in the kernel's own thread.
    """

    def __init__(
        self,
        view: Interactive,
        names: Sequence[str],
        versions: Callable[[str], History],
        back: Callable[[str, str, Callable[[Future[Deployments]], None]], object],
        own: Callable[[Callable[[], object]], None],
    ) -> None:
        self._view, self.names, self._versions, self._back, self._own = view, names, versions, back, own
        self._choice: Any = None
        #: the button that opens it, and what it opens
        self.fold = controls.Fold("History", self._make)

    def _make(self) -> Any:
        handler = self._view.handler
        self._choice = controls.dropdown("environment", self.names, self.names[0], tooltip="Whose versions are shown")
        self._version = controls.dropdown(
            "version", [""], "", tooltip="The version that becomes current again", width="28em"
        )
        self._button = controls.button("Go back", handler(self.go_back),
                                       tooltip="Make it current: flyte.rollback(env, version=…)")  # fmt: skip
        self._table = controls.html()
        self._choice.observe(lambda _: handler(self.refresh)(), "value")
        self.refresh()
        return controls.stack(controls.row(self._choice, self._version, self._button), self._table)

    def refresh(self) -> None:
        """Show the versions there are now."""
        if self._choice is None:
            return
        if list(self._choice.options) != [(name, name) for name in self.names] and self.names:
            self._choice.options = [(name, name) for name in self.names]
        try:
            found = self._versions(self._choice.value)
        except UnknownNameError:
            found = History()
        shown = history(found) if found else Text(f"{self._choice.value} is not deployed yet")
        self._table.value = shown.html()
        former = [one for one in found if not one.current]
        newest = max(former, key=lambda one: one.until or one.created, default=None)
        self._version.options = [
            (f"{one.version}{', the one before' if one is newest else ''}", one.version) for one in former
        ]
        self._version.value = newest.version if newest is not None else None
        self._button.disabled = newest is None

    def go_back(self) -> None:
        """Make the chosen version current again."""
        name, version = self._choice.value, self._version.value
        if version is None:
            return
        self._button.disabled = True
        self._view.say(f"going back to {version} of {name} …")
        self._back(name, version, lambda done: self._ended(done, name))

    def _ended(self, done: Future[Deployments], name: str) -> None:
        error = done.exception()
        if error is not None:
            self._view.say(str(error), "error")
        else:
            self._view.say(deployments(done.result()).text().removeprefix("+ "), "done")
        with contextlib.suppress(Exception):  # the front end may be gone
            self.refresh()
