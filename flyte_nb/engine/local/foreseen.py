"""Foreseen: what environments will find on this machine — images, secrets, resources — before their tasks run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flyte_nb.changes import tasks_of
from flyte_nb.engine.local.demand import demand_of
from flyte_nb.engine.local.images.environment import is_built
from flyte_nb.engine.local.images.needs import needs_environment, safe, unmet
from flyte_nb.engine.local.machine import Machine
from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.environments.base import Environment
from flyte_nb.environments.container_task import ContainerTask
from flyte_nb.environments.declaration import same
from flyte_nb.environments.image import Image
from flyte_nb.environments.secrets import Secret, secrets_from_request
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import FlyteError, UsageError
from flyte_nb.plan.preview import PlannedImage, PlannedSecret
from flyte_nb.views import bullet

__all__ = ["Foreseen", "foresee"]

_HERE = "the Python of this notebook"


@dataclass(frozen=True)
class Foreseen:
    """What will be found.

    Parameters
    ----------
    images : list of PlannedImage
        What tasks would run in.
    secrets : list of PlannedSecret
        Where each secret would come from.
    notices : list of str
        What will not be as it was asked for.
    """

    images: list[PlannedImage]
    secrets: list[PlannedSecret]
    notices: list[str]


def foresee(environments: Iterable[Environment], source: Secrets) -> Foreseen:
    """Say what environments will find here; nothing is built, and no value of a secret is kept.

    Parameters
    ----------
    environments : iterable of Environment
        As declared.
    source : Secrets
        Where secrets come from.
    """
    asked = _Asked(environments)
    images = [_image(image, users) for image, users in asked.images]
    secrets, unread = _secrets(source, asked)
    missing = [one for one in secrets if not one.source]
    notices = [
        *_clamped(asked),
        *_without_engine(asked),
        *(f"{image.image}: {what}" for image in images for what in image.missing),
        *(f"the secret {one.key!r} is nowhere: {_names(one.used_by)} cannot run here" for one in missing),
        *unread,
    ]
    return Foreseen(images, secrets, notices)


class _Asked:
    """What environments and their tasks ask for, each thing once, with who asks for it."""

    def __init__(self, environments: Iterable[Environment]) -> None:
        self.resources, self.images, self.secrets = _Things(_json), _Things(_json), _Things(_secret)
        self.containers: list[str] = []
        for env in environments:
            for one in (*tasks_of(env).values(),) or (env,):
                self._take(env.name, one)

    def _take(self, user: str, one: TaskTemplate | Environment) -> None:
        if one.resources is not None:
            self.resources.note(one.resources, user)
        if isinstance(one, ContainerTask):
            self.containers.append(user)
        else:
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


def _without_engine(asked: _Asked) -> Iterable[str]:
    """Say where commands in containers cannot run here."""
    if not asked.containers:
        return
    from flyte_nb.containers.engine import why_none  # most tasks have no container

    if why := why_none():
        yield f"{_names(dict.fromkeys(asked.containers))}: {why}: its commands cannot run on this machine"


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


def _secrets(source: Secrets, asked: _Asked) -> tuple[list[PlannedSecret], list[str]]:
    """Say where each secret would come from, and why that cannot be told."""
    wanted = asked.secrets.found
    try:
        found = source.status([secret for secret, _ in wanted.values()])
    except UsageError as error:
        return [], [str(error)]
    sources = {(key, group or "", variable or ""): source or "" for key, group, variable, source in found}
    return [
        PlannedSecret(key, group, variable, tuple(users), sources.get((key, group, variable), ""))
        for (key, group, variable), (_, users) in wanted.items()
    ], []
