"""Panels of plans: a plan as what one reads and deploys, in a front end with widgets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from flyte_nb.deploying import bring_back, deployments
from flyte_nb.engine.base import Deployments
from flyte_nb.plan.preview import Plan
from flyte_nb.prepared import Prepared, prepare
from flyte_nb.session import Session
from flyte_nb.widgets.plan_panel import PlanActions, PlanPanel

__all__ = ["observing", "plan_panel"]


def plan_panel(session: Session, plan: Plan) -> PlanPanel:
    """Give the panel of a plan.

    Parameters
    ----------
    session : Session
        What deploys it.
    plan : Plan
        What is shown, and deployed where it still holds.
    """

    def again() -> Prepared:
        with session.workbook.quiet():
            return prepare(session, plan.asked, plan.version if plan.is_named else None)

    return PlanPanel(plan, PlanActions(again, deployments, partial(_back, session), partial(observing, session)))


def _back(session: Session, name: str, version: str, ended: Callable[[Future[Deployments]], None]) -> None:
    """Make a version of an environment current again, in a thread: the store may have to be waited for."""

    async def go() -> Deployments:
        made = await asyncio.to_thread(bring_back, session.store, {name: version})
        session.tell_deployment()
        return made

    session.portal.submit(go()).done.add_done_callback(ended)


def observing(
    session: Session, after_cell: Callable[[], object], after_deployment: Callable[[], object]
) -> Callable[[], None]:
    """Have something called after each cell, and after each deployment; give what ends that."""

    def heard() -> None:
        after_cell()

    def deployed() -> None:
        after_deployment()

    session.after_cell.append(heard)
    session.after_deployment.append(deployed)

    def end() -> None:
        with contextlib.suppress(ValueError):
            session.after_cell.remove(heard)
            session.after_deployment.remove(deployed)

    return end
