"""Browsing: ``flyte.browse`` — the environments that are declared here, to search, to look at and to act on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from flyte_nb.changes import Changes
from flyte_nb.clone_panels import clone_panel
from flyte_nb.environments.app import AppEnvironment
from flyte_nb.errors import UsageTypeError
from flyte_nb.plan_panels import observing, plan_panel
from flyte_nb.prepared import prepare
from flyte_nb.session import Session, current_session
from flyte_nb.showing import card, drawn, phases
from flyte_nb.standing import Standing
from flyte_nb.views import View
from flyte_nb.widgets.browser import Browser, BrowserActions, Ended
from flyte_nb.widgets.clone_panel import Asked
from flyte_nb.widgets.plan_panel import PlanPanel

__all__ = ["browse"]

_TOOLTIPS = {
    "Card": "Its settings, its tasks and its state: %flyte show NAME",
    "Graph": "What it depends on, and what depends on it: %flyte graph NAME",
    "Edit": "Edit its settings: flyte.edit(env)",
    "Clone": "See what a clone would be, and declare it: flyte.preview_clone(env, name)",
    "Plan": "See what deploying it would do: flyte.plan(env)",
    "Deploy now": "Deploy it now, with all that it depends on: flyte.deploy(env)",
}


def browse() -> Browser:
    """Show the environments that are declared here: a list to search, with how each stands and what can be done.

    It follows what cells change. Choosing a line shows the environment's card; the buttons draw its graph, edit, clone,
    plan, deploy and serve it.

    Returns
    -------
    Browser
        A view: a widget in a front end that has them, else a table.
    """
    session = current_session()
    views: dict[str, Callable[[str], View]] = {
        "Card": partial(_card, session),
        "Graph": partial(_graph, session),
        "Edit": partial(_edit, session),
        "Clone": partial(_clone, session),
        "Plan": partial(_plan, session),
        "Deploy now": partial(_deploy, session),
    }
    if _editor() is None:
        del views["Edit"]
    return Browser(
        BrowserActions(
            Standing(session, partial(phases, session)),
            views,
            partial(_serve, session),
            partial(_stop, session),
            partial(_observing, session),
            _TOOLTIPS,
        )
    )


def _editor() -> Callable[[Any], Any] | None:
    import flyte_nb

    return getattr(flyte_nb, "edit", None)


def _card(session: Session, name: str) -> View:
    with session.workbook.quiet():
        return card(session, session.registry.find(name))


def _graph(session: Session, name: str) -> View:
    with session.workbook.quiet():
        return drawn(session, name)


def _edit(session: Session, name: str) -> View:
    edit = _editor()
    assert edit is not None
    view: View = edit(session.registry.find(name))
    return view


def _clone(session: Session, name: str) -> View:
    taken = session.registry
    names = [f"{name}-copy", *(f"{name}-copy-{number}" for number in range(2, len(taken) + 3))]
    return clone_panel(session, taken.find(name), Asked(next(one for one in names if one not in taken)))


def _plan(session: Session, name: str) -> PlanPanel:
    with session.workbook.quiet():
        return plan_panel(session, prepare(session, [name], None).plan)


def _deploy(session: Session, name: str) -> View:
    panel = _plan(session, name)
    panel.starts = True
    return panel


_serving: set[asyncio.Task[Any]] = set()


# --- apps: what serves them is loaded with the first one ---


def _serve(session: Session, name: str, ended: Ended) -> None:
    """Serve an app beside the cells: what it needs is put together here, the rest goes on by itself."""
    from flyte_nb.serving import serve

    app = session.registry.find(name)
    if not isinstance(app, AppEnvironment):
        raise UsageTypeError(f"{name!r} is a {type(app).__name__}; accepted: an app")
    task = asyncio.get_running_loop().create_task(serve.aio(app))
    _serving.add(task)
    task.add_done_callback(_serving.discard)
    task.add_done_callback(partial(_tell, ended, lambda handle: f"{name} is served at {handle.record().url}"))


def _stop(session: Session, name: str, ended: Ended) -> None:
    from flyte_nb.app_specs import apps_of

    job = session.portal.submit(apps_of(session).stop(name))
    job.done.add_done_callback(partial(_tell, ended, lambda _: f"{name} is stopped"))


def _tell(ended: Ended, told: Callable[[Any], str], done: asyncio.Future[Any] | Future[Any]) -> None:
    if done.cancelled():
        ended(asyncio.CancelledError())
    else:
        ended(done.exception() or told(done.result()))


def _observing(
    session: Session, after_cell: Callable[[], object], elsewhere: Callable[[], object]
) -> Callable[[], None]:
    """Have something called after each cell, and when something else changes what is shown."""

    def changed(changes: Changes) -> None:
        elsewhere()

    ends = [observing(session, after_cell, elsewhere), session.registry.observe(changed)]

    def end() -> None:
        for one in ends:
            one()

    return end
