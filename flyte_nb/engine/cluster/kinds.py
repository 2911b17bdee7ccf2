"""Kinds: what each class of declarations becomes in the Flyte SDK, and the one way in which every one is translated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, cast

from flyte_nb.engine.cluster import sdk
from flyte_nb.environments.declaration import Declaration, mask, set_fields
from flyte_nb.errors import DeploymentError

__all__ = ["KINDS", "VALUES", "Kind", "kind_of", "lacks", "made", "same_value", "translate"]

_ATOMS = (str, int, float, bool, bytes, type(None))


@dataclass(frozen=True, eq=False)
class Kind:
    """What a class of declarations becomes.

    Parameters
    ----------
    declared : type
        The class of this package.
    target : str
        The SDK's class, by dotted name.
    renamed : mapping of str to str
        The SDK's names of fields that it calls otherwise.
    instead : mapping of str to str
        Fields that the SDK's object is not made with, and what stands for each.
    values : mapping of str to callable
        What gives the SDK's value of a field from the declaration; by default the field's own value, translated.
    extra : mapping of str to callable
        What the SDK is given beside the fields, from the declaration.
    make : callable, optional
        What makes the object from the declaration and the arguments; by default the SDK's class.
    """

    declared: type
    target: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    extra: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    make: Callable[[Any, dict[str, Any]], Any] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that a declaration of this kind is made with."""
        declared: Any = self.declared
        return tuple(f.name for f in dataclasses.fields(declared) if f.init)


#: every kind there is, by the class of its declarations
KINDS: dict[type, Kind] = {}
#: what stands for values that are no declarations: classes of this package and markers, by the SDK's dotted names
VALUES: dict[Any, str] = {}


def same_value(name: str) -> Callable[[Any], Any]:
    """Give a field as it is, for values that are nobody's declaration."""
    return lambda declared: getattr(declared, name)


@lru_cache(maxsize=256)
def kind_of(declared: Any) -> Kind:
    """Give the kind of a class; that of the nearest of its bases for a class of a user's own.

    Raises
    ------
    DeploymentError
        When the SDK has nothing for it.
    """
    kind = next((KINDS[base] for base in declared.__mro__ if base in KINDS), None)
    if kind is None:
        raise DeploymentError(f"{declared.__name__}: the Flyte SDK has nothing like it")
    return kind


def translate(value: Any) -> Any:
    """Give a value as the Flyte SDK has it: declarations as its objects, also within lists, tuples and dicts.

    Raises
    ------
    DeploymentError
        When the installed version cannot express it; the message names the field.
    """
    kind = type(value)
    if kind in _ATOMS:
        return value
    if isinstance(value, Declaration):
        return made(value)
    if kind is list or kind is tuple:
        return kind(map(translate, value))
    if kind is dict:
        return {key: translate(item) for key, item in value.items()}
    return _other(value)


def _other(value: Any) -> Any:
    try:
        path = VALUES.get(value)
    except TypeError:  # it cannot be hashed, so it is none of ours
        return value
    if path is None:
        return value
    found = sdk.find(path)
    if found is None:
        raise DeploymentError(f"{value!r}: the installed Flyte SDK {sdk.version()} has no {path}")
    return found


def made(declared: Any, **given: Any) -> Any:
    """Make the SDK's object of a declaration; ``given`` are arguments that are known already.

    Raises
    ------
    DeploymentError
        When the installed version lacks the class or a field that is set, or refuses a value.
    """
    kind = kind_of(cast("Any", type(declared)))
    target = sdk.find(kind.target)
    if target is None:
        raise DeploymentError(f"{kind.declared.__name__}: {_no_class(kind.target)}")
    arguments = _arguments(kind, declared, given)
    try:
        return kind.make(declared, arguments) if kind.make is not None else target(**arguments)
    except DeploymentError:
        raise
    except Exception as error:  # whatever the SDK's own checks raise
        raise DeploymentError(_refused(kind, declared, error)) from error


def _no_class(target: str) -> str:
    """Say that there is no such class, and what to install where it is a plugin's."""
    root, _, rest = target.partition(".")
    if root == "flyteplugins":
        return f"the Flyte SDK's plugin for it is not installed; pip install flyteplugins-{rest.partition('.')[0]}"
    return f"the installed Flyte SDK {sdk.version()} has no {target}"


class _Plan(NamedTuple):
    """How the arguments of a kind are made with the installed version."""

    arguments: tuple[tuple[str, str, Callable[[Any], Any] | None], ...]
    missing: tuple[tuple[str, str], ...]
    extra: tuple[tuple[str, Callable[[Any], Any]], ...]


@lru_cache(maxsize=256)
def _plan(kind: Kind) -> _Plan:
    known = sdk.accepted(sdk.find(kind.target))
    pairs = [(name, kind.renamed.get(name, name)) for name in kind.fields if name not in kind.instead]
    return _Plan(
        tuple((name, to, kind.values.get(name)) for name, to in pairs if to in known),
        tuple((name, to) for name, to in pairs if to not in known),
        tuple((name, value) for name, value in kind.extra.items() if name in known),
    )


def _arguments(kind: Kind, declared: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    plan = _plan(kind)
    for name, to in plan.missing:
        if to not in given and _is_set(declared, name):
            raise lacks(declared, name, to)
    arguments = {}
    for name, to, value in plan.arguments:
        if to not in given:
            arguments[to] = translate(getattr(declared, name)) if value is None else value(declared)
    return {**arguments, **{name: value(declared) for name, value in plan.extra}, **given}


def _is_set(declared: Any, name: str) -> bool:
    return any(field == name for field, _ in set_fields(declared))


def lacks(declared: Any, name: str, to: str = "") -> DeploymentError:
    """Make the error for a field that is set and that the installed version does not have."""
    kind = kind_of(cast("Any", type(declared)))
    label = f" of {declared.name!r}" if isinstance(getattr(declared, "name", None), str) else ""
    return DeploymentError(
        f"{kind.declared.__name__}.{name}{label}: given {mask(name, getattr(declared, name))}; the installed Flyte SDK "
        f"{sdk.version()} has no {kind.target}.{to or name}. Leave it out, or install a newer one (up to "
        f"{sdk.TESTED[-1]} is tested)"
    )


def _refused(kind: Kind, declared: Any, error: Exception) -> str:
    label = f" {declared.name!r}" if isinstance(getattr(declared, "name", None), str) else ""
    told = " ".join(str(error).split())
    return f"{kind.declared.__name__}{label}: the installed Flyte SDK {sdk.version()} refuses it: {told:.300}"
