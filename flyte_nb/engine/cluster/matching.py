"""Matching: whether what a module declares with the Flyte SDK is what was declared here, field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flyte_nb.engine.cluster.apps import HOOKS

__all__ = ["Difference", "adopt_words", "environment_differences", "task_differences"]

#: what belongs to the module, or is compared beside the fields
_OWN = {"func", "interface", "app", "uvicorn_config", "parent_env", "depends_on", "plugin_config", *HOOKS}
#: what only whoever deploys a trigger reads, and where the two packages have other default texts
_WORDS = ("description", "notifications")


class Difference(NamedTuple):
    """A field that differs: its name, what was declared, and what the module has."""

    field: str
    declared: Any
    module: Any


def environment_differences(declared: Any, module: Any) -> Iterator[Difference]:
    """Give the fields in which an environment of a module differs from the translation of what was declared."""
    yield from _fields(declared, module)
    ours, theirs = [[env.name for env in one.depends_on] for one in (declared, module)]
    if ours != theirs:
        yield Difference("depends_on", ours, theirs)
    for hook in HOOKS:
        if (getattr(declared, hook, None) is None) != (getattr(module, hook, None) is None):
            yield Difference(hook.strip("_"), getattr(declared, hook), getattr(module, hook))


def task_differences(declared: Any, module: Any) -> Iterator[Difference]:
    """Give the settings in which a task of a module differs from the translation of what was declared."""
    yield from _fields(declared, module)
    if str(declared.interface) != str(module.interface):
        yield Difference("interface", declared.interface, module.interface)


def adopt_words(declared: Any, module: Any) -> None:
    """Give the triggers of a module's task the words of those declared: the SDK has its own where nobody wrote any."""
    if len(declared.triggers) == len(module.triggers):
        module.triggers = tuple(map(_worded, declared.triggers, module.triggers))


def _worded(declared: Any, module: Any) -> Any:
    words = {name: getattr(declared, name) for name in _WORDS if hasattr(declared, name)}
    return dataclasses.replace(module, **words)


def _fields(one: Any, other: Any) -> Iterator[Difference]:
    for field in dataclasses.fields(one):
        if field.compare and not field.name.startswith("_") and field.name not in _OWN:
            ours, theirs = getattr(one, field.name), getattr(other, field.name)
            if not _same(ours, theirs):
                yield Difference(field.name, ours, theirs)


def _same(one: Any, other: Any) -> bool:
    """Compare two values; objects of a class that the module has its own of are compared by what they hold."""
    if one is other:
        return True
    if isinstance(one, type) or (callable(one) and hasattr(one, "__qualname__")):
        return bool(getattr(other, "__qualname__", None) == one.__qualname__)
    if type(one).__qualname__ != type(other).__qualname__:
        return False
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if type(one).__module__ == type(other).__module__ and _compares(type(one)):
        return bool(one == other) or (hasattr(one, "__dict__") and _same(vars(one), vars(other)))
    return _same(getattr(one, "__dict__", {}), getattr(other, "__dict__", {}))


def _compares(kind: type) -> bool:
    """Tell whether a class says itself what is equal."""
    return any("__eq__" in base.__dict__ for base in kind.__mro__ if base is not object)
