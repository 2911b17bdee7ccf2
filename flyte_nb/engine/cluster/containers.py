"""Containers: apps and connectors as the containers of a cluster are to run them.

The SDK hands the words of a program to a shell, joined by spaces; it starts a server of connectors with the modules
that the environment includes, and not with its own; and it prints while it writes the message. Each is put right here.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flyte_nb.engine.cluster import sdk
from flyte_nb.engine.cluster.kinds import translate
from flyte_nb.engine.cluster.translation import Translation
from flyte_nb.environments.app import AppEnvironment

__all__ = ["Wanted", "as_served"]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of an app beside its declaration.

    Parameters
    ----------
    env_vars : mapping of str to str
        Variables of its processes, over those of the declaration.
    parameters : mapping of str to object
        Values of parameters by name, in the place of those declared.
    cluster_pool, cluster : str, optional
        Where in the cluster it runs.
    """

    env_vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cluster_pool: str | None = None
    cluster: str | None = None


@contextlib.asynccontextmanager
async def as_served(translation: Translation, name: str, wanted: Wanted = Wanted()) -> AsyncIterator[Any]:
    """Give an app of the SDK's, which is within the block as the cluster is to run it; anything else as it is.

    It is the very object of its module, by which the SDK finds it there: hence one after the other.
    """
    env = translation.environments[name]
    if not isinstance(env, sdk.find("flyte.app.AppEnvironment")):
        yield env
        return
    changes = dict(_changes(translation, name, wanted))
    async with _turn:
        before = {field: getattr(env, field) for field in changes}
        vars(env).update(changes)
        try:
            with _silent():
                yield env
        finally:
            vars(env).update(before)


#: who changes apps for a while; awaited on the SDK's own loop alone
_turn = asyncio.Lock()


def _changes(translation: Translation, name: str, wanted: Wanted) -> Iterator[tuple[str, Any]]:
    env = translation.environments[name]
    if (words := _words(translation, name)) is not None:
        yield "args", [word if word.startswith("$") else shlex.quote(word) for word in words]
    if wanted.env_vars:
        yield "env_vars", {**(env.env_vars or {}), **wanted.env_vars}
    if wanted.parameters:
        yield "parameters", [_valued(one, wanted.parameters) for one in env.parameters]
    if wanted.cluster is not None:
        yield from (("cluster", wanted.cluster), ("cluster_pool", "default"))
    elif wanted.cluster_pool is not None:
        yield "cluster_pool", wanted.cluster_pool


def _words(translation: Translation, name: str) -> list[str] | None:
    """Give the words of the program that a shell is to start in the container; None where none is."""
    declared, env = translation.declared[name], translation.environments[name]
    assert isinstance(declared, AppEnvironment)
    if declared.command is not None or env._server is not None:
        return None
    words: list[str] = declared.container_args(None)
    module = translation.file.stem
    if declared.args is None and words[:1] == ["c0"] and sys.modules[module].__dict__["__connectors__"]:
        words = [*words, "--modules", module]
    return words or None


def _valued(parameter: Any, values: Mapping[str, Any]) -> Any:
    if parameter.name not in values:
        return parameter
    return replace(parameter, value=translate(values[parameter.name]))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep the SDK from printing the version into the cell."""
    module = sys.modules[sdk.find("flyte.app.AppEnvironment").__module__]
    vars(module)["print"] = lambda *words, **how: None
    try:
        yield
    finally:
        del vars(module)["print"]
