"""Planning: ``flyte.plan`` gathers what would happen, from the notebook, the store and this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flyte_nb.changes import tasks_of
from flyte_nb.engine.local.demand import demand_of
from flyte_nb.engine.local.images import is_built, needs_environment, unmet
from flyte_nb.engine.local.images.needs import safe
from flyte_nb.engine.local.machine import Machine
from flyte_nb.engine.store import Store
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import same
from flyte_nb.environments.image import Image
from flyte_nb.environments.secrets import Secret, secrets_from_request
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DeploymentError, FlyteError, UsageError, UsageTypeError
from flyte_nb.pairs import Pair
from flyte_nb.plan.bundle import Bundle, rows_of
from flyte_nb.plan.graph import Graph
from flyte_nb.plan.preview import Plan, PlannedImage, PlannedSecret, planned
from flyte_nb.plan.weight import LIMIT, weight
from flyte_nb.session import Session, current_session
from flyte_nb.views import bullet, told_size

__all__ = ["plan"]

_HERE = "the Python of this notebook"


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
    for env in envs:
        if not isinstance(env, Environment):
            raise UsageTypeError(f"flyte.plan: given {env!r:.80}; accepted: environments")
    session = current_session()
    chosen = list(envs) or list(session.registry.values())
    if not chosen:
        raise DeploymentError("nothing to plan: no environment is declared here")
    return _of(session, session.shipping.graph(chosen), version)


def _of(session: Session, graph: Graph, version: str | None) -> Plan:
    bundle = session.shipping.bundle_of(graph.order, version)
    asked = _Asked(graph.order)
    secrets, unread = _secrets(session, asked)
    targets, refused = _targets(session.store, bundle)
    images = [_image(image, users) for image, users in asked.images]
    notices = [
        *refused,
        *_too_heavy(bundle),
        *_stale(session, graph),
        *_clamped(asked),
        *(f"{image.image}: {what}" for image in images for what in image.missing),
        *(
            f"the secret {one.key!r} is nowhere: {_names(one.used_by)} cannot run here"
            for one in secrets
            if not one.source
        ),
        *unread,
        *bundle.module.notices,
    ]
    return planned(bundle, targets, _known(session.store, bundle), graph.waves, images, secrets, notices)


# --- the store ---


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


# --- what is asked of this machine ---


class _Asked:
    """What environments and their tasks ask for, each thing once, with who asks for it."""

    def __init__(self, environments: Iterable[Environment]) -> None:
        self.resources, self.images, self.secrets = _Things(_json), _Things(_json), _Things(_secret)
        for env in environments:
            for one in (*tasks_of(env).values(),) or (env,):
                self._take(env.name, one)

    def _take(self, user: str, one: TaskTemplate | Environment) -> None:
        if one.resources is not None:
            self.resources.note(one.resources, user)
        self.images.note(one.image if one.image is not None else "auto", user)
        for secret in secrets_from_request(one.secrets) if one.secrets else ():
            self.secrets.note(secret, user)


class _Things:
    """Things by what they are, with who asks for each."""

    def __init__(self, key: Callable[[Any], Any]) -> None:
        self._key = key
        self._last: tuple[Any, list[str]] | None = None
        self.found: dict[Any, tuple[Any, list[str]]] = {}

    def note(self, value: Any, user: str) -> None:
        if self._last is None or not same(self._last[0], value):  # most ask for what the one before asked for
            self._last = self.found.setdefault(self._key(value), (value, []))
        users = self._last[1]
        if not users or users[-1] != user:
            users.append(user)

    def __iter__(self) -> Iterator[tuple[Any, list[str]]]:
        return iter(self.found.values())


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value.to_dict(), sort_keys=True)


def _secret(secret: Secret) -> tuple[str, str, str]:
    return secret.key, secret.group or "", secret.as_env_var or ""


def _names(users: Iterable[str]) -> str:
    return ", ".join(bullet(users, 4))


def _clamped(asked: _Asked) -> Iterable[str]:
    """Say what of the resources this machine does not have, and what of them it does not enforce."""
    machine = Machine.here() if asked.resources.found else Machine(0, 0)
    for resources, users in asked.resources:
        try:
            notices = demand_of(machine, resources).notices
        except FlyteError as error:
            notices = (f"{error}: a run here would be refused",)
        yield from (f"{_names(users)}: {notice}" for notice in notices)


def _image(image: Image | str, users: list[str]) -> PlannedImage:
    return PlannedImage(_uri(image), tuple(users), _state(image), unmet(image))


def _uri(image: Image | str) -> str:
    if isinstance(image, str):
        return safe(image)
    try:
        return safe(image.uri)
    except (FlyteError, OSError):
        return safe(image.name or image.base_image or "an image without a name")


def _state(image: Image | str) -> str:
    if not isinstance(image, Image) or not needs_environment(image):
        return _HERE
    try:
        return "built" if is_built(image) else "not built yet: it is made at the first run"
    except (FlyteError, OSError) as error:
        return f"cannot be built here: {error}"


def _secrets(session: Session, asked: _Asked) -> tuple[list[PlannedSecret], list[str]]:
    """Say where each secret would come from, and why that cannot be told."""
    wanted = asked.secrets.found
    try:
        found = session.secrets.status([secret for secret, _ in wanted.values()])
    except UsageError as error:
        return [], [str(error)]
    sources = {(key, group or "", variable or ""): source or "" for key, group, variable, source in found}
    return [
        PlannedSecret(key, group, variable, tuple(users), sources.get((key, group, variable), ""))
        for (key, group, variable), (_, users) in wanted.items()
    ], []


# --- what else to know ---


def _stale(session: Session, graph: Graph) -> Iterable[str]:
    """Say where an environment holds an earlier declaration of one that it depends on."""
    for env in graph.order:
        for needed in env.depends_on:
            if session.registry.newest(needed) is not needed:
                newest = session.registry.newest(needed)
                yield f"{env.name} holds an earlier declaration of {needed.name}; the newest counts ({newest.place})"


def _too_heavy(bundle: Bundle) -> Iterable[str]:
    total = weight(bundle)
    if total > LIMIT:
        yield f"the bundle has {told_size(total)}, more than {told_size(LIMIT)}: it has to be allowed to deploy it"


plan = Pair(_plan)
