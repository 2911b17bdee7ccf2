"""Planning: ``flyte.plan`` gathers what would happen, from the notebook, the store and this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from flyte_nb.engine.definition import refuse_while_loading
from flyte_nb.engine.store import Store
from flyte_nb.environments.base import Environment
from flyte_nb.errors import DeploymentError, UsageTypeError
from flyte_nb.pairs import Pair
from flyte_nb.plan.bundle import Bundle, rows_of
from flyte_nb.plan.graph import Graph
from flyte_nb.plan.preview import Plan, planned
from flyte_nb.plan.weight import LIMIT, weight
from flyte_nb.session import Session, current_session
from flyte_nb.views import told_size

__all__ = ["plan", "plan_with_bundle"]


def _plan(*envs: Environment, version: str | None = None) -> Plan:
    """Say what deploying would do, before anything is done.

    Nothing is changed by it: not what is declared, not the store, no file. As long as nothing else changes, the plan
    is the same again, and so is its digest.

    Parameters
    ----------
    *envs : Environment
        What would be deployed, with all that they depend on; by default every environment that is declared. What is
        deployed and is neither of them stays as it is, and is left out.
    version : str, optional
        A name for the version; from the content by default.

    Returns
    -------
    Plan
        ``order``, ``changes``, ``files``, ``notices`` and more; ``to_json()`` for a script.

    Raises
    ------
    DeploymentError
        For a cycle, a dependency that was withdrawn, a file that is included and not there, or nothing to plan.
    SliceError
        When something a task reads cannot leave the kernel.
    """
    refuse_while_loading("plan")
    for env in envs:
        if not isinstance(env, Environment):
            raise UsageTypeError(f"flyte.plan: given {env!r:.80}; accepted: environments")
    session = current_session()
    with session.workbook.quiet():  # the plan shows what there is to notice
        return plan_with_bundle(session, envs, version)[0]


def plan_with_bundle(session: Session, envs: Iterable[Environment], version: str | None) -> tuple[Plan, Bundle]:
    """Make a plan, and give the very bundle that it is of.

    Raises
    ------
    DeploymentError, SliceError
        As ``flyte.plan``.
    """
    asked = list(envs)
    chosen = asked or list(session.registry.values())
    if not chosen:
        raise DeploymentError("nothing to plan: no environment is declared here")
    graph = session.shipping.graph(chosen)
    bundle = session.shipping.bundle_of(graph.order, version)
    made = _of(session, graph, bundle)
    return replace(made, asked=tuple(env.name for env in asked), is_named=version is not None), bundle


def _of(session: Session, graph: Graph, bundle: Bundle) -> Plan:
    from flyte_nb.engine.local.foreseen import foresee

    found = foresee(graph.order, session.secrets)
    targets, refused = _targets(session.store, bundle)
    notices = [
        *refused,
        *_too_heavy(bundle),
        *_stale(session, graph),
        *found.notices,
        *bundle.module.notices,
    ]
    known = _known(session.store, bundle)
    return planned(bundle, targets, known, graph.waves, found.images, found.secrets, notices)


def _targets(store: Store, bundle: Bundle) -> tuple[dict[str, tuple[str, bool]], list[str]]:
    """Say which version each environment would have and whether it has it, and what would refuse that."""
    try:
        made = store.targets(bundle.environments, bundle.version, bundle.folder, bundle.named)
    except DeploymentError as error:
        made = store.targets(bundle.environments, bundle.content[:12], bundle.folder, named=False)
        told = {one.environment: (one.version if one.unchanged else bundle.version, one.unchanged) for one in made}
        return told, [f"deploying would be refused: {error}"]
    return {one.environment: (one.version, one.unchanged) for one in made}, []


def _known(store: Store, bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Give the rows of what is deployed; where it has changed, with what its bundle's manifest tells of it."""
    current = store.current_rows()
    found: dict[str, dict[str, Any]] = {}
    manifests: dict[str, dict[str, dict[str, Any]]] = {}
    for row in bundle.environments:
        name = row["environment"]
        if name not in current:
            continue
        before = found[name] = current[name]
        if before.get("digest") != row["digest"]:
            home = before["bundle"]
            if home not in manifests:
                manifests[home] = rows_of(store.bundles / home)
            told = manifests[home].get(name, {})
            found[name] = {**{key: told[key] for key in ("reads", "files") if key in told}, **before}
    return found


def _stale(session: Session, graph: Graph) -> Iterable[str]:
    """Say where an environment holds an earlier declaration of one that it depends on."""
    for env in graph.order:
        for needed in env.depends_on:
            newest = session.registry.newest(needed)
            if newest is not needed and newest.place != needed.place:  # a draft stays at its place
                yield f"{env.name} holds an earlier declaration of {needed.name}; the newest counts ({newest.place})"


def _too_heavy(bundle: Bundle) -> Iterable[str]:
    total = weight(bundle)
    if total > LIMIT:
        yield f"the bundle has {told_size(total)}, more than {told_size(LIMIT)}: it has to be allowed to deploy it"


plan = Pair(_plan)
