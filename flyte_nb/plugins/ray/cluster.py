"""A Ray cluster on this machine: started for a task, watched while it runs, and ended with all of its processes.

Everything that Ray starts is started by the thread of the task, so it ends with this process at the latest; what has
found other parents and sessions is ended here by its ancestry. ``ray stop`` is never used: it ends every Ray cluster of
the user.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyte_nb.context.notices import Hearing
from flyte_nb.errors import RuntimeSystemError
from flyte_nb.plugins.ray.shape import Node, words
from flyte_nb.plugins.scratch import scratch

__all__ = ["Cluster", "started"]

PATIENCE = 5.0  # seconds that a task has to end by itself once its cluster has died
LATEST = 120.0  # seconds for every node to be there
PAUSE = 0.2  # seconds between two looks at the processes
#: the processes without which there is no cluster
_VITAL = ("gcs_server", "raylet")


@dataclass(eq=False)
class Cluster:
    """A cluster that this process is connected to.

    Parameters
    ----------
    address : str
        Where other processes find it.
    dashboard : str
        The address of its dashboard; empty where there is none.
    notices : list of str
        What to tell of it.
    """

    address: str
    dashboard: str = ""
    notices: list[str] = field(default_factory=list)
    #: hears of the task that has it
    hears: Hearing | None = None
    #: how it died; empty while it lives
    death: str = ""
    #: looks whether it has died
    look: Callable[[], str] = lambda: ""

    def is_dead(self) -> bool:
        """Look whether it has died."""
        self.death = self.death or self.look()
        return bool(self.death)

    def died(self) -> RuntimeSystemError:
        """Make the error of a task whose cluster has died."""
        return RuntimeSystemError("RayDied", f"the Ray cluster ended while the task ran: {self.death}")


@contextmanager
def started(nodes: list[Node], runtime_env: dict[str, Any] | None) -> Iterator[Cluster]:
    """Start a cluster of some nodes, the head first, and connect this process to it; end it on leaving.

    Raises
    ------
    RuntimeSystemError
        With the code ``RayNotStarted``, when it does not start.
    """
    with scratch("ray") as folder:
        try:
            try:
                ours = _start(nodes, runtime_env, folder / "r")  # Ray lets everybody write into its own
            except Exception as error:  # whatever Ray raises
                raise RuntimeSystemError("RayNotStarted", f"Ray did not start: {error}") from error
            with _watched(ours):
                yield ours.cluster
        finally:
            _end(folder)


@dataclass(frozen=True)
class _Ours:
    """A cluster that was started here, with Ray's own objects for its nodes."""

    cluster: Cluster
    head: Any
    others: list[Any]


def _start(nodes: list[Node], runtime_env: dict[str, Any] | None, folder: Path) -> _Ours:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    import ray
    from ray._private import worker

    head = nodes[0]
    context = ray.init(
        num_cpus=head.cpus,
        num_gpus=head.gpus,
        resources=head.resources or None,
        object_store_memory=head.store,
        _memory=head.memory,
        dashboard_host="127.0.0.1",
        runtime_env=runtime_env,
        logging_level="WARNING",
        _temp_dir=str(folder),
        _node_ip_address=_ip(0),
    )
    first: Any = worker._global_node
    others = [_add(first.gcs_address, node, place, folder) for place, node in enumerate(nodes[1:], start=1)]
    _wait_for(len(nodes))
    told = f"Ray {ray.__version__}: {words(nodes)}"
    dashboard = f"http://{context.dashboard_url}" if context.dashboard_url else ""
    cluster = Cluster(first.gcs_address, dashboard, [f"{told}; dashboard {dashboard}" if dashboard else told])
    cluster.look = lambda: _dead(first)
    return _Ours(cluster, first, others)


def _ip(place: int) -> str | None:
    """Give the address of a node: of its own on Linux, where each loopback address is there already."""
    return f"127.0.0.{place + 2}" if sys.platform == "linux" else None


def _add(gcs_address: str, node: Node, place: int, folder: Path) -> Any:
    """Start a node; as ``ray.cluster_utils`` does, which starts a head of its own."""
    from ray._private.node import Node as RayNode
    from ray._private.parameter import RayParams

    parameters = RayParams(
        gcs_address=gcs_address,
        num_cpus=node.cpus,
        num_gpus=node.gpus,
        resources=node.resources,
        object_store_memory=node.store,
        memory=node.memory,
        node_manager_port=0,
        min_worker_port=0,
        max_worker_port=0,
        include_log_monitor=False,  # the head's reads what every node of this machine writes
        temp_dir=str(folder),
        **({"node_ip_address": ip} if (ip := _ip(place)) else {}),
    )
    parameters.dashboard_agent_listen_port = None  # any that is free
    return RayNode(parameters, head=False, shutdown_at_exit=False, spawn_reaper=False)


def _wait_for(count: int) -> None:
    import ray

    until = time.monotonic() + LATEST
    while sum(node["Alive"] for node in ray.nodes()) < count:
        if time.monotonic() > until:
            raise TimeoutError(f"{count} nodes were started, and not all of them were there after {LATEST:g} s")
        time.sleep(0.01)


@contextmanager
def _watched(ours: _Ours) -> Iterator[None]:
    """Have the processes of the cluster looked after."""
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(ours, ended), name="flyte-nb-ray", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(ours: _Ours, ended: threading.Event) -> None:
    """Look at the processes until the end; a task whose cluster has died is ended soon after."""
    cluster, living = ours.cluster, dict(enumerate(ours.others, start=1))
    while not ended.wait(PAUSE):
        for number, node in list(living.items()):
            if told := _dead(node):
                del living[number]
                _tell(cluster, f"Ray: node {number} has ended: {told}")
        if cluster.is_dead():
            break
    if cluster.death and not ended.wait(PATIENCE) and cluster.hears is not None:
        cluster.hears.give_up(cluster.died())


def _tell(cluster: Cluster, text: str) -> None:
    if cluster.hears is not None:
        cluster.hears.notice(text)


def _dead(node: Any) -> str:
    """Say which process of a node has ended without being asked to; empty while none has."""
    for name in _VITAL:
        for info in node.all_processes.get(name, ()):
            if (code := info.process.poll()) is not None:
                return f"{name} ended with exit code {code}"
    return ""


def _end(folder: Path) -> None:
    """Disconnect, and end every process of the cluster, whatever state it is in."""
    import psutil
    import ray

    with contextlib.suppress(psutil.Error):
        left = _processes(folder)
        with contextlib.suppress(Exception):  # it may have died already
            ray.shutdown()
        for process in {*left, *_processes(folder)}:
            with contextlib.suppress(psutil.Error):
                process.kill()


def _processes(folder: Path) -> list[Any]:
    """Give the descendants of this process that belong to a cluster: its folder is among their words, or a parent's."""
    import psutil

    found: dict[int, Any] = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.ppid() in found or str(folder) in " ".join(process.cmdline()):
                found[process.pid] = process
    return list(found.values())
