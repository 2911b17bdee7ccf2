"""The order in which environments are deployed: each once, after what it depends on."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable

from flyte_nb.environments.base import Environment
from flyte_nb.errors import DeploymentError

__all__ = ["order"]

_LONGEST = 12  # names of a cycle that are shown


def order(
    roots: Iterable[Environment], newest: Callable[[Environment], Environment] = lambda e: e
) -> list[Environment]:
    """Give the environments that ``roots`` need, themselves included, dependencies first.

    Parameters
    ----------
    roots : iterable of Environment
        Where to start.
    newest : callable
        Gives the newest declaration of an environment's name, so that a stale object in ``depends_on`` never counts.

    Raises
    ------
    DeploymentError
        For a cycle, with its path and the places of declaration.
    """
    found: dict[str, Environment] = {}
    needs: dict[str, list[str]] = {}
    waiting = [newest(env) for env in roots]
    while waiting:
        env = waiting.pop()
        if env.name in found:
            continue
        found[env.name] = env
        needed = [newest(dependency) for dependency in env.depends_on]
        needs[env.name] = [dependency.name for dependency in needed]
        waiting += needed
    try:
        sorted_names = list(graphlib.TopologicalSorter({n: needs[n] for n in sorted(needs)}).static_order())
    except graphlib.CycleError as error:
        raise DeploymentError(_cycle(error.args[1], found)) from None
    return [found[name] for name in sorted_names]


def _cycle(names: list[str], found: dict[str, Environment]) -> str:
    """Word a cycle; graphlib lists it from a dependency to what depends on it."""
    path = list(reversed(names))
    shown = path if len(path) <= _LONGEST else [*path[: _LONGEST - 2], f"… {len(path) - _LONGEST + 1} more", path[-1]]
    places = "; ".join(f"{n!r} is declared at {found[n].place}" for n in dict.fromkeys(shown) if n in found)
    circle = " → ".join(shown)
    return f"the environments depend on each other in a circle: {circle}. Take one of the dependencies away ({places})"
