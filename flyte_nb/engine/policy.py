"""Policy: what the settings of a task ask of an engine, for any process to read."""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from flyte_nb import pickling
from flyte_nb.environments.cache import Cache, VersionParameters
from flyte_nb.environments.container_task import ContainerTask
from flyte_nb.environments.declaration import Declaration
from flyte_nb.environments.durations import duration
from flyte_nb.environments.forms import from_dict
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.image import Image
from flyte_nb.environments.policies import RetryStrategy, ReusePolicy, Timeout, timeout_from_request
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.secrets import Secret, secrets_from_request
from flyte_nb.environments.template import TaskTemplate

__all__ = ["Caching", "Policy", "configured", "policy_of", "seconds"]


@dataclass(frozen=True)
class Caching:
    """How the outputs of a task are kept.

    Parameters
    ----------
    behavior : {"auto", "override", "disable"}
        Whether kept outputs are used and new ones kept.
    version : str
        What the declaration says its version is; empty when the code that the task reads is its version.
    ignored : tuple of str
        Inputs that do not count.
    serialize : bool
        Whether one of several equal executions computes and the others wait for it.
    max_age : float, optional
        Seconds that a kept output stays valid.
    """

    behavior: str = "disable"
    version: str = ""
    ignored: tuple[str, ...] = ()
    serialize: bool = False
    max_age: float | None = None


@dataclass(frozen=True)
class Policy:
    """What a task's settings ask of an engine.

    Parameters
    ----------
    environment : str
        The name of its environment.
    is_async : bool
        Whether its function is a coroutine function.
    connector : bool
        Whether a connector does its work.
    container : bool
        Whether it is a command in a container of its image.
    resources : Resources, optional
        What it takes of the machine: as declared, with what a plugin's engine takes.
    reusable, image
        As declared.
    retries : RetryStrategy
        How often a failed attempt is tried again.
    timeout : Timeout
        How long an attempt may run and wait, and all of them together.
    secrets : tuple of Secret
        What it is given.
    caching : Caching
        How its outputs are kept.
    plugin : str
        The configuration of its plugin where an override gave it, pickled, as text; its module does not say it then.
    processes : int
        How many processes and threads its plugin's engine may have, beside those of every task.
    """

    environment: str = ""
    is_async: bool = False
    connector: bool = False
    container: bool = False
    resources: Resources | None = None
    reusable: ReusePolicy | None = None
    image: Image | None = field(default=None, repr=False)
    retries: RetryStrategy | None = None
    timeout: Timeout | None = None
    secrets: tuple[Secret, ...] = ()
    caching: Caching = Caching()
    plugin: str = field(default="", repr=False)
    processes: int = 0

    def to_json(self) -> str:
        """Give it as JSON, without what is at its default; empty when nothing is asked."""
        told = {f.name: _plain(getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default}
        return json.dumps(told) if told else ""

    @staticmethod
    def from_json(text: str) -> Policy:
        """Read what `to_json` gave."""
        return _read(text) if text else _NOTHING


def _plain(value: Any) -> Any:
    if isinstance(value, Declaration):
        return value.to_dict()
    if isinstance(value, Caching):
        return vars(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


_NOTHING = Policy()


@functools.lru_cache(maxsize=1024)
def _read(text: str) -> Policy:
    told = json.loads(text)
    for name in ("resources", "reusable", "image", "retries", "timeout"):
        if name in told:
            told[name] = from_dict(told[name])
    told["secrets"] = tuple(from_dict(secret) for secret in told.get("secrets", ()))
    caching = told.get("caching", {})
    told["caching"] = Caching(**{**caching, "ignored": tuple(caching.get("ignored", ()))})
    return Policy(**told)


def policy_of(task: TaskTemplate) -> Policy:
    """Give the policy of a task as its settings are now."""
    limits = timeout_from_request(task.timeout) if task.timeout else None
    connector = bool(getattr(task, "is_connected", False))
    container = isinstance(task, ContainerTask)
    function = task if isinstance(task, AsyncFunctionTaskTemplate) else None
    return Policy(
        environment=task.parent_env_name or "",
        is_async=bool(getattr(task, "is_async", False)) or connector,
        connector=connector,
        container=container,
        resources=task.resources if function is None else function.local_resources(),
        reusable=task.reusable,
        image=task.image if task.image is not None and not container and task.image != _auto() else None,
        retries=task.retries if task.retries.count else None,
        timeout=limits if limits is not None and any(map(seconds, _limits(limits))) else None,
        secrets=tuple(secrets_from_request(task.secrets)),
        caching=_caching(task),
        processes=0 if function is None else function.local_processes(),
        plugin=_plugin(task) if "plugin_config" in task.override_settings else "",
    )


def _plugin(task: TaskTemplate) -> str:
    return base64.b64encode(pickling.steady_dumps(getattr(task, "plugin_config", None))[0]).decode()


def configured(task: TaskTemplate, plugin: str) -> TaskTemplate:
    """Give a task with the configuration of its plugin that a policy says; as it is where it says none."""
    return task.override(plugin_config=pickling.loads(base64.b64decode(plugin))) if plugin else task


@functools.cache
def _auto() -> Image:
    return Image.from_debian_base()


def _limits(timeout: Timeout) -> tuple[Any, ...]:
    return timeout.max_runtime, timeout.max_queued_time, timeout.deadline


def seconds(limit: int | timedelta | None) -> float | None:
    """Give a limit in seconds; None where there is none."""
    if not limit:
        return None
    return duration(limit).total_seconds()


def _caching(task: TaskTemplate) -> Caching:
    cache = task.cache
    if not cache.is_enabled():
        return Caching()
    age = cache.max_age
    return Caching(
        cache.behavior,
        _version(cache, task),
        cache.get_ignored_inputs(),
        cache.serialize,
        duration(age).total_seconds() if age is not None else None,
    )


def _version(cache: Cache, task: TaskTemplate) -> str:
    """Give the version that a declaration states itself; the default policy leaves it to the code the task reads."""
    if cache.version_override is None and cache.policies == Cache(cache.behavior).policies:
        return f"salt {cache.salt}" if cache.salt else ""
    return f"version {cache.get_version(VersionParameters(getattr(task, 'func', None), task.image))}"
