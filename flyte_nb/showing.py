"""What is seen of the session: environments with their state, and what a cell changed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

from flyte_nb.changes import Changes
from flyte_nb.deployed_tasks import Deployed
from flyte_nb.engine.base import Deployments, History, Run
from flyte_nb.engine.store import Pruned
from flyte_nb.environments.base import Environment
from flyte_nb.errors import FlyteError
from flyte_nb.notebook.shell import Running
from flyte_nb.notebook.staleness import Stale
from flyte_nb.plan.preview import Plan
from flyte_nb.planning import plan
from flyte_nb.registry import Registry
from flyte_nb.session import Session
from flyte_nb.views import View
from flyte_nb.watching import view_of
from flyte_nb.widgets import deployments as deployment_views
from flyte_nb.widgets import environments as cards
from flyte_nb.widgets import plan as plan_views
from flyte_nb.widgets import runs as run_views
from flyte_nb.widgets.graph import graph, states
from flyte_nb.widgets.interactive import has_widgets

__all__ = ["card", "deployed_card", "drawn", "outdated", "phases", "show_as_cards", "show_changes", "state"]


def show_changes(changes: Changes, running: Running) -> None:
    """Show what a cell changed: all of it under ``%%flyte``, only what needs notice under a plain cell."""
    from IPython.display import display

    if running.asks and (changes or changes.same):
        display(cards.changes(changes))
    elif changes.notices:
        display(cards.changes(Changes(notices=changes.notices), cards=False))


def state(session: Session, env: Environment) -> list[str]:
    """Say what is known of an environment beyond its declaration: deployed, served, and what is out of date."""
    stale = outdated(session, env)
    more = f" and {len(stale) - 2} more" if len(stale) > 2 else ""
    told = [f"out of date: {'; '.join(stale[:2])}{more}"] if stale else []
    return [*_stands(session, env), *told]


def _stands(session: Session, env: Environment) -> list[str]:
    version, phase = session.store.current().get(env.name), phases(session).get(env.name)
    served = [] if phase is None else ["serving" if phase == "active" else f"app {phase}"]
    return [*([f"deployed at {version}"] if version else []), *served]


def phases(session: Session) -> dict[str, str]:
    """Give where each app stands that is served here, or has failed, by name; those that others need, too."""
    if "flyte_nb.app_specs" not in sys.modules:  # what serves apps is loaded with the first one
        return {}
    from flyte_nb.app_specs import apps_of

    return {name: service.phase.value for name, service in list(apps_of(session).services.items())}


def outdated(session: Session, env: Environment) -> list[str]:
    """Say what makes an environment's runs or its deployment out of date; a view never fails for it."""
    try:
        stale = session.shipping.outdated(env)
    except FlyteError as error:
        return [str(error)]
    since: dict[Stale, list[str]] = {}
    for one in stale:
        since.setdefault(dataclasses.replace(one, since=""), []).append(one.since)
    return [str(dataclasses.replace(one, since=" and ".join(told))) for one, told in since.items()]


def card(session: Session, env: Environment) -> View:
    """Show an environment as a card, with its state."""
    return cards.environment(env, _stands(session, env), outdated(session, env))


def drawn(session: Session, name: str | None = None) -> View:
    """Draw what depends on what: of everything, or of one environment, what it needs and what needs it.

    Raises
    ------
    UnknownNameError
        When no environment has the name.
    DeploymentError
        For a cycle, or a dependency that was withdrawn.
    """
    alive = list(session.registry.values())
    chosen = alive if name is None else [session.registry.find(name), *_dependents(name, alive)]
    made = session.shipping.graph(chosen)
    try:
        told, notices = states(plan(*chosen)) if chosen else {}, []
    except FlyteError as error:  # a picture does not fail because something cannot be deployed
        told, notices = {}, [f"how they stand cannot be told: {error}"]
    return graph(made, told, notices)


def _dependents(name: str, alive: list[Environment]) -> list[Environment]:
    """Give the environments that depend on one, at once or by way of others."""
    needed_by: dict[str, list[Environment]] = {}
    for env in alive:
        for needed in env.depends_on:
            needed_by.setdefault(needed.name, []).append(env)
    found, waiting = dict[str, Environment](), [name]
    while waiting:
        for env in needed_by.get(waiting.pop(), ()):
            if env.name not in found and env.name != name:
                found[env.name] = env
                waiting.append(env.name)
    return list(found.values())


def show_as_cards(shell: Any, session: Session) -> None:
    """Let environments, runs and deployments appear as cards where a cell ends with one."""
    views: dict[type, Callable[[Any], View]] = {
        Environment: lambda env: card(session, env),
        Run: run_views.run,
        Deployments: run_views.deployments,
        Plan: plan_views.plan,
        History: deployment_views.history,
        Pruned: deployment_views.pruned,
        Deployed: deployed_card,
        Registry: lambda registry: cards.environments(registry, {e.name: state(session, e) for e in registry.values()}),
    }
    formatter = shell.display_formatter
    formatter.ipython_display_formatter.for_type(Run, lambda run: _show_while_it_runs(session, run))
    for kind, view in views.items():  # as bundles: a printer of text would give way to the __repr__ of a subclass
        formatter.mimebundle_formatter.for_type(kind, lambda value, view=view: view(value)._repr_mimebundle_())
    text = formatter.formatters["text/plain"]  # it knows lists, and so does not ask for the bundle of one
    for kind in (Deployments, History):
        text.for_type(kind, lambda value, p, cycle, view=views[kind]: p.text(view(value).text()))


def _show_while_it_runs(session: Session, run: Run) -> None:
    """Show a run that has not ended as a view that follows it.

    Raises
    ------
    NotImplementedError
        For one that has, and where there is no front end: IPython shows those in the other ways that it knows.
    """
    if run.done() or not has_widgets():
        raise NotImplementedError
    view_of(session, run)._ipython_display_()


def deployed_card(task: Deployed) -> View:
    """Show a deployed task as a card: what it takes and gives."""
    version = f"{task.version} at {task.place}" if task.place else task.version
    return deployment_views.task_card(task.name, version, task.description, task.inputs, task.returns)
