"""The graph of environments: each once, after what it depends on; what can be applied at the same time is a wave."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flyte_nb.environments.base import Environment
from flyte_nb.errors import DeploymentError

__all__ = ["Graph", "graph_of", "order"]

_LONGEST = 12  # names of a path that are shown


@dataclass(frozen=True)
class Graph:
    """Environments and what they depend on.

    Parameters
    ----------
    environments : dict of str to Environment
        By name, dependencies first.
    needs : dict of str to tuple of str
        What each depends on, by name, in the order declared and each once.
    waves : tuple of tuple of str
        The names again, in layers: what is in one depends on earlier ones only, so all of it can be applied at once.
    """

    environments: dict[str, Environment]
    needs: dict[str, tuple[str, ...]]
    waves: tuple[tuple[str, ...], ...]

    @property
    def order(self) -> list[Environment]:
        """The environments, dependencies first."""
        return list(self.environments.values())


def order(
    roots: Iterable[Environment], newest: Callable[[Environment], Environment] = lambda e: e
) -> list[Environment]:
    """Give the environments that ``roots`` need, themselves included, dependencies first; see `graph_of`."""
    return graph_of(roots, newest).order


def graph_of(
    roots: Iterable[Environment],
    newest: Callable[[Environment], Environment] = lambda e: e,
    is_alive: Callable[[str], bool] = lambda name: True,
) -> Graph:
    """Give the graph of some environments and of all that they depend on; its cost grows with its size only.

    Parameters
    ----------
    roots : iterable of Environment
        Where to start.
    newest : callable
        Gives the newest declaration of an environment's name, so that a stale object in ``depends_on`` never counts.
    is_alive : callable
        Says whether an environment of a name is declared still; asked of dependencies.

    Raises
    ------
    DeploymentError
        For a cycle and for two environments of one name, with the path and the places of declaration; for a dependency
        that was withdrawn.
    """
    found: dict[str, Environment] = {}
    needs: dict[str, tuple[str, ...]] = {}
    via: dict[str, str | None] = {}
    waiting: list[tuple[Environment, str | None]] = [(newest(env), None) for env in roots]
    waiting.reverse()
    while waiting:
        env, parent = waiting.pop()
        if env.name in found:
            if found[env.name] is not env:
                raise DeploymentError(_duplicate(found[env.name], env, via, parent))
            continue
        if parent is not None and not is_alive(env.name):
            raise DeploymentError(_withdrawn(env, found[parent]))
        found[env.name], via[env.name] = env, parent
        needed = [newest(dependency) for dependency in env.depends_on]
        needs[env.name] = tuple(dict.fromkeys(dependency.name for dependency in needed))
        waiting += [(dependency, env.name) for dependency in reversed(needed)]
    waves = _waves(found, needs)
    names = [name for wave in waves for name in wave]
    return Graph({name: found[name] for name in names}, {name: needs[name] for name in names}, waves)


def _waves(found: dict[str, Environment], needs: dict[str, tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Part the names into layers, each sorted; what is left over goes round in a circle."""
    open_needs = {name: len(needed) for name, needed in needs.items()}
    needed_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, needed in needs.items():
        for one in needed:
            needed_by[one].append(name)
    waves: list[tuple[str, ...]] = []
    ready = sorted(name for name, count in open_needs.items() if not count)
    while ready:
        waves.append(tuple(ready))
        following: list[str] = []
        for name in ready:
            del open_needs[name]
            for other in needed_by[name]:
                open_needs[other] -= 1
                if not open_needs[other]:
                    following.append(other)
        ready = sorted(following)
    if open_needs:
        raise DeploymentError(_cycle(_circle(open_needs.keys(), needs), found))
    return tuple(waves)


def _circle(left: Iterable[str], needs: dict[str, tuple[str, ...]]) -> list[str]:
    """Walk from dependency to dependency among those that never became ready, until one comes again."""
    names = set(left)
    name, place = min(names), dict[str, int]()
    while name not in place:
        place[name] = len(place)
        name = next(one for one in needs[name] if one in names)
    return [*list(place)[place[name] :], name]


def _cycle(path: list[str], found: dict[str, Environment]) -> str:
    shown = _shortened(path)
    places = "; ".join(f"{n!r} is declared at {found[n].place}" for n in dict.fromkeys(shown) if n in found)
    circle = " → ".join(shown)
    return f"the environments depend on each other in a circle: {circle}. Take one of the dependencies away ({places})"


def _duplicate(first: Environment, second: Environment, via: dict[str, str | None], parent: str | None) -> str:
    paths = " and ".join(_path(first.name, above, via) for above in (via[first.name], parent))
    return (
        f"two environments are named {first.name!r}: one is declared at {first.place}, the other at {second.place} "
        f"(reached by {paths}). Rename one of them"
    )


def _path(name: str, above: str | None, via: dict[str, str | None]) -> str:
    path = [name]
    while above is not None:
        path.append(above)
        above = via[above]
    return " → ".join(_shortened(path[::-1]))


def _withdrawn(env: Environment, needed_by: Environment) -> str:
    return (
        f"{needed_by.name!r} (declared at {needed_by.place}) depends on {env.name!r}, which is not declared any more: "
        f"it was at {env.place}. Declare it again, or take it out of depends_on"
    )


def _shortened(path: list[str]) -> list[str]:
    more = len(path) - _LONGEST + 1
    return path if len(path) <= _LONGEST else [*path[: _LONGEST - 2], f"… {more} more", path[-1]]
