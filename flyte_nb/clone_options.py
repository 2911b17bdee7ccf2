"""The options of a clone, as they are typed on a line or into a panel, and the values that they make."""

from __future__ import annotations

import dataclasses
import functools
import shlex
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.commands import key_values
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import looks_secret
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.scaling import Scaling
from flyte_nb.errors import UsageError
from flyte_nb.registry import Registry

__all__ = ["field_of", "namespace", "overrides", "texts"]

_RESOURCES = ("cpu", "memory", "gpu", "disk")
_SINGLE = (*_RESOURCES, "image", "description", "cache", "replicas", "concurrency")
_AGAIN = {"env": "env_vars", "secret": "secrets", "include": "include", "depends_on": "depends_on"}


def overrides(
    options: Any, source: Environment, registry: Registry, base: Mapping[str, Any] | None = None
) -> dict[str, Callable[[], Any]]:
    """Give what makes the values of a clone's fields that options ask for, on top of what it has without them.

    Parameters
    ----------
    options : Namespace
        What is asked for.
    source : Environment
        What is cloned.
    registry : Registry
        Has the environments that it may depend on.
    base : mapping, optional
        Values that the clone is given in code.
    """
    given = dict(base or {})

    def inherited(field: str) -> Any:
        if given.get(field) is not None:
            return given[field]
        return None if field in options.reset else getattr(source, field, None)

    found: dict[str, Callable[[], Any]] = {}
    resources = {name: _amount(name, text) for name in _RESOURCES if (text := getattr(options, name)) is not None}
    if resources:
        found["resources"] = lambda: dataclasses.replace(inherited("resources") or Resources(), **resources)
    for name in ("image", "description", "cache"):
        if (text := getattr(options, name)) is not None:
            found[name] = functools.partial(str, text)
    if options.env:
        found["env_vars"] = lambda: {**(inherited("env_vars") or {}), **key_values(options.env, "--env NAME=VALUE")}
    if options.secret:
        found["secrets"] = lambda: [*_listed(inherited("secrets")), *options.secret]
    if options.include:
        found["include"] = lambda: (*_listed(inherited("include")), *options.include)
    if options.depends_on:
        found["depends_on"] = lambda: [*_listed(inherited("depends_on")), *map(registry.find, options.depends_on)]
    if options.interruptible:
        found["interruptible"] = lambda: True
    return found | _replicas(options, source, inherited)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _replicas(options: Any, source: Environment, inherited: Callable[[str], Any]) -> dict[str, Callable[[], Any]]:
    """Give the field that says how many processes there are: each kind of environment has its own."""
    given = [name for name in ("replicas", "concurrency") if getattr(options, name)]
    if not given:
        return {}

    def numbers() -> dict[str, Any]:
        return {name: _numbers(f"--{name}", getattr(options, name)) for name in given}

    if hasattr(source, "scaling"):
        return {"scaling": lambda: _scaling(inherited("scaling") or Scaling(), numbers())}
    if hasattr(source, "replicas"):
        return {name: functools.partial(lambda name: int(numbers()[name]), name) for name in given}
    return {"reusable": lambda: dataclasses.replace(inherited("reusable") or ReusePolicy(), **numbers())}


def _scaling(scaling: Scaling, given: dict[str, Any]) -> Scaling:
    if "replicas" in given:
        scaling = dataclasses.replace(scaling, replicas=given["replicas"])
    if "concurrency" in given:
        scaling = dataclasses.replace(scaling, metric=Scaling.Concurrency(given["concurrency"]))
    return scaling


def _numbers(option: str, text: str) -> Any:
    try:
        values = tuple(int(part) for part in text.split(":"))
    except ValueError:
        raise UsageError(f"{option}: given {text!r}; accepted: a number, or for replicas MIN:MAX") from None
    return values[0] if len(values) == 1 else values


def _amount(name: str, text: str) -> int | str:
    return int(text) if name in ("cpu", "gpu") and text.isdecimal() and text.isascii() else text


def field_of(option: str, source: Environment) -> str:
    """Give the field of an environment that an option is about."""
    if option in _RESOURCES:
        return "resources"
    if option in ("replicas", "concurrency"):
        return "scaling" if hasattr(source, "scaling") else option if hasattr(source, "replicas") else "reusable"
    return _AGAIN.get(option, option)


def namespace(texts: Mapping[str, str], reset: tuple[str, ...] = ()) -> Namespace:
    """Give the options that were typed as texts, one for each; those that may be given again have several words.

    Raises
    ------
    UsageError
        For a quote that is not closed.
    """
    single = {name: texts[name].strip() if name in texts else None for name in _SINGLE}
    again = {name: _words(name, texts.get(name, "")) for name in _AGAIN}
    return Namespace(**single, **again, interruptible=False, reset=list(reset))


def _words(option: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--{option}: {str(error).lower()} in {text!r}") from None


def texts(options: Any) -> dict[str, str]:
    """Give options as texts; variables that look like secrets are left out."""
    single = {name: text for name in _SINGLE if (text := getattr(options, name)) is not None}
    again = {name: shlex.join(words) for name in _AGAIN if (words := _without_secrets(name, getattr(options, name)))}
    return {**single, **again}


def _without_secrets(option: str, words: list[str]) -> list[str]:
    if option != "env":
        return words
    return [word for word in words if not looks_secret(*word.partition("=")[::2])]
