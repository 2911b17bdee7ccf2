"""Editing: the declaration that an environment becomes with other values; nobody hears of it before it is applied."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from flyte_nb.environments.app import AppEnvironment
from flyte_nb.environments.base import Environment, own_copy, unannounced
from flyte_nb.environments.cache import Cache
from flyte_nb.environments.declaration import Declaration, checks, field_types, refusal, refuse, refuse_type, same
from flyte_nb.environments.forms import alternatives
from flyte_nb.environments.image import Image
from flyte_nb.environments.overriding import refuse_sharing, refuse_started
from flyte_nb.environments.provenance import Origin
from flyte_nb.environments.task import TaskEnvironment, renewed
from flyte_nb.errors import UnknownNameError

__all__ = ["check_field", "default_of", "editable", "part_of", "with_part", "with_values"]


def editable(env: Environment) -> dict[str, dataclasses.Field[Any]]:
    """Give the fields of an environment that may be edited: all but its name."""
    return {f.name: f for f in dataclasses.fields(env) if f.init and f.name != "name"}


def check_field(kind: Any, field: str, value: Any) -> None:
    """Check a value for one field of a declared class; one that a user's subclass added accepts anything here.

    Raises
    ------
    DeclarationError
        When it is not what the field accepts.
    """
    from pydantic import ValidationError

    for name, validate, accepted in checks(kind):
        if name == field:
            try:
                validate(value)
            except ValidationError as error:
                raise refusal(f"{kind.__name__}.{name}", value, accepted, error) from None


def with_values(env: Environment, values: Mapping[str, Any], reset: Iterable[str] = ()) -> Environment:
    """Give the declaration that an environment becomes, checked with its tasks and announced to nobody.

    Parameters
    ----------
    env : Environment
        What is edited; it stays as it is.
    values : mapping
        Values of fields.
    reset : iterable of str
        Fields that go back to their defaults.

    Raises
    ------
    DeclarationError
        When a value is not what its field accepts, or does not fit a task of the environment.
    """
    fields = {f.name: f for f in dataclasses.fields(env) if f.init}
    kept = {n: own_copy(getattr(env, n), f.metadata) for n, f in fields.items() if n not in values}
    cleared = {name: default_of(env, name) for name in reset}
    kind: Any = type(env)
    with unannounced():
        made: Environment = kind(**{**kept, **cleared, **values})
    made.place = env.place
    made._unwritten = _unwritten(env, made, [*values, *cleared])
    made._origin = _edited_origin(env._origin, values, cleared)
    if isinstance(env, AppEnvironment) and isinstance(made, AppEnvironment):
        env._give_hooks(made)
    if isinstance(env, TaskEnvironment) and isinstance(made, TaskEnvironment):
        if isinstance(values.get("cache"), str):
            Cache(values["cache"])  # the environment alone accepts any word, no task does
        _check_tasks(env, made)
    return made


def _unwritten(env: Environment, made: Environment, edited: Iterable[str]) -> dict[str, Any]:
    in_source = {name: env._unwritten.get(name, getattr(env, name)) for name in [*env._unwritten, *edited]}
    return {name: value for name, value in in_source.items() if not same(value, getattr(made, name))}


def _edited_origin(origin: Origin | None, values: Iterable[str], reset: Iterable[str]) -> Origin | None:
    if origin is None:
        return None
    given, cleared = frozenset(values), frozenset(reset)
    return dataclasses.replace(
        origin, overridden=(origin.overridden | given) - cleared, reset=(origin.reset | cleared) - given
    )


def _check_tasks(env: TaskEnvironment, made: TaskEnvironment) -> None:
    for task in env.tasks.values():
        renewed(task, made)
        if made.reusable is not None and "reusable" not in task.own_settings:
            refuse_sharing(task, made.reusable)
            if "pod_template" in task.own_settings:
                refuse_started(task, {"pod_template": task.pod_template})


def default_of(declared: Declaration, name: str) -> Any:
    """Give the default of a field.

    Raises
    ------
    DeclarationValueError
        For a field that has none.
    """
    found: Any = next(f for f in dataclasses.fields(declared) if f.name == name)  # type: ignore[arg-type]
    if callable(found.default_factory):
        return found.default_factory()
    if found.default is dataclasses.MISSING:
        raise refuse(declared, name, "a reset", "a value", "it has no default")
    return found.default


def part_of(value: Any, path: list[str]) -> Any:
    """Give a part of a value: a field of a declaration, or an item of a dict; None where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def with_part(owner: Declaration, name: str, path: list[str], part: Any, reset: bool = False) -> Any:
    """Give the value of a field with a part of it changed.

    Parameters
    ----------
    owner : Declaration
        What has the field.
    name : str
        The field.
    path : list of str
        The way to the part: names of fields and, in the end, a key of a dict.
    part : object
        The part's new value.
    reset : bool
        Whether the part goes back to its default, or its key away.

    Raises
    ------
    DeclarationError
        When the part is not what it accepts, or the field has no such parts.
    UnknownNameError
        For a part that is not there.
    """
    value = getattr(owner, name)
    if isinstance(value, dict) or (value is None and _holds_dict(owner, name)):
        return _with_key(value or {}, path, part, reset)
    if value is None:
        value = _empty(owner, name, path)
    if not isinstance(value, Declaration) or isinstance(value, Image | Environment):
        raise refuse_type(owner, name, value, "a field whose parts have names", "give it a whole value")
    names = [f.name for f in dataclasses.fields(value) if f.init]  # type: ignore[arg-type]
    first, *rest = path
    if first not in names:
        raise UnknownNameError(f"setting of {name}", first, names)
    if rest:
        part, reset = with_part(value, first, rest, part, reset), False
    changed: Any = default_of(value, first) if reset else part
    return dataclasses.replace(value, **{first: changed})  # type: ignore[type-var]


def _with_key(value: dict[str, Any], path: list[str], part: Any, reset: bool) -> dict[str, Any] | None:
    key = ".".join(path)  # a variable's name may have dots
    without = {k: v for k, v in value.items() if k != key}
    if reset:
        return without or None
    return {**value, key: part}


def _holds_dict(owner: Declaration, name: str) -> bool:
    return dict in [getattr(kind, "__origin__", kind) for kind in _kinds(owner, name)]


def _kinds(owner: Declaration, name: str) -> list[Any]:
    """Give the types that a field accepts."""
    kind: Any = type(owner)
    return list(alternatives(field_types(kind).get(name)))


def _empty(owner: Declaration, name: str, path: list[str]) -> Any:
    """Make the declaration that a field which is not set may hold, for one of its parts to be set."""
    kinds = [
        kind
        for kind in _kinds(owner, name)
        if isinstance(kind, type) and issubclass(kind, Declaration) and path[0] in _fields(kind)
    ]
    if len(kinds) != 1:
        return None
    try:
        return kinds[0]()
    except TypeError:  # it has required fields
        return None


def _fields(kind: Any) -> list[str]:
    return [f.name for f in dataclasses.fields(kind)]
