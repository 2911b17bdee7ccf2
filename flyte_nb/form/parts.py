"""Parts: settings whose parts are not simply attributes: cache, port, scaling, and what warm processes are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.cache import Cache, FunctionBodyPolicy
from flyte_nb.environments.declaration import set_fields
from flyte_nb.environments.editing import default_of
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.ports import Port, as_port
from flyte_nb.environments.scaling import Scaling
from flyte_nb.notebook.rewriting import RESET

__all__ = [
    "METRICS",
    "cache_behavior",
    "cache_part",
    "is_reused",
    "metric",
    "metric_target",
    "port_part",
    "with_cache_behavior",
    "with_cache_part",
    "with_metric",
    "with_metric_target",
    "with_port_part",
    "with_reuse",
]

METRICS = {"requests at a time": Scaling.Concurrency, "requests per second": Scaling.RequestRate}


# --- cache: a word, or a Cache where there is more to say ---


def cache_behavior(env: Any) -> str | None:
    """Give whether outputs are kept."""
    return env.cache.behavior if isinstance(env.cache, Cache) else env.cache


def with_cache_behavior(env: Any, value: Any) -> Any:
    """Give the cache with another behavior."""
    if value is None:
        return RESET
    return _shortest(dataclasses.replace(env.cache, behavior=value)) if isinstance(env.cache, Cache) else value


def cache_part(part: str) -> Callable[[Environment], Any]:
    """Give what reads a part of the cache."""
    unset = default_of(Cache("disable"), part)

    def get(env: Any) -> Any:
        value = getattr(env.cache, part, unset)
        if part == "ignored_inputs":
            return (value,) if isinstance(value, str) else value
        return value if value != "" else None

    return get


def with_cache_part(part: str) -> Callable[[Environment, Any], Any]:
    """Give what changes a part of the cache."""

    def put(env: Any, value: Any) -> Any:
        cache = env.cache if isinstance(env.cache, Cache) else Cache(env.cache)
        given = default_of(cache, part) if value is None else value
        return _shortest(dataclasses.replace(cache, **{part: given}))

    return put


def _shortest(cache: Cache) -> Cache | str:
    """Give a word where it says all."""
    usual = cache.policies is None or cache.policies == [FunctionBodyPolicy()]
    more = {name for name, _ in set_fields(cache)} - {"behavior"} - ({"policies"} if usual else set())
    return cache if more else cache.behavior


# --- warm processes ---


def is_reused(env: Any) -> bool:
    """Tell whether processes are kept warm."""
    return env.reusable is not None


def with_reuse(env: Any, value: Any) -> Any:
    """Give the usual policy, or none."""
    return (env.reusable or ReusePolicy()) if value else None


# --- an app's port and scaling ---


def port_part(part: str) -> Callable[[Environment], Any]:
    """Give what reads a part of the port."""
    return lambda env: getattr(as_port(env.port), part)  # type: ignore[attr-defined]


def with_port_part(part: str) -> Callable[[Environment, Any], Any]:
    """Give what changes a part of the port."""

    def put(env: Any, value: Any) -> Any:
        port = as_port(env.port)
        if value is None and part == "port":
            value = as_port(default_of(env, "port")).port
        parts = {"port": port.port, "name": port.name, part: value}
        return Port(parts["port"], parts["name"])

    return put


def metric(env: Any) -> str | None:
    """Give what is measured to decide how many replicas run."""
    return next((name for name, kind in METRICS.items() if isinstance(env.scaling.metric, kind)), None)


def with_metric(env: Any, value: Any) -> Any:
    """Give the scaling with another thing measured."""
    target = metric_target(env) or 1
    return dataclasses.replace(env.scaling, metric=None if value is None else METRICS[value](target))


def metric_target(env: Any) -> int | None:
    """Give how many of what is measured a replica should have."""
    return getattr(env.scaling.metric, "val", None)


def with_metric_target(env: Any, value: Any) -> Any:
    """Give the scaling with another target; requests at a time are measured where nothing was."""
    kind = type(env.scaling.metric) if env.scaling.metric is not None else Scaling.Concurrency
    return dataclasses.replace(env.scaling, metric=None if value is None else kind(value))
