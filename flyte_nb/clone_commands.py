"""``%flyte clone``: what a clone of an environment would be, the code that makes it, and the clone itself."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from flyte_nb.cell_line import environment_options
from flyte_nb.cloning import ClonePreview
from flyte_nb.commands import Command, Parser, key_values
from flyte_nb.environments.base import Environment
from flyte_nb.environments.policies import ReusePolicy
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.scaling import Scaling
from flyte_nb.errors import DeclarationError, UsageError
from flyte_nb.session import Session
from flyte_nb.views import View

__all__ = ["COMMANDS"]

_RESOURCES = ("cpu", "memory", "gpu", "disk")


def _clone(words: list[str], session: Session) -> View:
    """Show what a clone would be; offer the code that makes it, or declare it."""
    parser = _parser()
    options = parser.parse_args(words)
    source = session.registry.find(options.source)
    preview = _preview(options, source, session)
    if options.apply:
        return preview.view(declared=str(preview.apply_here().place))
    if not preview.errors:
        preview.offer()
    return preview.view()


def _preview(options: Any, source: Environment, session: Session) -> ClonePreview:
    """Give the preview that the options ask for; a value that cannot be made is refused in its row."""
    overrides: dict[str, Any] = {}
    refused: dict[str, DeclarationError] = {}
    for field, make in _overrides(options, source, session).items():
        try:
            overrides[field] = make()
        except DeclarationError as error:
            refused[field] = error
    reset = tuple(field for field in options.reset if field not in {**overrides, **refused})
    return ClonePreview(source, options.name, overrides, reset, refused)


def _parser() -> Parser:
    parser = Parser(prog="%flyte clone")
    parser.add_argument("source", metavar="SRC", help="the name of the environment that is cloned")
    parser.add_argument("name", metavar="DST", help="the name of the clone")
    environment_options(
        parser,
        "added to those that are inherited",
        replicas="warm processes or an app's replicas: a number, or MIN:MAX",
        concurrency="calls that one of them takes at once",
    )
    parser.add_argument("--reset", action="append", default=[], metavar="FIELD",
                        help="a field that goes back to its default before anything is added to it")  # fmt: skip
    parser.add_argument("--apply", action="store_true", help="declare the clone now")
    return parser


def _overrides(options: Any, source: Environment, session: Session) -> dict[str, Callable[[], Any]]:
    """Give what makes the values of a clone's fields that the options ask for, on top of what it inherits."""

    def inherited(field: str) -> Any:
        return None if field in options.reset else getattr(source, field, None)

    found: dict[str, Callable[[], Any]] = {}
    resources = {name: _amount(name, text) for name in _RESOURCES if (text := getattr(options, name)) is not None}
    if resources:
        found["resources"] = lambda: dataclasses.replace(inherited("resources") or Resources(), **resources)
    for name in ("image", "description", "cache"):
        if (text := getattr(options, name)) is not None:
            found[name] = functools.partial(str, text)
    if options.env:
        added = key_values(options.env, "--env NAME=VALUE")
        found["env_vars"] = lambda: {**(inherited("env_vars") or {}), **added}
    if options.secret:
        found["secrets"] = lambda: [*_listed(inherited("secrets")), *options.secret]
    if options.include:
        found["include"] = lambda: (*_listed(inherited("include")), *options.include)
    if options.depends_on:
        needed = [session.registry.find(name) for name in options.depends_on]
        found["depends_on"] = lambda: [*_listed(inherited("depends_on")), *needed]
    if options.interruptible:
        found["interruptible"] = lambda: True
    return found | _replicas(options, source, inherited)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _replicas(options: Any, source: Environment, inherited: Callable[[str], Any]) -> dict[str, Callable[[], Any]]:
    """Give the field that says how many processes there are: each kind of environment has its own."""
    given = {n: _numbers(f"--{n}", text) for n in ("replicas", "concurrency") if (text := getattr(options, n))}
    if not given:
        return {}
    if hasattr(source, "scaling"):
        return {"scaling": lambda: _scaling(inherited("scaling") or Scaling(), given)}
    if hasattr(source, "replicas"):
        return {name: functools.partial(int, value) for name, value in given.items()}
    return {"reusable": lambda: dataclasses.replace(inherited("reusable") or ReusePolicy(), **given)}


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


COMMANDS = (
    Command(
        "%flyte clone SRC DST [--gpu 1 --memory 16Gi ..] [--reset FIELD] [--apply]",
        "what a clone would be, with the code that makes it in a new cell; --apply declares it",
        _clone,
        ("%flyte clone my-env gpu-env --gpu 1 --memory 16Gi", "%flyte clone my-env plain --reset env_vars --apply"),
    ),
)
