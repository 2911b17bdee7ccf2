"""The shape of a Ray cluster: its nodes as declared, and as this machine can have them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from flyte_nb.environments.quantity import Quantity
from flyte_nb.environments.resources import Resources
from flyte_nb.plugins.ray.config import AMOUNTS, HeadNodeConfig, RayJobConfig, WorkerNodeConfig, custom_resources
from flyte_nb.plugins.share import Share

__all__ = ["OVERHEAD", "Node", "declared", "fitted", "total", "words"]

OVERHEAD = (1 << 30, 1 << 28)  # bytes that Ray's own processes take: those of the head, those of each worker node
_LEAST_NODE = 1 << 28  # bytes of the machine below which no further node is started
_LEAST_STORE = 80_000_000  # bytes; Ray refuses less
_STORE = 0.3  # of the memory, as in Ray
_HEAD = "head"


@dataclass(frozen=True)
class Node:
    """One node.

    Parameters
    ----------
    group : str
        Its group; ``"head"`` for the head.
    cpus, gpus : int
        As many as Ray counts on it.
    memory, store : int, optional
        Bytes for tasks, and for objects; as Ray finds by default.
    resources : dict of str to float
        Resources of its own names.
    ignored : tuple of str
        Options of ``ray start`` that mean nothing here.
    """

    group: str
    cpus: int = 1
    gpus: int = 0
    memory: int | None = None
    store: int | None = None
    resources: dict[str, float] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def declared(config: RayJobConfig, default: Resources | None) -> list[Node]:
    """Give the nodes that a configuration declares, the head first.

    Parameters
    ----------
    config : RayJobConfig
        The configuration.
    default : Resources, optional
        What a node asks for that declares nothing; one core where there is nothing either.
    """
    nodes = [_node(_HEAD, config.head_node_config or HeadNodeConfig(), default)]
    for group in config.worker_node_config:
        replicas = max(group.replicas, 1) if config.enable_autoscaling and group.max_replicas != 0 else group.replicas
        nodes += [_node(group.group_name, group, default)] * replicas
    return nodes


def _node(group: str, config: HeadNodeConfig | WorkerNodeConfig, default: Resources | None) -> Node:
    options = {name.replace("_", "-"): value for name, value in (config.ray_start_params or {}).items()}
    asked = [config.limits, config.requests, default]
    memory = options.get("memory") or _first(asked, "memory")
    store = options.get("object-store-memory")
    device = next((r.get_device() for r in asked if r is not None and r.get_device() is not None), None)
    return Node(
        group,
        _whole(options.get("num-cpus") or _first(asked, "cpu") or 1),
        _whole(options.get("num-gpus") or (device.quantity if device is not None else 0)),
        None if memory is None else _whole(memory),
        None if store is None else _whole(store),
        custom_resources(options),
        tuple(sorted(name for name in options if name not in (*AMOUNTS, "resources"))),
    )


def _first(asked: Iterable[Resources | None], name: str) -> Any:
    """Give the most that is asked for of one kind, where the first says anything of it."""
    for resources in asked:
        amount = getattr(resources, name, None)
        if amount is not None:
            return amount[1] if isinstance(amount, tuple) else amount
    return None


def _whole(amount: Any) -> int:
    return math.ceil(Quantity.parse(amount).value)


def total(nodes: Iterable[Node]) -> Resources:
    """Give what all nodes together ask of the machine; their memory with what Ray's own processes take beside it."""
    nodes = list(nodes)
    memory = sum(node.memory or 0 for node in nodes)
    limit = memory + OVERHEAD[0] + OVERHEAD[1] * (len(nodes) - 1)
    gpus = sum(node.gpus for node in nodes)
    return Resources(
        cpu=max(sum(node.cpus for node in nodes), 1),
        memory=(f"{memory >> 20}Mi", f"{limit >> 20}Mi") if all(node.memory for node in nodes) else None,
        gpu=gpus or None,
    )


def fitted(nodes: list[Node], share: Share) -> tuple[list[Node], list[str]]:
    """Give the nodes as far as a share of the machine has room for them, and what is not as it was declared.

    There are as many nodes as the share has cores, but two at least if two are declared; each has one core at least.
    """
    most = max(2, min(share.cores, share.memory // _LEAST_NODE))
    kept = _kept(nodes, most)
    cpus = sum(node.cpus for node in kept)
    fit = [replace(node, cpus=_scaled(node.cpus, share.cores, cpus)) for node in kept]
    fit = _with_gpus(fit, len(share.gpus))
    fit = [replace(node, store=_store(node, len(fit), share.memory)) for node in fit]
    ignored = sorted({name for node in fit for name in node.ignored})
    told = [f"ray start option {name} is for a cluster of machines: left out here" for name in ignored]
    if (was := words(nodes)) != (now := words(fit)):
        told.insert(0, f"Ray: {was} declared, {now} here: this machine gives {share.cores} cores")
    return fit, told


def _kept(nodes: list[Node], most: int) -> list[Node]:
    """Give so many nodes, the head and one of each group first."""
    first = {node.group: place for place, node in reversed(list(enumerate(nodes)))}
    order = sorted(range(len(nodes)), key=lambda place: (place != first[nodes[place].group], place))
    return [nodes[place] for place in sorted(order[:most])]


def _scaled(cpus: int, cores: int, asked: int) -> int:
    return cpus if asked <= cores or cpus == 0 else max(1, cpus * cores // asked)


def _with_gpus(nodes: list[Node], most: int) -> list[Node]:
    given = []
    for node in nodes:
        gpus = min(node.gpus, most)
        most -= gpus
        given.append(replace(node, gpus=gpus))
    return given


def _store(node: Node, count: int, memory: int) -> int | None:
    """Give the bytes for objects: a part of the node's memory, or of the machine's for several nodes."""
    if node.store is not None:
        return max(node.store, _LEAST_STORE)
    if node.memory is None and count == 1:
        return None
    return max(int((node.memory or memory // count) * _STORE), _LEAST_STORE)


def words(nodes: list[Node]) -> str:
    """Word the nodes: ``head 1 CPU, workers 2 x 4 CPU``."""
    counts: dict[tuple[str, int, int], int] = {}
    for node in nodes:
        key = (node.group, node.cpus, node.gpus)
        counts[key] = counts.get(key, 0) + 1
    return ", ".join(
        f"{group} {f'{count} x ' if group != _HEAD else ''}{cpus} CPU{f' {gpus} GPU' if gpus else ''}"
        for (group, cpus, gpus), count in counts.items()
    )
